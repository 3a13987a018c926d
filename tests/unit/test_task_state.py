"""The checkpoints in Airflow's task state store: what they are about, and what is ignored; the store is a dict."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._airflow.task_state import TaskState
from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._deletion.delete import DeletionCheckpoint
from airflow_provider_media._polling.criteria import WaitCheckpoint
from airflow_provider_media._sync.manifest import SyncCheckpoint
from airflow_provider_media._upload.checkpoint import MAX_BASELINE_IDS, UploadCheckpoint
from airflow_provider_media.models import Media
from tests.helpers.fake_store import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
BASELINE = Baseline(known={"med_a": 7}, newest_id=7)
INTERRUPTED = UploadCheckpoint(baseline=BASELINE)
STORED = UploadCheckpoint(baseline=BASELINE, stored_id=8, stored_name="banner", replaced=(3, "med_a"))
CHECKPOINTS = [
    INTERRUPTED,
    STORED,
    SyncCheckpoint(sending=True, baseline=BASELINE),
    SyncCheckpoint(sending=False, baseline=None),
    DeletionCheckpoint(ids=(1, "med_a")),
    WaitCheckpoint(started=NOON, library="media_default http://h", found={"1": [Media(id=1)]}, failures=2),
]
ABOUT = {
    "base_url": "http://h/media",
    "conn_id": "media_eu",
    "folder_id": 5,
    "if_exists": "upload",
    "name": "banner",
    "size": 32,
    "sha256": "ab",
}


def context(store: Any, *, attempt: object = None, cleared_after_try: int = 0) -> Any:
    """Make what a task with three retries has, never cleared or cleared once."""
    ti = SimpleNamespace(id=attempt, max_tries=cleared_after_try + 3, task=SimpleNamespace(retries=3))
    return {"task_state_store": store, "ti": ti}


def upload_state(
    store: Any, *, task_id: str = "upload", attempt: object = None, cleared_after_try: int = 0, **about: Any
) -> Any:
    state = TaskState(
        context(store, attempt=attempt, cleared_after_try=cleared_after_try), UploadCheckpoint, task_id=task_id
    )
    state.identify(lambda: ABOUT | about)
    return state


def deletion_state(store: Any) -> TaskState[DeletionCheckpoint]:
    return TaskState(context(store), DeletionCheckpoint, task_id="delete")


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: type(checkpoint).__name__)
def test_the_next_attempt_loads_what_the_last_one_saved(checkpoint: Any) -> None:
    store = FakeStore()
    TaskState(context(store), type(checkpoint), task_id="t").save(checkpoint)
    assert TaskState(context(store), type(checkpoint), task_id="t").load() == checkpoint


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: type(checkpoint).__name__)
def test_without_a_store_nothing_is_kept(checkpoint: Any) -> None:
    state = TaskState({}, type(checkpoint), task_id="t")  # type: ignore[typeddict-item]
    state.identify(lambda: pytest.fail("no digest is needed"))
    state.save(checkpoint)
    state.delete()
    assert (state.load(), state.is_kept) == (None, False)


@pytest.mark.parametrize("about", ABOUT, ids=str)
def test_a_checkpoint_of_another_library_or_file_is_ignored(about: str) -> None:
    store = FakeStore()
    upload_state(store).save(STORED)
    assert upload_state(store, **{about: "another"}).load() is None
    assert upload_state(store).load() == STORED


def test_two_operators_of_one_task_have_a_checkpoint_each() -> None:
    store = FakeStore()
    upload_state(store, task_id="first").save(STORED)
    assert upload_state(store, task_id="second").load() is None


def test_equal_calls_of_one_attempt_have_their_own_checkpoints() -> None:
    store = FakeStore()
    for attempt in ("try 1", "try 2"):
        for number in (1, 2, 3):
            state = upload_state(store, attempt=attempt)
            stored = UploadCheckpoint(baseline=BASELINE, stored_id=number)
            assert state.load() == (None if attempt == "try 1" else stored)
            state.save(stored)
    assert upload_state(store, attempt="try 3", name="other").load() is None


@pytest.mark.parametrize(("checkpoint", "loaded"), [(INTERRUPTED, INTERRUPTED), (STORED, None)])
def test_a_cleared_task_loads_only_interrupted_uploads(checkpoint: Any, loaded: Any) -> None:
    store = FakeStore()
    upload_state(store).save(checkpoint)
    assert upload_state(store, cleared_after_try=2).load() == loaded


def test_appended_ids_are_stored_in_small_values_of_linear_size() -> None:
    store = FakeStore()
    ids = tuple(f"med_{number:012x}" for number in range(2000))
    state = deletion_state(store)
    state.save(DeletionCheckpoint(ids=ids[:500]))
    for number, media_id in enumerate(ids[500:], 501):
        state.append(media_id)
        if number % 100 == 0:
            assert deletion_state(store).load() == DeletionCheckpoint(ids=ids[:number])
    assert max(map(len, store.kept.values())) < 1200
    assert store.written_bytes < 1200 * len(ids)
    state.save(DeletionCheckpoint(ids=ids[:3], is_done=True))
    assert deletion_state(store).load() == DeletionCheckpoint(ids=ids[:3], is_done=True)


def test_a_part_of_an_earlier_list_is_not_read() -> None:
    store = FakeStore()
    ids = tuple(range(10**9, 10**9 + 300))
    deletion_state(store).save(DeletionCheckpoint(ids=ids))
    state = deletion_state(store)
    state.save(DeletionCheckpoint())
    for count, media_id in enumerate(ids[100:], 1):
        state.append(media_id)
        assert deletion_state(store).load() == DeletionCheckpoint(ids=ids[100 : 100 + count])


@pytest.mark.parametrize("written", range(6))
def test_a_kill_between_two_writes_keeps_the_earlier_ids(written: int) -> None:
    store = FakeStore()
    state = deletion_state(store)
    ids = list(range(10**9, 10**9 + 200))
    state.save(DeletionCheckpoint())
    for media_id in ids[:83]:
        state.append(media_id)

    class Killed(BaseException):
        pass

    set_value, remaining = store.set, iter(range(written))

    def set_until_killed(key: str, value: Any) -> None:
        if next(remaining, None) is None:
            raise Killed
        set_value(key, value)

    store.set = set_until_killed  # type: ignore[method-assign]
    saved = 83
    with suppress(Killed):
        for media_id in ids[83:]:
            state.append(media_id)
            saved += 1
    loaded = deletion_state(store).load()
    assert loaded is not None
    assert loaded.ids in {tuple(ids[:saved]), tuple(ids[: saved + 1])}


@pytest.mark.parametrize(
    ("checkpoint", "is_loaded"),
    [
        (DeletionCheckpoint(ids=(1, 2)), True),
        (DeletionCheckpoint(ids=(1, 2), is_done=True), False),
        (SyncCheckpoint(sending=True, baseline=None), True),
        (WaitCheckpoint(started=NOON), False),
    ],
)
def test_a_cleared_task_loads_what_may_still_be_under_way(checkpoint: Any, *, is_loaded: bool) -> None:
    store = FakeStore()
    TaskState(context(store), type(checkpoint), task_id="t").save(checkpoint)
    cleared = TaskState(context(store, cleared_after_try=1), type(checkpoint), task_id="t")
    assert cleared.load() == (checkpoint if is_loaded else None)


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept | {"format": 1},
        lambda kept: kept | {"format": None},
        lambda kept: kept | {"checkpoint": {}},
        lambda kept: kept | {"checkpoint": ["stored_id"]},
        lambda kept: kept | {"checkpoint": kept["checkpoint"] | {"stored_id": {"id": 8}}},
        lambda kept: kept | {"checkpoint": kept["checkpoint"] | {"stored_id": True}},
        lambda kept: kept | {"checkpoint": kept["checkpoint"] | {"stored_id": ".."}},
        lambda kept: kept | {"checkpoint": kept["checkpoint"] | {"stored_id": "None"}},
        lambda kept: kept | {"checkpoint": kept["checkpoint"] | {"replaced": "37"}},
        lambda kept: kept | {"checkpoint": kept["checkpoint"] | {"baseline": {"newest_id": 7, "namesakes": []}}},
        lambda _: {"upload": {}, "mark": {"newest_id": 7, "namesakes": []}, "stored_id": 8, "replaced": []},
        lambda _: [8],
        lambda _: "8",
        lambda _: 8,
    ],
)
def test_a_value_of_another_format_or_shape_is_ignored(change: Callable[[Any], Any]) -> None:
    store = FakeStore()
    upload_state(store).save(STORED)
    ((key, kept),) = store.kept.items()
    store.set(key, change(json.loads(kept)))
    assert upload_state(store).load() is None


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (SyncCheckpoint, {"sending": "yes", "baseline": None}),
        (SyncCheckpoint, {"sending": False, "baseline": None, "receipts": {}, "ended_at": 10**400}),
        (DeletionCheckpoint, {"ids": [True], "is_done": False}),
        (DeletionCheckpoint, {"ids": [1], "is_done": "no"}),
        (DeletionCheckpoint, {"ids": [[1]], "is_done": False}),
        (WaitCheckpoint, {"started": "noon", "library": None, "found": {}, "failures": 0}),
        (WaitCheckpoint, {"started": "2026-07-01T12:00:00", "library": None, "found": {}, "failures": 0}),
        (WaitCheckpoint, {"started": "0001-01-01T00:00:00+05:00", "library": None, "found": {}, "failures": 0}),
        (WaitCheckpoint, {"started": NOON.isoformat(), "library": None, "found": {"1": 1}, "failures": 0}),
    ],
)
def test_invalid_checkpoints_are_ignored(kind: Any, values: Any) -> None:
    store = FakeStore()
    TaskState(context(store), kind, task_id="t").save(SimpleNamespace(to_dict=values.copy))
    assert TaskState(context(store), kind, task_id="t").load() is None


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class BrokenStore:
    """Fails as Airflow's does when the API server cannot be reached."""

    def get(self, _key: str) -> Any:
        raise RuntimeError("API_SERVER_ERROR")

    def set(self, _key: str, _value: Any) -> None:
        raise RuntimeError("API_SERVER_ERROR")

    delete = get


def test_a_store_that_fails_does_not_fail_the_task(caplog: pytest.LogCaptureFixture) -> None:
    state = upload_state(BrokenStore())
    assert state.load() is None
    state.save(STORED)
    state.delete()
    assert [caplog.text.count(f"Could not {what} the checkpoint") for what in ("read", "write", "delete")] == [1, 1, 1]


def test_what_is_deleted_is_not_loaded() -> None:
    store = FakeStore()
    state = upload_state(store)
    state.save(INTERRUPTED)
    state.delete()
    assert store.kept == {}
    state.delete()
    assert upload_state(store).load() is None


def test_a_large_baseline_is_reduced_or_omitted() -> None:
    known = dict.fromkeys(map(str, range(MAX_BASELINE_IDS + 1)))
    assert Baseline(known=known).reduced(max_known=MAX_BASELINE_IDS) is None
    assert Baseline(known=known, newest_id=7).reduced(max_known=MAX_BASELINE_IDS) == Baseline(
        newest_id=7, is_complete=False
    )
    full = Baseline(known={f"med_{number:032x}": 1_782_907_200_123_456 for number in range(MAX_BASELINE_IDS)})
    assert full.reduced(max_known=MAX_BASELINE_IDS) is full
    assert len(json.dumps(full.to_dict())) < 60_000


def test_a_second_attempt_without_a_store_counts_as_interrupted() -> None:
    def earlier(try_number: int, store: FakeStore | None) -> SyncCheckpoint:
        started = SimpleNamespace(start_date=NOON)
        task: Any = {"ti": SimpleNamespace(try_number=try_number), "dag_run": started, "task_state_store": store}
        return SyncCheckpoint.load(TaskState(task, SyncCheckpoint, task_id="sync"), task)

    assert earlier(1, None) == earlier(2, FakeStore()) == SyncCheckpoint()
    assert earlier(2, None) == SyncCheckpoint(sending=True, since=NOON)


def test_what_earlier_attempts_sent_is_newer_than_their_baseline() -> None:
    earlier = SyncCheckpoint(baseline=Baseline(newest_id=7, is_complete=False))
    assert [earlier.may_have_sent(Media(id=media_id)) for media_id in (6, 7, 8)] == [False, False, True]
    assert not SyncCheckpoint().may_have_sent(Media(id=8))


def test_a_store_error_without_text_does_not_fail_the_task(caplog: pytest.LogCaptureFixture) -> None:
    class Store:
        def get(self, _key: str) -> None:
            raise UnprintableError

    assert upload_state(Store()).load() is None
    assert "Could not read the checkpoint" in caplog.text
    assert "UnprintableError" in caplog.text
