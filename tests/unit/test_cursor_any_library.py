"""Each file that comes is reported, whatever the ids and dates of the library are, and across restarts."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_media._api import flows
from airflow_provider_media._polling import newest as arrivals_module
from airflow_provider_media._polling.cursor import CONFIRM_SECONDS, Cursor
from airflow_provider_media._polling.newest import list_newest
from airflow_provider_media.triggers import _event_poll
from airflow_provider_media.triggers._event_poll import ReadDepth
from tests.unit.helpers.fake_library import FakeLibrary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_media._polling.newest import NewestMedia

NOW = 1_782_907_200.0
INTERVAL = 60.0
REMEMBERED = 20
PAGE = 50
AN_HOUR = 3600.0
IMPORTED = 10**15


def shuffled(start: int) -> list[int]:
    return random.Random(7).sample(range(start, start + 10**6), 2000)


def alternating(*iterators: Iterator[Any]) -> Iterator[Any]:
    while True:
        yield from (next(iterator) for iterator in iterators)


STYLES: dict[str, Any] = {
    "growing": lambda: iter(range(1, 9999)),
    "growing from afar": lambda: iter(range(10**12, 10**12 + 9999)),
    "counting down": lambda: iter(range(10**6, 0, -1)),
    "random": lambda: iter(shuffled(1)),
    "sharded": lambda: alternating(*(iter(range(shard * 10**9, shard * 10**9 + 9999)) for shard in (1, 2, 3))),
    "texts": lambda: (f"med_{number:x}" for number in shuffled(1)),
    "both kinds": lambda: alternating(iter(range(1, 9999)), (f"med_{number:x}" for number in shuffled(1))),
}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals_module, "MIN_REMEMBERED", REMEMBERED)
    defaults = flows.Paginator.__init__.__kwdefaults__ | {"page_size": PAGE}  # type: ignore[operator]
    monkeypatch.setattr(flows.Paginator.__init__, "__kwdefaults__", defaults)


class Subscription:
    """A poll and one watcher, in time that passes by the look.

    :param library: what is watched.
    """

    def __init__(self, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
        self.library = library
        self.now = NOW
        self.reported: set[str] = set()
        self._kept: Any = None
        self._cursor: Cursor | None = None
        self._depth = ReadDepth()
        monkeypatch.setattr(_event_poll.time, "time", lambda: self.now)

    def store(self, **fields: Any) -> str:
        """Store a file now."""
        created = datetime.fromtimestamp(self.now, UTC).isoformat(timespec="microseconds")
        self.now += 0.001
        return str(self.library.add(**({"createdAt": created} | fields))["id"])

    def pass_quietly(self) -> None:
        """Let so much time pass that what was seen is old."""
        for _ in range(8):
            self.look()

    def restart(self) -> None:
        """Lose all but what was kept."""
        self._depth = ReadDepth()
        self._cursor = None if self._kept is None else Cursor.from_dict(json.loads(json.dumps(self._kept)))

    def look(self) -> None:
        """Look as the trigger does, as often as it takes to see all that it asks for."""
        for _ in range(5):
            arrivals: NewestMedia = self.library.run(
                list_newest(sort_by=self._depth.sort_by, down_to=self._depth.down_to)
            )
            self._depth.update(arrivals)
            self._cursor = self._cursor or Cursor.at_newest(arrivals)
            if (floor := self._cursor.unread_below(arrivals)) is None:
                break
            self._depth.request(floor, arrivals.sort_by)
        assert self._cursor
        if arrivals.media and arrivals.sort_by != self._cursor.sort_by:
            self._cursor = self._cursor.rebase(arrivals) or Cursor.at_newest(arrivals)
        for place, media in self._cursor.new_in(arrivals):
            self.reported.add(str(media.id))
            self._cursor.mark_seen(place, media, self.now)
        self._cursor.prune(self.now, to_remember=arrivals.to_remember)
        self._kept = self._cursor.to_dict(self.now)
        self.now += INTERVAL


@pytest.mark.parametrize("style", STYLES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_later_file_is_reported(style: str, data: st.DataObject) -> None:
    """In libraries of few files and of many, with an imported id or a date in the future, or with none."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        watch = Subscription(FakeLibrary(ids=STYLES[style]()), monkeypatch)
        for _ in range(data.draw(st.sampled_from([0, 3, 15, 70, 130]), "files at first")):
            watch.store()
        watch.look()
        came: set[str] = set()
        steps = st.lists(st.sampled_from(["files", "files", "imported", "future", "restart", "quiet"]), max_size=12)
        for number, step in enumerate(data.draw(steps, "steps")):
            if step == "files":
                came |= {watch.store() for _ in range(data.draw(st.integers(1, 12), "files"))}
            elif step == "imported":
                came.add(watch.store(id=IMPORTED + number))
            elif step == "future":
                created = datetime.fromtimestamp(watch.now + AN_HOUR, UTC).isoformat(timespec="microseconds")
                came.add(watch.store(createdAt=created))
            elif step == "restart":
                watch.restart()
            else:
                watch.now += 10 * INTERVAL
            watch.look()
        assert came <= watch.reported


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("first", [0, 10])
def test_a_small_library_needs_no_dates(style: str, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Subscription(FakeLibrary(ids=STYLES[style]()), monkeypatch)
    for _ in range(first):
        watch.store(createdAt=None)
    watch.look()
    came = set()
    for _ in range(9):
        came.add(watch.store(createdAt=None))
        watch.look()
        watch.restart()
    assert came == watch.reported


@pytest.mark.parametrize("hazard", [{"id": IMPORTED}, {"createdAt": "2999-01-01T00:00:00Z"}], ids=["id", "date"])
@pytest.mark.parametrize("style", ["growing", "texts"])
def test_an_hour_after_an_imported_id_or_a_date_in_the_future_all_is_reported_once(
    hazard: dict[str, Any], style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Subscription(FakeLibrary(ids=STYLES[style]()), monkeypatch)
    for _ in range(100):
        watch.store()
    watch.look()
    came = {watch.store(**hazard)}
    watch.pass_quietly()
    for _ in range(70):
        came.add(watch.store())
        watch.look()
        if watch.now - NOW > CONFIRM_SECONDS:
            watch.restart()
    assert came == watch.reported


def test_without_dates_an_imported_id_does_not_hide_those_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Subscription(FakeLibrary(), monkeypatch)
    for _ in range(100):
        watch.store(createdAt=None)
    watch.look()
    came = {watch.store(id=IMPORTED, createdAt=None)}
    watch.pass_quietly()
    for _ in range(70):
        came.add(watch.store(createdAt=None))
        watch.look()
        watch.restart()
    assert came == watch.reported


def test_more_dates_in_the_future_than_are_remembered_hide_no_later_file(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Subscription(FakeLibrary(ids=STYLES["texts"]()), monkeypatch)
    for _ in range(100):
        watch.store()
    watch.look()
    came = {watch.store(createdAt="2999-01-01T00:00:00Z") for _ in range(2 * REMEMBERED)}
    watch.pass_quietly()
    watch.restart()
    came.add(watch.store())
    watch.look()
    assert came == watch.reported


def test_several_counters_are_watched_by_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Subscription(FakeLibrary(ids=STYLES["sharded"]()), monkeypatch)
    for _ in range(6 * PAGE):  # the greatest ids are all of one counter
        watch.store()
    watch.look()
    came = {watch.store() for _ in range(9)}
    watch.look()
    assert came == watch.reported


def test_a_burst_after_an_imported_id_is_read_down_to_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Subscription(FakeLibrary(), monkeypatch)
    for _ in range(100):
        watch.store(createdAt=None)
    watch.look()
    came = {watch.store(id=IMPORTED, createdAt=None)}
    watch.look()
    came |= {watch.store(createdAt=None) for _ in range(4 * PAGE)}
    watch.look()
    assert came == watch.reported


def test_an_id_that_is_used_again_is_reported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Subscription(FakeLibrary(), monkeypatch)
    for _ in range(100):
        watch.store()
    watch.look()
    watch.library.files.pop()
    watch.store(id=100)
    watch.look()
    assert watch.reported == {"100"}


def test_a_growing_library_takes_one_request_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Subscription(FakeLibrary(), monkeypatch)
    for _ in range(300):
        watch.store()
    watch.look()
    assert len(watch.library.calls) == 2  # the newest by id, and by date
    for _ in range(20):
        for _ in range(3):
            watch.store()
        watch.library.calls.clear()
        watch.look()
        assert len(watch.library.calls) == 1
