"""Test MediaCleanupOperator against the sandbox."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaInUseError,
)
from airflow_provider_media.operators.media import MediaCleanupOperator, MediaDeleteOperator, MediaUploadOperator
from airflow_provider_media.references import ListedReferences
from tests.contract.helpers.syncing import Folder, Syncing
from tests.helpers.fake_store import FakeStore
from tests.helpers.warm_python import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_media.models import Media
    from tests.contract.helpers.raw_server import RawServer
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def cleanup(connect: Any, library: SandboxLibrary) -> Callable[..., dict[str, Any]]:
    """Run a cleanup of the sandbox: ``cleanup(**arguments)``."""
    conn_id = connect(library.sandbox.base_url).media_conn_id

    def run(*, store: FakeStore | None = None, conn_id: str = conn_id, **arguments: Any) -> dict[str, Any]:
        operator = MediaCleanupOperator(task_id="clean_up", media_conn_id=conn_id, **arguments)
        try:
            return operator.execute({"task_state_store": store})  # type: ignore[typeddict-unknown-key]
        finally:
            operator.hook.get_conn().close()

    return run


def names(library: SandboxLibrary) -> list[str]:
    return [file["name"] for file in library.files()]


def test_dry_run_deletes_nothing(cleanup: Any, library: SandboxLibrary) -> None:
    ids = [library.store(name, PNG) for name in ("spring-a", "spring-b", "summer")]
    library.forget()
    outcome = cleanup(name="spring-*")
    assert outcome == {"dry_run": True, "deleted": ids[:2], "missing": [], "refused": {}, "error": None}
    assert library.methods() == "GET GET"


def test_dry_run_returns_the_ids_that_are_deleted(cleanup: Any, library: SandboxLibrary) -> None:
    for name in ("spring-a", "spring-b", "summer", "spring-a"):
        library.store(name, PNG)
    dry_run = cleanup(name="spring-*", keep_last=1)
    done = cleanup(name="spring-*", keep_last=1, dry_run="False")
    assert done == {**dry_run, "dry_run": False}
    assert names(library) == ["spring-b", "summer", "spring-a"]


@pytest.mark.parametrize(
    ("criteria", "field"),
    [
        ({"name": "{{ x }}*"}, "name"),
        ({"name": "{{ x }}-?*"}, "name"),
        ({"name": "{{ x }}[!_]*", "mime_type": "image/*"}, "name"),
        ({"name": "a*", "mime_type": "{{ x }}*"}, "mime_type"),
    ],
)
def test_a_template_that_renders_to_wildcards_only_is_refused(
    define: Callable[..., str], library: SandboxLibrary, criteria: dict[str, str], field: str
) -> None:
    library.store("a", PNG)
    library.forget()
    operator = MediaCleanupOperator(task_id="clean_up", keep_last=1, dry_run=False, media_conn_id=define(), **criteria)
    operator.render_template_fields({"x": ""})
    with pytest.raises(MediaConfigurationError, match=rf"^{field} rendered to '.*\*'\. Did a Jinja template"):
        operator.execute({})
    assert library.methods() == ""


@pytest.mark.parametrize(
    ("criteria", "x"),
    [
        ({"name": "{{ x }}*"}, "a"),
        ({"name": "*"}, ""),
        ({"name": "{{ x }}*", "wildcards": False}, ""),
        ({"name": "-*"}, ""),
    ],
)
def test_literal_wildcards_and_filled_templates_are_accepted(
    define: Callable[..., str], library: SandboxLibrary, criteria: dict[str, str], x: str
) -> None:
    library.store("a", PNG)
    operator = MediaCleanupOperator(task_id="clean_up", keep_last=1, media_conn_id=define(), **criteria)
    operator.render_template_fields({"x": x})
    assert operator.execute({})["deleted"] == []


@pytest.mark.parametrize("criteria", [{}, {"name": "*"}, {"name": "*", "mime_type": "*/*"}])
def test_omitted_criteria_do_not_select_everything(
    cleanup: Any, library: SandboxLibrary, criteria: dict[str, str]
) -> None:
    library.store("a", PNG)
    library.forget()
    with pytest.raises(
        MediaConfigurationError, match=r"^No filter given: .* or select_all=True; nothing was deleted\.$"
    ):
        cleanup(**criteria, dry_run=False)
    assert library.methods() == ""
    assert len(cleanup(**criteria, dry_run=False, select_all=True)["deleted"]) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": ""}, "name must not be ''"),
        ({"name": "None"}, "name must not be 'None'"),
        ({"folder_id": "None"}, "folder_id must not be 'None'"),
        ({"older_than": 0}, "older_than must be a timedelta or a number of seconds above 0, not 0"),
        ({"older_than": "soon"}, "older_than must be"),
        ({"older_than": True}, "older_than must be"),
        ({"older_than": 1e300}, "older_than must be"),
        ({"keep_last": 0}, "keep_last must be an integer"),
        ({"name": "a", "max_deletions": 0}, "max_deletions must be"),
        ({"name": "a", "on_reference": "ask"}, "on_reference must be one of fail, skip"),
        ({"name": "a", "dry_run": "None"}, "dry_run must be true or false"),
    ],
)
def test_invalid_arguments_send_no_request(
    cleanup: Any, library: SandboxLibrary, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(MediaConfigurationError, match=sentence):
        cleanup(**arguments)
    assert library.methods() == ""


def test_exceeding_max_deletions_deletes_nothing(cleanup: Any, library: SandboxLibrary) -> None:
    for number in range(4):
        library.store(f"spring-{number}", PNG)
    with pytest.raises(MediaConfigurationError, match=r"^4 files selected, more than max_deletions=3\. ") as caught:
        cleanup(name="spring-*", max_deletions=3, dry_run=False)
    assert len(names(library)) == 4
    dry_run = cleanup(name="spring-*", max_deletions=3)
    assert (dry_run["deleted"], dry_run["error"]) == ([], str(caught.value))
    assert len(cleanup(name="spring-*", max_deletions=4, dry_run=False)["deleted"]) == 4


def used_by_summer(media: Media) -> list[str]:
    return ["summer"] if media.name == "spring-b" else []


def test_a_file_in_use_prevents_the_cleanup(cleanup: Any, library: SandboxLibrary) -> None:
    ids = [library.store(name, PNG) for name in ("spring-a", "spring-b")]
    with pytest.raises(MediaInUseError, match=rf"media {ids[1]} by summer\. Nothing was deleted\.") as caught:
        cleanup(name="spring-*", references=used_by_summer, dry_run=False)
    dry_run = cleanup(name="spring-*", references=used_by_summer)
    assert dry_run == {
        "dry_run": True,
        "deleted": [],
        "missing": [],
        "refused": {str(ids[1]): ["summer"]},
        "error": str(caught.value),
    }
    assert names(library) == ["spring-a", "spring-b"]


def test_cleanup_skips_files_in_use(cleanup: Any, library: SandboxLibrary) -> None:
    ids = [library.store(name, PNG) for name in ("spring-a", "spring-b")]
    arguments = {"name": "spring-*", "references": used_by_summer, "on_reference": "skip"}
    dry_run = cleanup(**arguments)
    outcome = cleanup(**arguments, dry_run=False)
    assert outcome == {
        "dry_run": False,
        "deleted": [ids[0]],
        "missing": [],
        "refused": {str(ids[1]): ["summer"]},
        "error": None,
    }
    assert dry_run == outcome | {"dry_run": True}
    assert names(library) == ["spring-b"]


def test_a_missing_references_list_prevents_all_deletions(
    cleanup: Any, library: SandboxLibrary, tmp_path: Path, connect: Any
) -> None:
    media_id = library.store("spring", PNG)
    missing = ListedReferences(path=tmp_path / "in-use.json")
    conn_id = connect(library.sandbox.base_url).media_conn_id
    (tmp_path / "new.png").write_bytes(PNG + b"new")
    delete = MediaDeleteOperator(task_id="d", media_id=media_id, references=missing, media_conn_id=conn_id)
    replace = MediaUploadOperator(
        task_id="u",
        file=str(tmp_path / "new.png"),
        name="spring",
        if_exists="replace",
        references=missing,
        media_conn_id=conn_id,
    )
    library.forget()
    for attempt in (
        lambda: cleanup(name="spring", references=missing, on_reference="skip", dry_run=False),
        lambda: delete.execute({}),
        lambda: replace.execute({}),
    ):
        with pytest.raises(MediaInUseError, match="Could not determine which files are in use"):
            attempt()
    assert library.count("DELETE") == library.count("POST") == 0
    missing.write({media_id + 1: ["summer"]})
    assert cleanup(name="spring", references=missing, dry_run=False)["deleted"] == [media_id]


@pytest.mark.parametrize("dry_run", [True, False])
def test_allow_delete_false_prevents_the_cleanup(
    cleanup: Any, library: SandboxLibrary, connect: Any, dry_run: Any
) -> None:
    library.store("spring", PNG)
    conn_id = connect(library.sandbox.base_url, allow_delete=False).media_conn_id
    with pytest.raises(MediaConfigurationError, match="does not allow deletions"):
        cleanup(name="spring", dry_run=dry_run, conn_id=conn_id)
    assert names(library) == ["spring"]


def test_a_date_omitted_by_the_list_is_fetched(
    cleanup: Any, raw_server: Callable[..., RawServer], connect: Any
) -> None:
    """The list has no dates. Of one file the GET has none either; another no longer exists."""
    from tests.contract.helpers.raw_server import http_response

    dates = {"1": "2020-01-01T00:00:00Z", "2": None}

    def serve(head: str) -> bytes:
        method, target, _ = head.split(" ", 2)
        media_id = target.rpartition("/")[2]
        if "limit=" in target:
            return http_response(
                200, {"content": [{"id": number, "name": "a"} for number in (1, 2, 3)], "totalElements": 3}
            )
        if media_id not in dates:
            return http_response(404, {})
        if method == "DELETE":
            return http_response(204, None)
        return http_response(200, {"id": int(media_id), "name": "a", "createdAt": dates[media_id]})

    server = raw_server(serve)
    conn_id = connect(server.url).media_conn_id
    assert cleanup(older_than=3600, dry_run=False, conn_id=conn_id)["deleted"] == [1]
    assert [line.split(" ")[0] for line in server.lines] == ["GET", "GET", "GET", "GET", "GET", "GET", "DELETE"]


def test_cleanup_keeps_a_reused_id_of_a_stale_list(
    cleanup: Any, raw_server: Callable[..., RawServer], connect: Any
) -> None:
    """The list still shows three files of the name; by now, id 2 belongs to another file."""
    from tests.contract.helpers.raw_server import http_response

    names_now = {"1": "spring", "2": "contract", "3": "spring"}

    def serve(head: str) -> bytes:
        method, target, _ = head.split(" ", 2)
        media_id = target.rpartition("/")[2]
        if "limit=" in target:
            listed = [{"id": number, "name": "spring", "size": 5} for number in (1, 2, 3)]
            return http_response(200, {"content": listed, "totalElements": 3})
        if method == "DELETE":
            return http_response(204, None)
        return http_response(200, {"id": int(media_id), "name": names_now[media_id], "size": 5})

    server = raw_server(serve)
    outcome = cleanup(name="spring", dry_run=False, conn_id=connect(server.url).media_conn_id)
    assert (outcome["deleted"], outcome["missing"]) == ([1, 3], [2])
    assert [line.split(" ")[0] for line in server.lines].count("DELETE") == 2


@pytest.mark.parametrize(
    ("listed", "users"),
    [({"id": 7}, ["med_7"]), ({"mediaId": "med_7"}, ["7"]), ({"id": 7}, ["7"]), ({"mediaId": "med_7"}, ["med_7"])],
)
@pytest.mark.parametrize("on_reference", ["fail", "skip"])
def test_cleanup_protects_a_file_by_an_id_that_only_a_get_shows(
    cleanup: Any,
    raw_server: Callable[..., RawServer],
    connect: Any,
    tmp_path: Path,
    listed: Any,
    users: list[str],
    on_reference: str,
) -> None:
    from tests.contract.helpers.raw_server import http_response

    file = {"name": "spring", "size": 5}

    def serve(head: str) -> bytes:
        if "limit=" in head.split(" ", 2)[1]:
            return http_response(200, {"content": [file | listed], "totalElements": 1})
        return http_response(200, file | {"id": 7, "mediaId": "med_7"})

    server = raw_server(serve)
    in_use = ListedReferences(path=tmp_path / "in-use.json")
    in_use.write(users)
    arguments = {"name": "spring", "references": in_use, "on_reference": on_reference}
    conn_id = connect(server.url).media_conn_id
    assert list(cleanup(**arguments, conn_id=conn_id)["refused"]) == [str(next(iter(listed.values())))]
    if on_reference == "fail":
        with pytest.raises(MediaInUseError, match=r"Nothing was deleted\."):
            cleanup(**arguments, dry_run=False, conn_id=conn_id)
    else:
        assert cleanup(**arguments, dry_run=False, conn_id=conn_id)["deleted"] == []
    assert not [line for line in server.lines if line.startswith("DELETE")]


def test_cleanup_over_max_deletions_gets_no_file_for_its_ids(cleanup: Any, library: SandboxLibrary) -> None:
    for _ in range(3):
        library.store("spring", PNG)
    library.forget()
    outcome = cleanup(name="spring", max_deletions=2, references=lambda _: [])
    assert outcome["error"].startswith("3 files selected, more than max_deletions=2")
    assert library.methods() == "GET GET"


def test_a_file_deleted_during_the_cleanup_is_missing(cleanup: Any, library: SandboxLibrary) -> None:
    ids = [library.store("spring", PNG) for _ in range(2)]

    def delete_one(media: Media) -> list[str]:
        if media.id == ids[0]:
            library.delete(ids[0])
        return []

    outcome = cleanup(name="spring", references=delete_one, dry_run=False)
    assert (outcome["deleted"], outcome["missing"]) == ([ids[1]], [ids[0]])


def test_a_retry_returns_the_deletions_of_earlier_attempts(cleanup: Any, library: SandboxLibrary) -> None:
    ids = [library.store("spring", PNG) for _ in range(3)]
    store = FakeStore()
    library.fail("status", method="DELETE", status=400, skip=1)
    with pytest.raises(Exception, match="400"):
        cleanup(name="spring", dry_run=False, store=store)
    assert len(library.files()) == 2
    for _ in range(2):  # the second succeeds, but Airflow may lose its result
        assert cleanup(name="spring", dry_run=False, store=store)["deleted"] == ids
    assert names(library) == []


ONE_ATTEMPT = """
import json, sys
from tests.helpers.fake_store import FakeStore
from airflow_provider_media.operators.media import MediaCleanupOperator

class StoreOnDisk(FakeStore):
    def set(self, key, value):
        super().set(key, value)
        with open(sys.argv[1], "w") as stream:
            json.dump(self.kept, stream)

operator = MediaCleanupOperator(task_id="clean_up", name="spring", dry_run=False, media_conn_id="media_1")
operator.execute({"task_state_store": StoreOnDisk()})
"""


def test_a_retry_after_sigkill_returns_all_deletions(cleanup: Any, library: SandboxLibrary, tmp_path: Path) -> None:
    ids = [library.store("spring", PNG) for _ in range(12)]
    other = library.store("summer", PNG)
    library.fail("slow", method="DELETE", delay_seconds=0.2, times=len(ids))
    kept_at = tmp_path / "state.json"
    with WarmProcess(ONE_ATTEMPT, kept_at) as first_attempt:
        while library.count("DELETE") < 4:
            assert first_attempt.poll() is None, first_attempt.stderr
            time.sleep(0.02)
        first_attempt.kill()
    library._control("DELETE", "faults")
    store = FakeStore()
    store.kept = json.loads(kept_at.read_text())
    left = len(library.files()) - 1
    assert 0 < left < len(ids)
    outcome = cleanup(name="spring", dry_run=False, store=store)

    assert (sorted(outcome["deleted"]), outcome["missing"]) == (ids, [])
    assert [file["id"] for file in library.files()] == [other]


def test_sync_checks_the_references_list(library: SandboxLibrary, connect: Any, tmp_path: Path) -> None:
    old = library.store("banner.png", PNG + b"old")
    folder = Folder(tmp_path / "summer")
    folder.write("banner.png")
    in_use = ListedReferences(path=tmp_path / "in-use.json")
    sync = Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)
    library.forget()
    for users, sentence in (
        (None, "Could not determine which files are in use"),
        ([old], f"{old} is used by an entry in the file .*"),
    ):
        if users:
            in_use.write(users)
        with pytest.raises(MediaInUseError, match=sentence):
            sync(references=in_use)
        assert library.count("POST") == library.count("DELETE") == 0
    in_use.write([old + 1000])
    assert sync(references=in_use)["banner.png"]["action"] == "replace"


def test_a_rejected_key_fails_the_cleanup(cleanup: Any, library: SandboxLibrary, connect: Any) -> None:
    conn_id = connect(library.sandbox.base_url, "another key").media_conn_id
    with pytest.raises(MediaAuthError):
        cleanup(name="a", conn_id=conn_id)
