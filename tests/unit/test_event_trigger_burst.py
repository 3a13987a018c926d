"""A burst of files, while Airflow writes their events one by one and the triggerer is killed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._polling.cursor import LATE_SECONDS, Cursor, ReadDepth
from airflow_provider_media._polling.newest import NewestMedia
from airflow_provider_media.models import Media

events = pytest.importorskip("airflow_provider_media.triggers.events", reason="Airflow 2 has no event triggers",
                             exc_type=ImportError)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WRITING_SECONDS = 0.1
POLL_INTERVAL_SECONDS = 21
OLD = 10


class Clock:
    """A clock that the test advances; replaces the module ``time``."""

    def __init__(self) -> None:
        self.now = 1_782_907_200.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(events, "time", clock)
    monkeypatch.setattr(events._EventDelay, "written_at", 0.0)
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


def watch(store: Store, clock: Clock, polls: list[NewestMedia], *, every: float = 0) -> dict[int, float]:
    """Run a watcher; return when Airflow has written the event of each file."""
    written: dict[int, float] = {}

    async def stream() -> AsyncIterator[tuple[NewestMedia, ReadDepth]]:
        for newest in polls:
            yield newest, ReadDepth()
            clock.now += every

    async def main() -> None:
        trigger = events.MediaEventTrigger(name="summer-*")
        trigger.asset_state_store = store
        async for event in trigger.filter_shared_stream(stream()):
            written[event.payload["id"]] = max([clock.now, *list(written.values())[-1:]]) + WRITING_SECONDS

    asyncio.run(main())
    return written


@pytest.mark.parametrize(("files", "polls"), [(300, 2), (1000, 2), (1000, 4), (1000, 6), (4000, 5), (4000, 20)])
def test_unwritten_events_are_yielded_again_after_a_crash(clock: Clock, files: int, polls: int) -> None:
    before = ["old"] * OLD
    burst = [*before, *["summer-1"] * files, *["winter"] * 10]
    store = Store()

    written = watch(store, clock, [listed(before), *[listed(burst)] * polls], every=POLL_INTERVAL_SECONDS)
    killed_at = clock.now - POLL_INTERVAL_SECONDS  # just after the last poll
    safe = {media_id for media_id, moment in written.items() if moment <= killed_at}
    (kept,) = store.kept.values()
    assert len(json.dumps(kept)) < 64 * 1024
    again = {media.id for _, media in Cursor.from_dict(kept).new_in(listed(burst)) if media.name == "summer-1"}

    assert safe | again == set(range(OLD + 1, OLD + files + 1))


def test_held_event_of_a_late_file_is_not_lost(clock: Clock) -> None:
    """Its event is held because of an earlier one, while a newer file becomes old."""
    store, every = Store(), 10
    before, newer = listed(["old"]), listed(["old", None, "winter"])
    one_given = listed(["old", None, "winter", "summer-1"])
    one_late = listed(["old", "summer-0", "winter", "summer-1"])
    polls = [before, *[newer] * (round(LATE_SECONDS / every) - 1), one_given, one_late]
    assert list(watch(store, clock, polls, every=every)) == [4]
    assert 2 in watch(store, clock, [one_late] * 3, every=POLL_INTERVAL_SECONDS)


def test_old_events_are_not_yielded_again(clock: Clock) -> None:
    burst = [*["old"] * OLD, *["summer-1"] * 1000]
    store = Store()
    watch(store, clock, [listed(burst[:OLD]), *[listed(burst)] * 20], every=POLL_INTERVAL_SECONDS)
    assert watch(store, clock, [listed(burst)]) == {}


def test_events_of_other_watchers_delay_the_last_one(clock: Clock) -> None:
    """A triggerer writes the events of all its watchers one by one."""
    burst = [*["old"] * OLD, *["summer-1"] * 1000]
    watch(Store(), clock, [listed(burst[:OLD]), listed(burst)])
    store = Store()
    one_more = [*burst, "summer-2"]
    assert len(watch(store, clock, [listed(burst), *[listed(one_more)] * 2], every=POLL_INTERVAL_SECONDS)) == 1
    clock.now += 40
    assert len(watch(store, clock, [listed(one_more)])) == 1


# --- changes of the arguments --------------------------------------------------------------------------


def key_of(**arguments: Any) -> str:
    trigger, store = events.MediaEventTrigger(**arguments), Store()

    async def main() -> None:
        trigger.asset_state_store = store

        async def stream() -> AsyncIterator[tuple[NewestMedia, ReadDepth]]:
            yield listed(["old"]), ReadDepth()

        assert [event async for event in trigger.filter_shared_stream(stream())] == []

    asyncio.run(main())
    (key,) = store.kept
    return key


def test_cursor_is_independent_of_the_interval() -> None:
    assert key_of(name="a", poll_interval=5) == key_of(name="a")


def test_argument_added_by_a_later_release_keeps_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    now = key_of(name="a")
    arguments = events.MediaEventTrigger._arguments.fget
    later = property(lambda trigger: arguments(trigger) | {"later": 3})
    monkeypatch.setattr(events.MediaEventTrigger, "_arguments", later)
    assert key_of(name="a") == now


def test_watchers_with_different_filters_have_separate_cursors() -> None:
    different = [{}, {"name": "a"}, {"mime_type": "a"}, {"folder_id": 7}, {"folder_id": "7"}, {"media_conn_id": "a"}]
    assert len({key_of(**arguments) for arguments in different}) == len(different)


# --- a change of the sort order ---------------------------------------------------------------------------------------


def test_watcher_restarts_with_a_warning_if_the_order_changed(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    def with_string_ids(*names: str) -> NewestMedia:
        media = tuple((number, Media(id=name, name=name)) for number, name in enumerate(names))
        return NewestMedia(media=media, sort_by="createdAt", complete_from=None)

    first = replace(listed(["summer-1"]), complete_from=1, page_length=2)  # of a library with older files
    polls = [first, with_string_ids("summer-2"), with_string_ids("summer-2", "summer-3")]
    assert list(watch(Store(), clock, polls)) == ["summer-3"]
    assert "The watcher starts after the newest file" in caplog.text
