"""Every new file is reported, for any kind of ids and dates, and across restarts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_media._api import flows
from airflow_provider_media._polling import cursor as cursor_module
from airflow_provider_media._polling import newest as newest_module
from airflow_provider_media._polling.cursor import CONFIRM_SECONDS, Cursor, ReadDepth
from airflow_provider_media._polling.newest import list_newest
from tests.unit.helpers.fake_library import FakeLibrary
from tests.unit.helpers.id_styles import STYLES

if TYPE_CHECKING:
    from airflow_provider_media._polling.newest import NewestMedia

NOW = 1_782_907_200.0
INTERVAL = 60.0
REMEMBERED = 20
PAGE = 50
AN_HOUR = 3600.0
IMPORTED = 10**15


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_module, "MIN_REMEMBERED", REMEMBERED)
    defaults = flows.Paginator.__init__.__kwdefaults__ | {"page_size": PAGE}  # type: ignore[operator]
    monkeypatch.setattr(flows.Paginator.__init__, "__kwdefaults__", defaults)


class Watcher:
    """A poll and one watcher; each poll advances the time by an interval.

    :param library: the library that is polled.
    """

    def __init__(self, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
        self.library = library
        self.now = NOW
        self.reported: set[str] = set()
        self._kept: Any = None
        self._cursor: Cursor | None = None
        self._depth = ReadDepth()
        monkeypatch.setattr(cursor_module.time, "time", lambda: self.now)

    def store(self, **fields: Any) -> str:
        """Store a file now."""
        created = datetime.fromtimestamp(self.now, UTC).isoformat(timespec="microseconds")
        self.now += 0.001
        return str(self.library.add(**({"createdAt": created} | fields))["id"])

    def let_files_age(self) -> None:
        """Poll until all seen files are old."""
        for _ in range(8):
            self.poll()

    def restart(self) -> None:
        """Lose all state but the saved cursor."""
        self._depth = ReadDepth()
        self._cursor = None if self._kept is None else Cursor.from_dict(json.loads(json.dumps(self._kept)))

    def poll(self) -> None:
        """Poll as the trigger does, repeated until all new files are listed."""
        for _ in range(5):
            newest: NewestMedia = self.library.run(
                list_newest(sort_by=self._depth.sort_by, down_to=self._depth.down_to)
            )
            self._depth.update(newest)
            self._cursor = self._cursor or Cursor.at_newest(newest)
            if (floor := self._cursor.unread_below(newest)) is None:
                break
            self._depth.request(floor, newest.sort_by)
        assert self._cursor
        if newest.media and newest.sort_by != self._cursor.sort_by:
            self._cursor = self._cursor.rebase(newest) or Cursor.at_newest(newest)
        for position, media in self._cursor.new_in(newest):
            self.reported.add(str(media.id))
            self._cursor.mark_seen(position, media, self.now)
        self._cursor.prune(self.now, to_remember=newest.to_remember)
        self._kept = self._cursor.to_dict(self.now)
        self.now += INTERVAL


@pytest.mark.parametrize("style", STYLES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_new_file_is_reported(style: str, data: st.DataObject) -> None:
    """In small and large libraries, with and without imported ids and dates in the future."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        watcher = Watcher(FakeLibrary(ids=STYLES[style]()), monkeypatch)
        for _ in range(data.draw(st.sampled_from([0, 3, 15, 70, 130]), "existing files")):
            watcher.store()
        watcher.poll()
        added: set[str] = set()
        steps = st.lists(st.sampled_from(["files", "files", "imported", "future", "restart", "quiet"]), max_size=12)
        for number, step in enumerate(data.draw(steps, "steps")):
            if step == "files":
                added |= {watcher.store() for _ in range(data.draw(st.integers(1, 12), "files"))}
            elif step == "imported":
                added.add(watcher.store(id=IMPORTED + number))
            elif step == "future":
                created = datetime.fromtimestamp(watcher.now + AN_HOUR, UTC).isoformat(timespec="microseconds")
                added.add(watcher.store(createdAt=created))
            elif step == "restart":
                watcher.restart()
            else:
                watcher.now += 10 * INTERVAL
            watcher.poll()
        assert added <= watcher.reported


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("first", [0, 10])
def test_small_library_needs_no_dates(style: str, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(FakeLibrary(ids=STYLES[style]()), monkeypatch)
    for _ in range(first):
        watcher.store(createdAt=None)
    watcher.poll()
    added = set()
    for _ in range(9):
        added.add(watcher.store(createdAt=None))
        watcher.poll()
        watcher.restart()
    assert added == watcher.reported


@pytest.mark.parametrize("hazard", [{"id": IMPORTED}, {"createdAt": "2999-01-01T00:00:00Z"}], ids=["id", "date"])
@pytest.mark.parametrize("style", ["growing", "strings"])
def test_files_after_an_outlier_are_reported_once(
    hazard: dict[str, Any], style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Watcher(FakeLibrary(ids=STYLES[style]()), monkeypatch)
    for _ in range(100):
        watcher.store()
    watcher.poll()
    added = {watcher.store(**hazard)}
    watcher.let_files_age()
    for _ in range(70):
        added.add(watcher.store())
        watcher.poll()
        if watcher.now - NOW > CONFIRM_SECONDS:
            watcher.restart()
    assert added == watcher.reported


def test_imported_id_without_dates_hides_no_later_file(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(FakeLibrary(), monkeypatch)
    for _ in range(100):
        watcher.store(createdAt=None)
    watcher.poll()
    added = {watcher.store(id=IMPORTED, createdAt=None)}
    watcher.let_files_age()
    for _ in range(70):
        added.add(watcher.store(createdAt=None))
        watcher.poll()
        watcher.restart()
    assert added == watcher.reported


def test_many_dates_in_the_future_hide_no_later_file(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(FakeLibrary(ids=STYLES["strings"]()), monkeypatch)
    for _ in range(100):
        watcher.store()
    watcher.poll()
    added = {watcher.store(createdAt="2999-01-01T00:00:00Z") for _ in range(2 * REMEMBERED)}
    watcher.let_files_age()
    watcher.restart()
    added.add(watcher.store())
    watcher.poll()
    assert added == watcher.reported


def test_ids_of_several_counters_are_ordered_by_date(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(FakeLibrary(ids=STYLES["sharded"]()), monkeypatch)
    for _ in range(6 * PAGE):  # the greatest ids are all of one counter
        watcher.store()
    watcher.poll()
    added = {watcher.store() for _ in range(9)}
    watcher.poll()
    assert added == watcher.reported


def test_burst_after_an_imported_id_is_read_completely(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(FakeLibrary(), monkeypatch)
    for _ in range(100):
        watcher.store(createdAt=None)
    watcher.poll()
    added = {watcher.store(id=IMPORTED, createdAt=None)}
    watcher.poll()
    added |= {watcher.store(createdAt=None) for _ in range(4 * PAGE)}
    watcher.poll()
    assert added == watcher.reported


def test_reused_id_is_reported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(FakeLibrary(), monkeypatch)
    for _ in range(100):
        watcher.store()
    watcher.poll()
    watcher.library.files.pop()
    watcher.store(id=100)
    watcher.poll()
    assert watcher.reported == {"100"}


def test_growing_library_takes_one_request_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(FakeLibrary(), monkeypatch)
    for _ in range(300):
        watcher.store()
    watcher.poll()
    assert len(watcher.library.calls) == 2  # the newest by id, and by date
    for _ in range(20):
        for _ in range(3):
            watcher.store()
        watcher.library.calls.clear()
        watcher.poll()
        assert len(watcher.library.calls) == 1
