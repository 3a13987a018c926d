"""What an earlier attempt of a task left in its state, when the next one has other arguments or another library."""

from __future__ import annotations

import json
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaNotFoundError
from airflow_provider_media.operators.media import MediaDeleteOperator, MediaSyncOperator, MediaUploadOperator
from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings
from airflow_provider_media.sensors.media import MediaExistsSensor
from tests.contract.helpers.sandbox_library import SandboxLibrary
from tests.helpers.fake_store import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.helpers.syncing import Folder

PNG = b"\x89PNG\r\n\x1a\n"


class Task:
    """One task in one run; each attempt has the store, and nothing else, of those before it."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self._attempts = count(1)

    def attempt(self) -> Any:
        """Return the context of the next attempt."""
        number = next(self._attempts)
        ti = SimpleNamespace(
            id=f"{id(self)}-{number}",
            try_number=number,
            max_tries=3,
            map_index=-1,
            start_date=None,
            task=SimpleNamespace(retries=3),
            get_first_reschedule_date=lambda _: None,
            xcom_push=lambda **_: None,
        )
        return {"task_state_store": self.store, "ti": ti}


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
def other_library() -> Iterator[SandboxLibrary]:
    """Another account's library, of which the first ids are taken."""
    with run_in_thread(SandboxSettings(api_key="key-of-the-tests")) as sandbox:
        library = SandboxLibrary(sandbox)
        for number in range(3):
            library.store(f"someone-elses-{number}", PNG)
        yield library


@pytest.fixture
def upload(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Execute an upload in a context: ``upload(context, conn_id, **arguments)``."""
    (tmp_path / "banner.png").write_bytes(PNG + b"banner")

    def execute(context: Any, conn_id: str, **arguments: Any) -> dict[str, Any]:
        operator = MediaUploadOperator(
            **{"task_id": "upload", "file": str(tmp_path / "banner.png"), "media_conn_id": conn_id, **arguments}
        )
        try:
            return operator.execute(context)
        finally:
            operator.hook.close()

    return execute


def names(library: SandboxLibrary) -> list[str]:
    return [media["name"] for media in library.files()]


IF_EXISTS = ["upload", "reuse", "replace", "fail"]


@pytest.mark.parametrize("if_exists", IF_EXISTS)
def test_a_retry_to_another_connection_uploads_there(
    own_library: SandboxLibrary, other_library: SandboxLibrary, connect: Any, task: Task, upload: Any, if_exists: str
) -> None:
    one, other = connect(own_library.sandbox.base_url), connect(other_library.sandbox.base_url)
    upload(task.attempt(), one.media_conn_id, if_exists=if_exists)
    stored = upload(task.attempt(), other.media_conn_id, if_exists=if_exists)
    assert (stored["name"], stored["created"]) == ("banner.png", True)
    assert names(other_library).count("banner.png") == names(own_library).count("banner.png") == 1


def test_an_identical_file_in_another_library_is_not_reused(
    own_library: SandboxLibrary, other_library: SandboxLibrary, connect: Any, task: Task, upload: Any
) -> None:
    for number in range(3):
        own_library.store(f"{number}.png", PNG)
    equal = other_library.store("banner.png", PNG + b"banner")
    first = upload(task.attempt(), connect(own_library.sandbox.base_url).media_conn_id, if_exists="upload")
    assert first["id"] == equal
    second = upload(task.attempt(), connect(other_library.sandbox.base_url).media_conn_id, if_exists="upload")
    assert second["id"] != equal


@pytest.mark.parametrize("if_exists", IF_EXISTS)
def test_a_retry_with_another_base_address_uploads_there(
    own_library: SandboxLibrary,
    other_library: SandboxLibrary,
    task: Task,
    upload: Any,
    monkeypatch: pytest.MonkeyPatch,
    if_exists: str,
) -> None:
    for library in (own_library, other_library):
        connection = {"conn_type": "media", "host": library.sandbox.base_url, "password": "key-of-the-tests"}
        monkeypatch.setenv("AIRFLOW_CONN_MEDIA_MOVED", json.dumps(connection))
        assert upload(task.attempt(), "media_moved", if_exists=if_exists)["created"] is True
        assert names(library).count("banner.png") == 1


@pytest.mark.parametrize("if_exists", IF_EXISTS)
def test_a_retry_into_another_folder_uploads_there(
    own_library: SandboxLibrary, connect: Any, task: Task, upload: Any, if_exists: str
) -> None:
    conn_id = connect(own_library.sandbox.base_url).media_conn_id
    folders = [
        upload(task.attempt(), conn_id, if_exists=if_exists, folder_id=folder)["folder_id"] for folder in (5, 7, 7)
    ]
    assert folders == [5, 7, 7]
    assert [media["folderId"] for media in own_library.files()] == [5, 7]


def test_a_retry_with_another_rule_follows_that_rule(
    own_library: SandboxLibrary, connect: Any, task: Task, upload: Any
) -> None:
    conn_id = connect(own_library.sandbox.base_url).media_conn_id
    first = upload(task.attempt(), conn_id, if_exists="reuse")
    assert upload(task.attempt(), conn_id, if_exists="reuse") == first
    assert upload(task.attempt(), conn_id, if_exists="upload")["id"] != first["id"]


def test_a_new_key_is_still_the_same_library(
    task: Task, upload: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port, ids = 0, []
    for key in ("key-of-monday", "key-of-tuesday"):
        settings = SandboxSettings(api_key=key, data_dir=tmp_path / "library", port=port)
        with run_in_thread(settings) as sandbox:
            port = int(sandbox.base_url.rpartition(":")[2])
            connection = {"conn_type": "media", "host": sandbox.base_url, "password": key}
            monkeypatch.setenv("AIRFLOW_CONN_MEDIA_ROTATED", json.dumps(connection))
            ids.append(upload(task.attempt(), "media_rotated", if_exists="upload")["id"])
    assert ids[0] == ids[1]


def test_each_operator_call_in_a_task_uploads_its_file(
    own_library: SandboxLibrary, connect: Any, task: Task, upload: Any
) -> None:
    conn_id = connect(own_library.sandbox.base_url).media_conn_id
    attempts = [
        [upload(context, conn_id, if_exists="upload", task_id=task_id)["id"] for task_id in ("a", "b", "b", "a")]
        for context in (task.attempt(), task.attempt())
    ]
    assert len(set(attempts[0])) == 4
    assert attempts[1] == attempts[0]  # a retry finds each its own


def test_an_operator_twice_within_one_task_resumes_after_the_first(
    own_library: SandboxLibrary, connect: Any, task: Task, upload: Any
) -> None:
    """The first attempt dies between the two uploads; the second one has a file for each."""
    conn_id = connect(own_library.sandbox.base_url).media_conn_id
    first = upload(task.attempt(), conn_id, if_exists="upload")
    context = task.attempt()
    ids = [upload(context, conn_id, if_exists="upload")["id"] for _ in range(2)]
    assert ids[0] == first["id"] != ids[1]
    assert len(own_library.files()) == 2


@pytest.mark.parametrize("if_exists", IF_EXISTS)
@pytest.mark.parametrize("other", [("other.png", PNG + b"banner"), ("banner.png", PNG + b"longer than the banner")])
def test_a_reused_id_is_not_returned(
    own_library: SandboxLibrary,
    connect: Any,
    task: Task,
    upload: Any,
    if_exists: str,
    other: tuple[str, bytes],
) -> None:
    conn_id = connect(own_library.sandbox.base_url).media_conn_id
    first = upload(task.attempt(), conn_id, if_exists=if_exists)
    own_library.delete(first["id"])
    stranger = own_library.store(*other)
    ((key, value),) = task.store.kept.items()
    task.store.kept[key] = value.replace(f'"stored_id": {first["id"]}', f'"stored_id": {stranger}')
    assert str(stranger) in task.store.kept[key]
    stored = upload(task.attempt(), conn_id, if_exists=if_exists)
    assert (stored["name"], stored["size"]) == ("banner.png", len(PNG + b"banner"))


def test_what_was_deleted_in_one_library_is_missing_in_another(
    own_library: SandboxLibrary, other_library: SandboxLibrary, connect: Any, task: Task
) -> None:
    def delete(library: SandboxLibrary) -> dict[str, Any]:
        operator = MediaDeleteOperator(
            task_id="delete", media_id=media_id, media_conn_id=connect(library.sandbox.base_url).media_conn_id
        )
        try:
            return operator.execute(task.attempt())
        finally:
            operator.hook.close()

    media_id = [own_library.store(f"{number}.png", PNG) for number in range(9)][-1]
    assert delete(own_library)["deleted"] == [media_id]
    with pytest.raises(MediaNotFoundError):
        delete(other_library)


def test_an_interrupted_sync_affects_only_its_library(
    own_library: SandboxLibrary,
    other_library: SandboxLibrary,
    connect: Any,
    task: Task,
    folder: Folder,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow_provider_media._sync.executor import SyncExecutor

    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    def sync(library: SandboxLibrary) -> Any:
        conn_id = connect(library.sandbox.base_url).media_conn_id
        operator = MediaSyncOperator(task_id="sync", source=str(folder.root), media_conn_id=conn_id)
        return operator.execute(task.attempt())

    folder.write("banner.png")
    with monkeypatch.context() as patched:
        patched.setattr(SyncExecutor, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sync(own_library)
    sync(other_library)
    assert "was interrupted" not in caplog.text
    assert "banner.png" in names(other_library)


def test_a_sensor_checkpoint_counts_only_in_its_library(
    own_library: SandboxLibrary, other_library: SandboxLibrary, connect: Any, task: Task
) -> None:
    exceptions = pytest.importorskip("airflow.sdk.exceptions", reason="only Airflow 3.3 has a task state store")
    if not hasattr(exceptions, "AirflowRescheduleException"):
        pytest.skip("only Airflow 3.3 has a task state store")

    def wait(library: SandboxLibrary) -> Any:
        sensor = MediaExistsSensor(
            task_id="wait",
            names=["a", "b"],
            mode="reschedule",
            poke_interval=60,
            media_conn_id=connect(library.sandbox.base_url).media_conn_id,
        )
        try:
            return sensor.execute(task.attempt())
        finally:
            sensor.hook.close()

    own_library.store("a", PNG)
    with pytest.raises(exceptions.AirflowRescheduleException):
        wait(own_library)
    assert task.store.checkpoint("media_wait")["found"].keys() == {"a"}
    started = task.store.checkpoint("media_wait")["started"]
    other_library.store("b", PNG)
    with pytest.raises(exceptions.AirflowRescheduleException):
        wait(other_library)
    assert task.store.checkpoint("media_wait")["found"].keys() == {"b"}
    assert task.store.checkpoint("media_wait")["started"] == started
