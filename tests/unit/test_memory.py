"""The memory of an upload in Airflow's task state, with a store that has just a dict."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.upload_memory import Begun
from airflow_provider_media.models import Media
from airflow_provider_media.operators._memory import (
    KEY,
    SYNC_KEY,
    DeletedMemory,
    EarlierTries,
    SyncMemory,
    upload_memory,
)
from tests.helpers.fake_store import FakeStore
from tests.unit.helpers.fake_library import PNG, make_upload

BASELINE = Baseline(newest_id=7, is_complete=False)
BEGUN = Begun(baseline=BASELINE)
STORED = Begun(baseline=BASELINE, stored_id=8, replaced=(3, "med_a"))


def context(store: FakeStore, *, cleared_after_try: int = 0) -> Any:
    """Make what a task with three retries has, never cleared or cleared once."""
    ti = SimpleNamespace(max_tries=cleared_after_try + 3, task=SimpleNamespace(retries=3))
    return {"task_state_store": store, "ti": ti}


def memory(store: FakeStore, *, cleared_after_try: int = 0) -> Any:
    return upload_memory(context(store, cleared_after_try=cleared_after_try))


def test_without_a_task_state_store_there_is_no_memory() -> None:
    assert upload_memory({}) is None  # type: ignore[arg-type,typeddict-item]


def test_a_new_task_remembers_nothing() -> None:
    assert memory(FakeStore()).recall(make_upload()) is None


@pytest.mark.parametrize("baseline", [BASELINE, Baseline(known={"med_a": None, "med_b": 7}), Baseline()])
def test_the_next_try_of_the_same_file_recalls_the_baseline(baseline: Baseline) -> None:
    store = FakeStore()
    memory(store).keep(make_upload(), Begun(baseline=baseline))
    assert memory(store).recall(make_upload()) == Begun(baseline=baseline)


def test_the_next_try_of_the_same_file_recalls_what_came_of_it() -> None:
    store = FakeStore()
    memory(store).keep(make_upload(), STORED)
    assert memory(store).recall(make_upload()) == STORED


@pytest.mark.parametrize(("begun", "recalled"), [(BEGUN, BEGUN), (STORED, None)])
def test_a_cleared_task_starts_afresh_save_for_what_was_cut_off(begun: Begun, recalled: Begun | None) -> None:
    store = FakeStore()
    memory(store).keep(make_upload(), begun)
    assert memory(store, cleared_after_try=2).recall(make_upload()) == recalled


@pytest.mark.parametrize(("done", "recalled"), [(False, [1, 2]), (True, [])])
def test_a_cleared_task_knows_of_deletes_only_where_they_were_cut_off(done: bool, recalled: list[int]) -> None:  # noqa: FBT001
    store = FakeStore()
    first = DeletedMemory(context(store))
    (first.end if done else first.keep)([1, 2])
    assert DeletedMemory(context(store)).recall() == [1, 2]
    assert DeletedMemory(context(store, cleared_after_try=1)).recall() == recalled


@pytest.mark.parametrize("other", [make_upload(PNG + b"."), make_upload(PNG[:-1] + b"q"), make_upload(name="other")])
def test_another_file_recalls_nothing(other: Any) -> None:
    store = FakeStore()
    memory(store).keep(make_upload(), BEGUN)
    assert memory(store).recall(other) is None


def test_what_is_forgotten_is_not_recalled() -> None:
    store = FakeStore()
    kept = memory(store)
    kept.keep(make_upload(), BEGUN)
    assert list(store.kept) == [KEY]
    kept.forget()
    assert store.kept == {}
    kept.forget()
    assert memory(store).recall(make_upload()) is None


def sync_memory(store: FakeStore | None) -> SyncMemory:
    return SyncMemory({} if store is None else {"task_state_store": store})  # type: ignore[arg-type,typeddict-item,typeddict-unknown-key]


def test_the_next_try_of_a_sync_knows_what_the_first_one_began_with() -> None:
    store = FakeStore()
    assert sync_memory(store).recall() == EarlierTries()
    sync_memory(store).begin(BASELINE)
    second = sync_memory(store)
    assert second.recall() == EarlierTries(were_cut_off=True, baseline=BASELINE)
    second.begin(Baseline(newest_id=99, is_complete=False))
    second.end()
    third = sync_memory(store)
    assert third.recall() == EarlierTries(were_cut_off=False, baseline=BASELINE)
    third.forget()
    assert store.kept == {}


def test_more_ids_than_a_task_state_holds_are_not_kept() -> None:
    store = FakeStore()
    sync_memory(store).begin(Baseline(known=dict.fromkeys(map(str, range(3000)))))
    assert len(store.kept[SYNC_KEY]) < 100
    assert sync_memory(store).recall() == EarlierTries(were_cut_off=True)


def test_without_a_task_state_store_a_sync_keeps_nothing() -> None:
    memory = sync_memory(None)
    memory.begin(BASELINE)
    memory.end()
    memory.forget()
    assert memory.recall() == EarlierTries()


def test_what_earlier_tries_sent_is_newer_than_their_mark() -> None:
    earlier = EarlierTries(baseline=BASELINE)
    assert [earlier.sent(Media(id=media_id)) for media_id in (6, 7, 8)] == [False, False, True]
    assert not EarlierTries().sent(Media(id=8))
