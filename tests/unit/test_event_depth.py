"""How far down the poll behind event triggers reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_media._polling.newest import NewestMedia, list_newest
from airflow_provider_media.triggers._event_poll import ReadDepth
from tests.unit.helpers.fake_library import FakeLibrary

if TYPE_CHECKING:
    import pytest

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def library_of(*ids: int | str) -> FakeLibrary:
    library = FakeLibrary(ids=iter(ids))
    for number in range(len(ids)):
        library.add(createdAt=(NOON + timedelta(seconds=number)).isoformat())
    return library


def look(library: FakeLibrary, depth: ReadDepth) -> NewestMedia:
    """Look once, as the poll does."""
    library.calls.clear()
    arrivals: NewestMedia = library.run(list_newest(sort_by=depth.sort_by, down_to=depth.down_to))
    depth.update(arrivals)
    return arrivals


def test_one_page_is_read_until_somebody_asks_for_more() -> None:
    library, depth = library_of(*range(1, 3501)), ReadDepth()
    for _ in range(2):
        assert look(library, depth).complete_from == 2501
    depth.request(1600, "id")
    assert look(library, depth).reaches(1600)
    assert len(library.calls) == 2


def test_what_was_asked_for_is_read_for_a_while_because_files_may_show_up_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("airflow_provider_media.triggers._event_poll.time.time", lambda: now)
    library, depth = library_of(*range(1, 3501)), ReadDepth()
    look(library, depth)
    depth.request(1600, "id")
    pages = []
    for _ in range(4):
        look(library, depth)
        pages.append(len(library.calls))
        now += 20
    assert pages == [2, 2, 2, 1]


def test_who_asks_for_less_than_is_read_anyway_brings_no_look_forward() -> None:
    library, depth = library_of(*range(1, 2011)), ReadDepth()
    depth.request(0, "id")  # before the first look nobody knows of any place
    assert depth.down_to is None
    look(library, depth)
    was = depth.down_to
    depth.request(2010, "id")
    depth.request(0, "createdAt")
    assert depth.down_to == was == 2001


def test_a_place_in_one_order_is_none_in_the_other() -> None:
    """Else all of the library would be read: dates are far greater numbers than ids."""
    library, depth = library_of(*range(1, 2501), "text"), ReadDepth()
    library.files, later = library.files[:-1], library.files[-1]
    look(library, depth)
    depth.request(3, "id")
    library.files.append(later)
    # The list is given as stored: a library in memory cannot sort numbers and texts.
    library.files.reverse()
    library._ignores_order = True
    arrivals = look(library, depth)
    assert (depth.sort_by, len(arrivals.media), len(library.calls)) == ("createdAt", 1000, 2)
    look(library, depth)
    assert len(library.calls) == 1
