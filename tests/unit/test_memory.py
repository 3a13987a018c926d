"""The memory of an upload in Airflow's task state, with a store that has just a dict."""

from __future__ import annotations

from typing import Any

import pytest
from fake_library import PNG, make_upload
from waiting_task import FakeStore

from airflow_provider_media._api.upload_flow import Mark
from airflow_provider_media.operators._memory import KEY, upload_memory

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
