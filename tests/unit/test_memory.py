"""The memory of an upload in Airflow's task state, with a store that has just a dict."""

from __future__ import annotations

from typing import Any

import pytest
from fake_library import PNG, make_upload
from fake_store import FakeStore

from airflow_provider_media._api.upload_flow import Mark
from airflow_provider_media.models import Media
from airflow_provider_media.operators._memory import KEY, SYNC_KEY, EarlierTries, SyncMemory, upload_memory

MARK = Mark(newest_id=7)


def memory(store: FakeStore) -> Any:
    return upload_memory({"task_state_store": store})  # type: ignore[arg-type,typeddict-item,typeddict-unknown-key]


def test_without_a_task_state_store_there_is_no_memory() -> None:
    assert upload_memory({}) is None  # type: ignore[arg-type,typeddict-item]


def test_a_new_task_remembers_nothing() -> None:
    assert memory(FakeStore()).recall(make_upload()) is None


@pytest.mark.parametrize("mark", [MARK, Mark(namesakes=("med_a", "med_b")), Mark()])
def test_the_next_try_of_the_same_file_recalls_the_mark(mark: Mark) -> None:
    store = FakeStore()
    memory(store).keep(make_upload(), mark)
    assert memory(store).recall(make_upload()) == mark


@pytest.mark.parametrize("other", [make_upload(PNG + b"."), make_upload(PNG[:-1] + b"q"), make_upload(name="other")])
def test_another_file_recalls_nothing(other: Any) -> None:
    store = FakeStore()
    memory(store).keep(make_upload(), MARK)
    assert memory(store).recall(other) is None


def test_what_is_forgotten_is_not_recalled() -> None:
    store = FakeStore()
    kept = memory(store)
    kept.keep(make_upload(), MARK)
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
    sync_memory(store).begin(MARK)
    second = sync_memory(store)
    assert second.recall() == EarlierTries(were_cut_off=True, mark=MARK)
    second.begin(Mark(newest_id=99))
    second.end()
    third = sync_memory(store)
    assert third.recall() == EarlierTries(were_cut_off=False, mark=MARK)
    third.forget()
    assert store.kept == {}


def test_more_ids_than_a_task_state_holds_are_not_kept() -> None:
    store = FakeStore()
    sync_memory(store).begin(Mark(namesakes=tuple(map(str, range(3000)))))
    assert len(store.kept[SYNC_KEY]) < 100
    assert sync_memory(store).recall() == EarlierTries(were_cut_off=True)


def test_without_a_task_state_store_a_sync_keeps_nothing() -> None:
    memory = sync_memory(None)
    memory.begin(MARK)
    memory.end()
    memory.forget()
    assert memory.recall() == EarlierTries()


def test_what_earlier_tries_sent_is_newer_than_their_mark() -> None:
    earlier = EarlierTries(mark=MARK)
    assert [earlier.sent(Media(id=media_id)) for media_id in (6, 7, 8)] == [False, False, True]
    assert not EarlierTries().sent(Media(id=8))
