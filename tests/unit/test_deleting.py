"""Test deletion: get the files, check their references, delete them."""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._airflow.task_state import TaskState
from airflow_provider_media._api.deletion import is_different_file
from airflow_provider_media._deletion.delete import DeletionCheckpoint, delete_all, find_references, refuse_if_used
from airflow_provider_media.exceptions import (
    MediaConfigurationError,
    MediaInUseError,
    MediaNotFoundError,
    MediaUnavailableError,
)
from airflow_provider_media.models import Media
from airflow_provider_media.references import ListedReferences
from tests.helpers.fake_store import FakeStore
from tests.unit.helpers.fake_library import FakeLibrary

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY = {"1", "2", "3"}


def deletion_state(store: FakeStore | None = None) -> TaskState[DeletionCheckpoint]:
    context: Any = {"task_state_store": store}
    return TaskState(context, DeletionCheckpoint, task_id="delete")


class Unsized:
    """An iterable without a length, like a response of requests."""

    def __iter__(self) -> Iterator[str]:
        return iter(())


class FakeHook:
    """A library of the ids 1, 2 and 3 that records the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ids = set(LIBRARY)
        self.gone_after_get: set[str] = set()

    def get_media(self, media_id: int | str) -> Media:
        self.calls.append(f"get {media_id}")
        if str(media_id) not in self.ids:
            raise MediaNotFoundError("no such file", status=404)
        self.ids -= self.gone_after_get
        return Media(id=int(media_id))

    def run_flow(self, flow: Any) -> Any:
        library = FakeLibrary(ids=iter(sorted(self.ids)))
        for _ in self.ids:
            library.add(name="as it is now")
        result = library.run(flow)
        self.calls += [line.partition(" /")[0].partition("?")[0] for line in library.calls]
        return result

    def delete(self, media_id: int | str) -> None:
        self.calls.append(f"delete {media_id}")
        if str(media_id) not in self.ids:
            raise MediaNotFoundError("no such file", status=404)
        self.ids.remove(str(media_id))


def delete(hook: FakeHook, ids: list[int | str], **arguments: Any) -> dict[str, list[int | str]]:
    options = {"if_missing": "fail", "references": None, "on_reference": "fail", "state": deletion_state()}
    return delete_all(hook, ids, **(options | arguments))  # type: ignore[arg-type]


def used_by_spring(media: Media) -> list[str]:
    return ["spring campaign", "template 5"] if media.id == 2 else []


def test_delete_gets_all_files_before_the_first_deletion() -> None:
    hook = FakeHook()
    assert delete(hook, [1, "2"]) == {"deleted": [1, "2"], "missing": [], "skipped": []}
    assert hook.calls == ["get 1", "get 2", "delete 1", "delete 2"]


def test_delete_fails_for_a_missing_file_before_any_deletion() -> None:
    hook = FakeHook()
    with pytest.raises(MediaNotFoundError):
        delete(hook, [1, 9])
    assert hook.ids == LIBRARY


def test_ignored_missing_files_need_no_get() -> None:
    hook = FakeHook()
    outcome = delete(hook, [1, 9], if_missing="ignore")
    assert outcome == {"deleted": [1], "missing": [9], "skipped": []}
    assert hook.calls == ["delete 1", "delete 9"]


def test_a_file_that_is_gone_since_its_get_is_missing() -> None:
    hook = FakeHook()
    hook.gone_after_get = {"2"}
    assert delete(hook, [2, 1]) == {"deleted": [1], "missing": [2], "skipped": []}


def test_a_file_in_use_prevents_all_deletions() -> None:
    hook = FakeHook()
    with pytest.raises(MediaInUseError, match=r"media 2 by spring campaign, template 5. Nothing was deleted"):
        delete(hook, [1, 2], references=used_by_spring)
    assert hook.ids == LIBRARY


def test_files_in_use_may_be_skipped() -> None:
    hook = FakeHook()
    outcome = delete(hook, ["1", "2"], references=used_by_spring, on_reference="skip")
    assert outcome == {"deleted": ["1"], "missing": [], "skipped": [2]}
    assert hook.ids == {"2", "3"}


def test_references_are_checked_for_existing_files_only() -> None:
    asked: list[Any] = []
    outcome = delete(FakeHook(), [9, 1], if_missing="ignore", references=lambda media: asked.append(media.id) or [])
    assert (outcome["missing"], outcome["deleted"], asked) == ([9], [1], [1])


def test_no_ids_send_no_request() -> None:
    hook = FakeHook()
    assert delete(hook, []) == {"deleted": [], "missing": [], "skipped": []}
    assert hook.calls == []


def test_references_may_be_a_dotted_path() -> None:
    assert find_references([Media(id=2, name="a")], "tests.unit.test_deleting:used_by_spring") == {
        2: ["spring campaign", "template 5"]
    }


@pytest.mark.parametrize("path", ["no.such.module", "airflow_provider_media.models.Nothing", "", "a b"])
def test_an_invalid_dotted_path_is_rejected(path: str) -> None:
    with pytest.raises(MediaConfigurationError, match="cannot be imported"):
        find_references([Media(id=1)], path)


@pytest.mark.parametrize(
    "references", [None, lambda _: [], lambda _: (), lambda _: set(), lambda _: iter(()), lambda _: filter(None, [])]
)
def test_a_file_without_users_may_be_deleted(references: Any) -> None:
    assert find_references([Media(id=1)], references) == {}
    refuse_if_used([Media(id=1)], references)


async def used_by_nobody(_: Media) -> list[str]:
    return []


async def yield_users(_: Media) -> Any:
    yield "spring"


@pytest.mark.parametrize(
    "references",
    [
        *(used_by_nobody, yield_users, lambda _: None, lambda _: False, lambda _: True, lambda _: 0, lambda _: 5),
        *(
            lambda _: "",
            lambda _: " ",
            lambda _: b"",
            lambda _: b"spring",
            lambda _: memoryview(b""),
            lambda _: range(0),
            lambda _: {},
            lambda _: {"users": []},
        ),
        *(lambda _: [None], lambda _: ["spring", 5], lambda _: [""], lambda _: [["spring"]], lambda _: io.BytesIO()),
        *(lambda _: object(), lambda _: list, lambda _: NotImplemented, lambda _: Unsized()),
    ],
)
@pytest.mark.parametrize("on_reference", ["fail", "skip"])
def test_a_return_value_without_strings_prevents_the_deletion(references: Any, on_reference: str) -> None:
    hook = FakeHook()
    with pytest.raises(MediaInUseError, match=r"^Could not check what uses media 1: references returned "):
        delete(hook, [1], references=references, on_reference=on_reference)
    assert hook.ids == LIBRARY
    with pytest.raises(MediaInUseError, match=r"Nothing was deleted\.$"):
        refuse_if_used([Media(id=1)], references)


def test_error_of_async_references_has_a_hint() -> None:
    with pytest.raises(MediaInUseError, match="must not be an async function"):
        refuse_if_used([Media(id=1)], used_by_nobody)  # type: ignore[arg-type]


def test_a_string_is_one_user() -> None:
    assert find_references([Media(id=1)], lambda _: "spring") == {1: ["spring"]}
    assert find_references([Media(id=1)], lambda _: (name for name in ("a", "b"))) == {1: ["a", "b"]}


def test_a_file_in_use_is_kept_when_given_by_its_alternate_id() -> None:
    hook = FakeHook()
    hook.get_media = lambda media_id: Media(id=2, alternate_id=str(media_id))  # type: ignore[method-assign]
    outcome = delete(hook, ["med_2"], references=used_by_spring, on_reference="skip")
    assert outcome == {"deleted": [], "missing": [], "skipped": [2]}
    assert hook.ids == LIBRARY


def test_a_file_with_users_is_not_deleted() -> None:
    with pytest.raises(MediaInUseError, match="media 2 by spring campaign"):
        refuse_if_used([Media(id=1), Media(id=2)], used_by_spring)


def test_a_retry_continues_an_interrupted_deletion() -> None:
    hook, store = FakeHook(), FakeStore()
    remove = hook.delete

    def fail_at_two(media_id: int | str) -> None:
        if media_id == 2:
            raise MediaUnavailableError("later")
        remove(media_id)

    hook.delete = fail_at_two  # type: ignore[method-assign]
    with pytest.raises(MediaUnavailableError):
        delete(hook, [1, 2, 3], state=deletion_state(store))
    hook.delete = remove  # type: ignore[method-assign]
    outcome = delete(hook, [1, 2, 3], state=deletion_state(store))
    assert outcome == {"deleted": [1, 2, 3], "missing": [], "skipped": []}


@pytest.mark.parametrize("if_missing", ["fail", "ignore"])
def test_files_that_an_earlier_attempt_deleted_are_not_missing(if_missing: str) -> None:
    hook, store = FakeHook(), FakeStore()
    ids = [1, 2] if if_missing == "fail" else [1, 9, 2]
    outcomes = [delete(hook, ids, if_missing=if_missing, state=deletion_state(store)) for _ in range(2)]
    assert outcomes[1] == outcomes[0]
    assert outcomes[0] == {"deleted": [1, 2], "missing": ids[1:-1], "skipped": []}


def test_started_deletions_count_as_deleted_without_a_get() -> None:
    hook, store = FakeHook(), FakeStore()
    state = deletion_state(store)
    state.save(DeletionCheckpoint(ids=(7, 8)))
    assert delete(hook, [7, 9, 1], if_missing="ignore", state=state)["deleted"] == [7, 1]


@pytest.mark.parametrize("references", ["os.sep", 7, ["used_by"]])
def test_references_that_are_not_callable_are_rejected(references: Any) -> None:
    hook = FakeHook()
    with pytest.raises(MediaConfigurationError, match=r"^references=.* must be a callable or the dotted path of one"):
        delete(hook, [1], references=references)
    assert hook.ids == LIBRARY


@pytest.mark.parametrize("references", [ListedReferences, "airflow_provider_media.references.ListedReferences"])
def test_a_class_as_references_is_rejected(references: Any) -> None:
    hook = FakeHook()
    sentence = r"^references is the class ListedReferences, not an instance: use ListedReferences\(\.\.\.\)\.$"
    with pytest.raises(MediaConfigurationError, match=sentence):
        delete(hook, [1], references=references)
    assert hook.ids == LIBRARY


@pytest.mark.parametrize("changes", [{"gone": True}, {"name": "another file"}])
def test_a_file_that_is_gone_or_another_since_the_check_is_kept(changes: dict[str, Any]) -> None:
    hook = FakeHook()

    def ask(media: Media) -> list[str]:
        if changes.get("gone"):
            hook.ids.discard("2")
        return []

    usual = hook.get_media
    hook.get_media = lambda media_id: dataclasses.replace(usual(media_id), name=changes.get("name"))  # type: ignore[method-assign]
    outcome = delete(hook, [2], references=ask)
    assert outcome == {"deleted": [], "missing": [2], "skipped": []}
    assert hook.calls == ["get 2", "GET"]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"folder_id": 5}, {"folder_id": "7"}),
        ({"created_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"created_at": datetime(2026, 1, 1, tzinfo=UTC)}),
        ({"name": "a"}, {"name": "b"}),
        ({"size": 5}, {"size": 6}),
    ],
)
def test_a_different_file_is_recognized(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert is_different_file(Media(id=1, **before), Media(id=1, **now))
    assert not is_different_file(Media(id=1, **before), Media(id=1, **before))
    assert not is_different_file(Media(id=1, **before), Media(id=1))
    assert not is_different_file(Media(id=1), Media(id=1, **now))


def test_date_precision_and_folder_type_do_not_matter() -> None:
    listed = Media(id=1, size=0, folder_id=5, created_at=datetime(2026, 7, 1, tzinfo=UTC))
    assert not is_different_file(
        listed, dataclasses.replace(listed, size=9, folder_id="5", created_at=datetime(2026, 7, 1, 23, tzinfo=UTC))
    )
