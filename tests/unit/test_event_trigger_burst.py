"""A burst of files, Airflow that writes their events one after the other, and a triggerer that is killed meanwhile."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._polling.cursor import LATE_SECONDS, Cursor
from airflow_provider_media._polling.newest import NewestMedia
from airflow_provider_media.models import Media
from airflow_provider_media.triggers import _event_delivery

events = pytest.importorskip("airflow_provider_media.triggers.events", reason="Airflow 2 has no event triggers",
                             exc_type=ImportError)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WRITING_SECONDS = 0.1
LOOK_EVERY_SECONDS = 21
OLD = 10


class Clock:
    """Time that passes as the test says; stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 1_782_907_200.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (events, _event_delivery):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(_event_delivery.backlog, "_written_at", 0.0)
    return clock


class Store:
    """Airflow's asset state store, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def aget(self, key: str) -> Any:
        return self.kept.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self.kept[key] = json.loads(json.dumps(value))


def listed(names: list[str | None]) -> NewestMedia:
    """List files with ids from 1 on, without those that are None."""
    media = tuple((number, Media(id=number, name=name)) for number, name in enumerate(names, start=1) if name)
    return NewestMedia(media=media, sort_by="id", complete_from=None)


def watch(store: Store, clock: Clock, looks: list[NewestMedia], *, every: float = 0) -> dict[int, float]:
    """Let a triggerer look; tell when Airflow has written which event."""
    written: dict[int, float] = {}

    async def stream() -> AsyncIterator[NewestMedia]:
        for arrivals in looks:
            yield arrivals
            clock.now += every

    async def main() -> None:
        trigger = events.MediaEventTrigger(name="summer-*")
        trigger.asset_state_store = store
        async for event in trigger.filter_shared_stream(stream()):
            written[event.payload["id"]] = max([clock.now, *list(written.values())[-1:]]) + WRITING_SECONDS

    asyncio.run(main())
    return written


@pytest.mark.parametrize(("files", "looks"), [(300, 2), (1000, 2), (1000, 4), (1000, 6), (4000, 5), (4000, 20)])
def test_what_airflow_has_not_written_when_it_dies_is_given_again(clock: Clock, files: int, looks: int) -> None:
    before = ["old"] * OLD
    burst = [*before, *["summer-1"] * files, *["winter"] * 10]
    store = Store()

    written = watch(store, clock, [listed(before), *[listed(burst)] * looks], every=LOOK_EVERY_SECONDS)
    killed_at = clock.now - LOOK_EVERY_SECONDS  # just after the last look
    safe = {media_id for media_id, moment in written.items() if moment <= killed_at}
    (kept,) = store.kept.values()
    assert len(json.dumps(kept)) < 64 * 1024
    again = {media.id for _, media in Cursor.from_dict(kept).new_in(listed(burst)) if media.name == "summer-1"}

    assert safe | again == set(range(OLD + 1, OLD + files + 1))


def test_a_late_file_whose_event_is_kept_back_is_not_lost(clock: Clock) -> None:
    """It is kept back because of the one before, while a newer file than it becomes old."""
    store, every = Store(), 10
    before, newer = listed(["old"]), listed(["old", None, "winter"])
    one_given = listed(["old", None, "winter", "summer-1"])
    one_late = listed(["old", "summer-0", "winter", "summer-1"])
    looks = [before, *[newer] * (round(LATE_SECONDS / every) - 1), one_given, one_late]
    assert list(watch(store, clock, looks, every=every)) == [4]
    assert 2 in watch(store, clock, [one_late] * 3, every=LOOK_EVERY_SECONDS)


def test_what_was_given_long_ago_is_not_given_again(clock: Clock) -> None:
    burst = [*["old"] * OLD, *["summer-1"] * 1000]
    store = Store()
    watch(store, clock, [listed(burst[:OLD]), *[listed(burst)] * 20], every=LOOK_EVERY_SECONDS)
    assert watch(store, clock, [listed(burst)]) == {}


def test_the_events_of_other_watchers_are_written_before(clock: Clock) -> None:
    """A triggerer writes those of all its watchers one after the other."""
    burst = [*["old"] * OLD, *["summer-1"] * 1000]
    watch(Store(), clock, [listed(burst[:OLD]), listed(burst)])
    store = Store()
    one_more = [*burst, "summer-2"]
    assert len(watch(store, clock, [listed(burst), *[listed(one_more)] * 2], every=LOOK_EVERY_SECONDS)) == 1
    clock.now += 40
    assert len(watch(store, clock, [listed(one_more)])) == 1


# --- what outlives a change of the arguments --------------------------------------------------------------------------


def key_of(**arguments: Any) -> str:
    trigger, store = events.MediaEventTrigger(**arguments), Store()

    async def main() -> None:
        trigger.asset_state_store = store

        async def stream() -> AsyncIterator[NewestMedia]:
            yield listed(["old"])

        assert [event async for event in trigger.filter_shared_stream(stream())] == []

    asyncio.run(main())
    (key,) = store.kept
    return key


def test_the_cursor_is_kept_whatever_the_interval() -> None:
    assert key_of(name="a", poll_interval=5) == key_of(name="a")


def test_an_argument_that_a_later_release_adds_does_not_lose_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    now = key_of(name="a")
    arguments = events.MediaEventTrigger._arguments.fget
    later = property(lambda trigger: arguments(trigger) | {"later": 3})
    monkeypatch.setattr(events.MediaEventTrigger, "_arguments", later)
    assert key_of(name="a") == now


def test_watchers_for_different_files_keep_cursors_of_their_own() -> None:
    different = [{}, {"name": "a"}, {"mime_type": "a"}, {"folder_id": 7}, {"folder_id": "7"}, {"media_conn_id": "a"}]
    assert len({key_of(**arguments) for arguments in different}) == len(different)


# --- another order of arrival -----------------------------------------------------------------------------------------


def test_a_watcher_that_cannot_tell_what_is_new_begins_anew_and_says_so(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def texts(*names: str) -> NewestMedia:
        media = tuple((number, Media(id=name, name=name)) for number, name in enumerate(names))
        return NewestMedia(media=media, sort_by="createdAt", complete_from=None)

    first = replace(listed(["summer-1"]), complete_from=1, page_length=2)  # of a library with older files
    looks = [first, texts("summer-2"), texts("summer-2", "summer-3")]
    assert list(watch(Store(), clock, looks)) == ["summer-3"]
    assert "The watcher starts after the newest file" in caplog.text
