"""An interrupted sync: the retry finishes it, without duplicates."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaError, MediaRequestError, MediaUnavailableError
from tests.contract.helpers.sandbox_library import sha256_of
from tests.contract.helpers.syncing import PNG, Folder, Syncing
from tests.helpers.warm_python import WarmProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.helpers.sandbox_library import SandboxLibrary

FILES = 60
IN_TIME = 30

ONE_TRY = """
import json, sys
from tests.helpers.fake_store import FakeStore
from airflow_provider_media.operators.media import MediaSyncOperator

source, kept_at = sys.argv[1:]

class StoreOnDisk(FakeStore):
    def set(self, key, value):
        super().set(key, value)
        with open(kept_at, "w") as stream:
            json.dump(self.kept, stream)

operator = MediaSyncOperator(task_id="sync", source=source, media_conn_id="media_1")
operator.execute({"task_state_store": StoreOnDisk()})
"""


@pytest.fixture
def sync(folder: Folder, connect: Any, library: SandboxLibrary) -> Syncing:
    return Syncing(folder.root, connect(library.sandbox.base_url, max_attempts=1).media_conn_id)


def waits(caplog: pytest.LogCaptureFixture) -> int:
    return caplog.text.count("A previous attempt was interrupted; waiting 0.2 s")


def test_a_retry_after_sigkill_ends_with_exactly_the_files(
    folder: Folder,
    sync: Syncing,
    library: SandboxLibrary,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder.write(*(f"{number:03}.png" for number in range(FILES)))
    assert sync.arguments["media_conn_id"] == "media_1"
    # From the 30th on, files are stored a while after their bytes: some are stored after the death.
    library.fail("store_late", skip=IN_TIME, times=FILES, delay_seconds=0.15)
    kept_at = tmp_path / "state.json"
    with WarmProcess(ONE_TRY, folder.root, kept_at) as first_try:
        while library.count("POST") < IN_TIME + 8:
            assert first_try.poll() is None, first_try.stderr
            time.sleep(0.02)
        first_try.kill()
    library._control("DELETE", "faults")
    assert IN_TIME <= len(library.files()) < FILES
    sync.store.kept = json.loads(kept_at.read_text())
    library.forget()
    manifest = sync()

    stored = library.files()
    assert waits(caplog) == 1
    assert len(stored) == len(manifest) == FILES
    assert {media["name"]: media["id"] for media in stored} == {path: entry["id"] for path, entry in manifest.items()}
    assert all(sha256_of(media["url"]) == sha256_of((folder.root / media["name"]).read_bytes()) for media in stored)
    assert library.count("POST") <= FILES - IN_TIME
    assert sync.store.kept == {}


def test_a_checkpoint_is_saved_before_the_first_byte(
    folder: Folder, sync: Syncing, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_media._sync.executor import SyncExecutor

    library.store("there.png", PNG)
    folder.write("banner.png")
    seen: list[Any] = []
    monkeypatch.setattr(SyncExecutor, "execute", lambda *_: seen.append(sync.store.checkpoint("media_sync")) or [])
    sync()

    (state,) = seen
    assert (state["sending"], state["baseline"]["is_complete"]) == (True, True)
    assert sync.store.kept == {}


def test_a_retry_after_an_orderly_end_does_not_wait(
    folder: Folder, sync: Syncing, library: SandboxLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("1.png", "2.png")
    library.fail("status", status=400)
    with pytest.raises(MediaRequestError):
        sync()
    sync()
    assert waits(caplog) == 0
    assert len(library.files()) == 2


def test_a_retry_deletes_the_old_version_without_an_upload(
    folder: Folder, sync: Syncing, library: SandboxLibrary
) -> None:
    old = library.store("banner.png", PNG + b"old")
    folder.write("banner.png")
    library.fail("status", method="DELETE", status=503)
    sentence = rf"banner.png  Uploaded as \d+, but could not delete {old}: "
    with pytest.raises(MediaUnavailableError, match=sentence):
        sync()
    assert len(library.files()) == 2
    library.forget()
    manifest = sync()

    assert library.methods() == "GET GET GET DELETE"
    assert manifest["banner.png"]["action"] == "replace"
    assert [media["id"] for media in library.files()] == [manifest["banner.png"]["id"]]


def test_old_versions_that_no_attempt_replaced_are_kept(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    """Somebody keeps two of that name; that another file failed says nothing about them."""
    other, same = library.store("banner.png", PNG + b"other"), library.store("banner.png", PNG + b"banner.png")
    folder.write("banner.png", "new.png")
    library.fail("status", status=400)
    with pytest.raises(MediaRequestError):
        sync()
    manifest = sync()

    assert manifest["banner.png"]["id"] == same
    assert other in [media["id"] for media in library.files()]


@pytest.mark.parametrize(("began_ago", "left"), [(timedelta(minutes=1), 1), (timedelta(minutes=-1), 2)])
def test_before_airflow_3_3_a_retry_waits_and_finishes(
    began_ago: timedelta,
    left: int,
    folder: Folder,
    sync: Syncing,
    library: SandboxLibrary,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library.store("banner.png", PNG + b"old")
    began = datetime.now(UTC)
    folder.write("banner.png")
    library.store("banner.png", PNG + b"banner.png")
    context: Any = {
        "ti": SimpleNamespace(try_number=2, map_index=-1),
        "dag_run": SimpleNamespace(start_date=began if began_ago > timedelta(0) else began - began_ago),
    }
    manifest = sync.operator().execute(context)

    assert waits(caplog) == 1
    assert len(library.files()) == left
    assert manifest["banner.png"]["id"] == library.files()[-1]["id"]


def test_a_stopped_task_breaks_off_what_it_sends_promptly(
    folder: Folder, connect: Any, own_library: SandboxLibrary
) -> None:
    sync = Syncing(folder.root, connect(own_library.sandbox.base_url, timeout=90).media_conn_id)
    folder.write(*(f"{number}.png" for number in range(30)))
    own_library.fail("slow", delay_seconds=60, times=30)
    operator = sync.operator()
    monitored: list[float] = []

    def stop() -> None:
        while len(own_library.pending()) and own_library.pending()[0]["times"] > 22:  # eight are being sent
            time.sleep(0.05)
        monitored.append(time.monotonic())
        operator.on_kill()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(MediaError, match="the task was stopped"):
        operator.execute({"task_state_store": sync.store})  # type: ignore[typeddict-unknown-key]
    took = time.monotonic() - monitored[0]
    stopper.join()

    assert took < 20
    assert sync.store.checkpoint("media_sync")["sending"] is True
