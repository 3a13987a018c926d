"""Test the if_exists policies and the checkpoint of an earlier attempt."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.protocol import ApiResponse
from airflow_provider_media._api.retry import RetryState
from airflow_provider_media._upload.checkpoint import RecentUploads, UploadCheckpoint
from airflow_provider_media._upload.flow import upload_media
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConflictError,
    MediaError,
    MediaInUseError,
    MediaRequestError,
)
from tests.unit.helpers.fake_library import CLOCK, PNG, FakeLibrary, lost, make_upload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_media._api.protocol import ApiRequest
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media

UPLOAD = make_upload()


class Guard:
    """Records each call with the state of the library; raises at the given call."""

    def __init__(self, library: FakeLibrary, *, refuses_at: int = 0) -> None:
        self._library = library
        self._refuses_at = refuses_at
        self.asked: list[tuple[list[int | str], int]] = []

    def __call__(self, found: Iterable[Media]) -> None:
        self.asked.append(([media.id for media in found], self._library.posts()))
        if len(self.asked) == self._refuses_at:
            raise MediaInUseError("still used by the spring campaign")


class FakeState:
    def __init__(self, baseline: Baseline | None = None) -> None:
        self.kept = UploadCheckpoint(baseline=baseline) if baseline else None
        self.events: list[str] = []

    def load(self) -> UploadCheckpoint | None:
        return self.kept

    def save(self, checkpoint: UploadCheckpoint) -> None:
        self.events.append("save" if checkpoint.stored_id is None else f"stored as {checkpoint.stored_id}")
        self.kept = checkpoint

    def delete(self) -> None:
        self.events.append("delete")
        self.kept = None


def run(library: FakeLibrary, if_exists: str, upload: UploadSpec = UPLOAD, **arguments: Any) -> Any:
    options = {
        "settle_seconds": 3,
        "retries": RetryState(max_attempts=3, budget_seconds=100, clock=CLOCK),
        "before_delete": lambda _: None,
        "state": None,
        "recent": RecentUploads(settle_seconds=0),
    }
    return library.run(upload_media(upload, if_exists=if_exists, **(options | arguments)))


@pytest.mark.parametrize("if_exists", ["reuse", "upload", "replace", "fail"])
def test_every_policy_uploads_a_new_name(if_exists: str) -> None:
    library = FakeLibrary()
    library.add("other")
    result = run(library, if_exists)
    assert (result.media.id, result.created, result.replaced) == (2, True, ())
    assert (library.posts(), library.ids) == (1, [1, 2])


def test_upload_policy_ignores_an_equal_file() -> None:
    library = FakeLibrary()
    library.add()
    assert run(library, "upload").media.id == 2


def test_reuse_returns_the_oldest_equal_file() -> None:
    library = FakeLibrary(ids=iter([9, 10, 3]))
    library.add(name="banner", size=5)
    library.add()
    library.add()
    result = run(library, "reuse")
    assert (result.media.id, result.created, library.posts()) == (3, False, 0)


@pytest.mark.parametrize(
    "difference", [{"size": 31}, {"mimeType": "image/gif"}], ids=lambda difference: next(iter(difference))
)
def test_reuse_uploads_if_size_or_type_differ(difference: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()
    size = library.add(**difference)["size"]
    with caplog.at_level(logging.WARNING):
        result = run(library, "reuse")
    assert (result.media.id, result.created) == (2, True)
    assert f"they have another size or type: 1 ({size} bytes)" in caplog.text


@pytest.mark.parametrize("left_out", ["size", "mimeType"])
def test_reuse_fetches_details_omitted_by_the_list(left_out: str) -> None:
    library = FakeLibrary(list_leaves_out=(left_out,))
    library.add(size=5, mimeType="image/gif")
    library.add()
    assert run(library, "reuse").media.id == 2
    assert (library.calls[-3:], library.posts()) == (["GET /1", "GET /2", "GET /2"], 0)


def test_an_unknown_size_is_not_reused() -> None:
    library = FakeLibrary()
    library.add(size=None)
    assert run(library, "reuse").created is True


@pytest.mark.parametrize(
    ("folder_id", "stored", "reused"), [(3, 3, True), (3, "3", True), (3, 4, False), (3, None, True), (None, 4, True)]
)
def test_a_file_in_another_folder_is_not_reused(
    folder_id: int | None, stored: int | str | None, *, reused: bool
) -> None:
    library = FakeLibrary()
    library.add(folderId=stored)
    result = run(library, "reuse", make_upload(folder_id=folder_id))
    assert result.created is not reused


@pytest.mark.parametrize("stored_type", ["image/png", "IMAGE/PNG", "image/png; charset=binary"])
def test_the_same_type_written_differently_is_the_same(stored_type: str) -> None:
    library = FakeLibrary()
    library.add(mimeType=stored_type)
    assert run(library, "reuse").created is False


def test_image_jpg_is_image_jpeg() -> None:
    library = FakeLibrary()
    content = b"\xff\xd8\xff" + b"j" * 20
    library.add(content=content, mimeType="image/jpg")
    assert run(library, "reuse", make_upload(content)).created is False


def test_fail_raises_with_the_existing_file() -> None:
    library = FakeLibrary()
    library.add(size=5)
    with pytest.raises(
        MediaError, match=r"'banner': a file with this name exists \(if_exists='fail'\): 1 \(5 bytes\)"
    ) as raised:
        run(library, "fail")
    assert (type(raised.value), library.posts()) == (MediaConflictError, 0)


def test_replace_uploads_verifies_then_deletes() -> None:
    library = FakeLibrary()
    library.add()
    library.add("other")
    library.add(size=5)
    result = run(library, "replace")
    assert (result.media.id, result.created, result.replaced) == (4, True, (1, 3))
    assert library.calls[2:] == ["POST ", "GET /4", "GET /1", "DELETE /1", "GET /3", "DELETE /3"]
    assert library.ids == [2, 4]


def test_replace_keeps_a_file_stored_during_the_upload() -> None:
    library = FakeLibrary()
    library.add()

    def store_another(_call: ApiRequest) -> ApiResponse | None:
        library.add()
        return None

    library.on_post = [store_another]
    assert run(library, "replace").replaced == (1,)
    assert library.ids == [2, 3]


def test_replace_deletes_nothing_if_the_stored_size_differs() -> None:
    library = FakeLibrary()
    library.add()
    # The response has the sent size; only the GET shows that the library has less.
    library.on_call = lambda line: library.files[-1].update(size=7) if line == "GET /2" else None
    with pytest.raises(MediaError, match="shows 7 bytes instead of 32"):
        run(library, "replace")
    assert library.ids == [1, 2]


def test_replace_deletes_nothing_if_the_size_is_unknown() -> None:
    library = FakeLibrary()
    library.add()
    library.on_call = lambda line: library.files[-1].update(size=None) if line == "GET /2" else None
    with pytest.raises(MediaError, match="shows no size instead of 32"):
        run(library, "replace")
    assert library.ids == [1, 2]


def test_replace_checks_references_before_upload_and_deletion() -> None:
    library = FakeLibrary()
    library.add()
    guard = Guard(library)
    run(library, "replace", before_delete=guard)
    assert guard.asked == [([1], 0), ([1], 1)]


@pytest.mark.parametrize(("refuses_at", "posts"), [(1, 0), (2, 1)])
def test_replace_deletes_nothing_in_use(refuses_at: int, posts: int) -> None:
    library = FakeLibrary()
    library.add()
    with pytest.raises(MediaInUseError, match="spring campaign"):
        run(library, "replace", before_delete=Guard(library, refuses_at=refuses_at))
    assert library.posts() == posts
    assert 1 in library.ids


def test_replace_accepts_that_the_old_file_is_gone() -> None:
    library = FakeLibrary()
    library.add()
    library.on_call = lambda line: library.files.pop(0) and None if line == "DELETE /1" else None
    assert run(library, "replace").replaced == (1,)


def test_replace_keeps_a_file_in_another_folder() -> None:
    library = FakeLibrary()
    library.add(folderId=4)
    assert run(library, "replace", make_upload(folder_id=3)).replaced == ()
    assert library.ids == [1, 2]


def test_checkpoint_has_baseline_before_and_id_after_the_upload() -> None:
    library = FakeLibrary()
    library.add("other")
    state = FakeState()
    library.on_post = [lambda _: state.events.append(f"send after {state.kept}") and None]
    run(library, "upload", state=state)
    assert state.events == [
        "save",
        f"send after {UploadCheckpoint(baseline=Baseline(newest_id=1))}",
        "stored as 2",
    ]


@pytest.mark.parametrize("if_exists", ["reuse", "upload", "replace", "fail"])
def test_a_retry_reuses_the_completed_upload(if_exists: str) -> None:
    library = FakeLibrary()
    if if_exists == "replace":
        library.add(size=5)
    state = FakeState()
    first = run(library, if_exists, state=state)
    library.add()  # of another task
    stored: list[Media] = []
    second = run(library, if_exists, state=state, on_stored=stored.append)
    assert (library.posts(), len(library.ids), library.pauses) == (1, 2, [])
    assert second == first
    assert stored == [first.media]


def test_a_retry_uploads_a_file_deleted_since() -> None:
    library = FakeLibrary()
    state = FakeState()
    run(library, "upload", state=state)
    library.files.clear()
    assert (run(library, "upload", state=state).media.id, library.posts()) == (2, 2)


@pytest.mark.parametrize("if_exists", ["reuse", "upload", "replace", "fail"])
def test_a_retry_adopts_the_file_of_a_killed_attempt(if_exists: str) -> None:
    library = FakeLibrary()
    library.add("other")
    library.add()  # stored by the killed attempt
    state = FakeState(Baseline(newest_id=1, is_complete=False))
    result = run(library, if_exists, state=state)
    assert (result.media.id, library.posts(), library.ids) == (2, 0, [1, 2])
    assert result.created is True  # by an attempt of the task
    assert state.events == ["stored as 2"]


def test_replace_after_a_killed_attempt_deletes_older_files() -> None:
    library = FakeLibrary()
    library.add(size=5)
    library.add()
    result = run(library, "replace", state=FakeState(Baseline(newest_id=1, is_complete=False)))
    assert (result.media.id, result.replaced, library.ids) == (2, (1,), [2])


def test_a_retry_uploads_if_the_killed_attempt_did_not() -> None:
    library = FakeLibrary()
    library.add()
    result = run(library, "upload", state=FakeState(Baseline(newest_id=1, is_complete=False)))
    assert (result.media.id, library.posts()) == (2, 1)
    assert sum(library.pauses) == 3


def test_a_rejection_deletes_the_checkpoint() -> None:
    library = FakeLibrary()

    def refuse(_call: ApiRequest) -> ApiResponse | None:
        raise MediaRequestError("refused", status=400)

    library.on_post = [refuse]
    state = FakeState()
    with pytest.raises(MediaError, match="refused"):
        run(library, "upload", state=state)
    assert state.events == ["save", "delete"]


def test_an_uncertain_failure_keeps_the_checkpoint() -> None:
    library = FakeLibrary()

    def lose(_call: ApiRequest) -> ApiResponse | None:
        raise lost()

    library.on_post = [lose] * 9
    state = FakeState()
    with pytest.raises(MediaError, match="the connection broke"):
        run(library, "upload", state=state)
    assert state.events == ["save"]
    assert library.posts() == 3


def test_a_rejection_after_an_uncertain_failure_keeps_the_checkpoint() -> None:
    library = FakeLibrary()

    def lose(_call: ApiRequest) -> ApiResponse | None:
        raise lost()

    def refuse(_call: ApiRequest) -> ApiResponse | None:
        raise MediaAuthError("refused", status=401)

    library.on_post = [lose, refuse]
    state = FakeState()
    with pytest.raises(MediaError, match="refused"):
        run(library, "upload", state=state)
    assert state.events == ["save"]


def test_the_body_has_the_bytes_of_the_file() -> None:
    library = FakeLibrary()
    run(library, "reuse")
    assert library.contents == [PNG]


def test_replace_never_deletes_the_file_it_returns() -> None:
    library = FakeLibrary()
    library.add()  # equal, so that a deduplicating platform returns its id
    library.add(size=5)
    library.on_post = [lambda _: ApiResponse(status=200, headers={}, body=b'{"id": 1}')]
    result = run(library, "replace")
    assert (result.media.id, result.replaced, library.ids) == (1, (2,), [1])


def test_a_rejected_retry_keeps_an_uncertain_checkpoint() -> None:
    library = FakeLibrary()

    def refuse(_call: ApiRequest) -> ApiResponse | None:
        raise MediaRequestError("refused", status=400)

    library.on_post = [refuse]
    state = FakeState(Baseline(newest_id=1, is_complete=False))
    with pytest.raises(MediaError, match="refused"):
        run(library, "upload", state=state)
    assert state.kept == UploadCheckpoint(baseline=Baseline(newest_id=1, is_complete=False))


@pytest.mark.parametrize(
    "now", [None, {"name": "other"}, {"size": 9}, {"folderId": 7}], ids=["gone", "renamed", "resized", "moved"]
)
def test_an_id_of_a_stale_list_is_not_reused(now: dict[str, Any] | None) -> None:
    library = FakeLibrary()
    listed = library.add(folderId=5)

    def change_after_the_list(line: str) -> None:
        if line == "GET /1" and now is None:
            library.files[:] = []
        elif line == "GET /1":
            listed.update(now)

    library.on_call = change_after_the_list
    result = run(library, "reuse")
    assert (result.media.id, result.created, library.posts()) == (2, True, 1)


def test_a_listed_file_that_a_get_shows_late_is_reused() -> None:
    library = FakeLibrary()
    listed = library.add()
    library.files[:] = []
    library.on_pause = lambda _: library.files.append(listed) if listed not in library.files else None
    usual = library._page
    library._page = lambda params: _with(library, listed, usual, params)  # type: ignore[method-assign]
    result = run(library, "reuse")
    assert (result.media.id, result.created, library.posts()) == (1, False, 0)


def _with(library: FakeLibrary, listed: dict[str, Any], page: Any, params: dict[str, str]) -> ApiResponse:
    """Return a list with a file that a GET does not find."""
    files = list(library.files)
    library.files[:] = [listed]
    try:
        return page(params)
    finally:
        library.files[:] = files


def test_replace_keeps_a_reused_id_of_a_stale_list() -> None:
    library = FakeLibrary()
    for _ in range(3):
        library.add(size=5)
    shown = [dict(media) for media in library.files]
    page = library._page

    def stale_page(params: dict[str, str]) -> Any:
        files, library.files = library.files, shown
        try:
            return page(params)
        finally:
            library.files = files

    library._page = stale_page  # type: ignore[method-assign]

    def reuse_id(_call: Any) -> None:
        library.files[1]["name"] = "another file"

    library.on_post = [reuse_id]
    run(library, "replace")
    assert library.ids == [2, 4]


def test_replace_checks_references_by_an_id_that_only_a_get_shows(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary(list_leaves_out=("mediaId",))
    library.add(size=5, mediaId="med_1")

    def refuse(found: Iterable[Media]) -> None:
        if any("med_1" in media.ids for media in found):
            raise MediaInUseError("Still in use: media med_1 by spring.")

    with pytest.raises(MediaInUseError, match="med_1"):
        run(library, "replace", before_delete=refuse)
    assert library.ids == [1, 2]
    assert "did not delete all files that it replaces" in caplog.text
