"""How far back the poll of event triggers reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_media._polling.cursor import ReadDepth
from airflow_provider_media._polling.newest import NewestMedia, list_newest
from tests.unit.helpers.fake_library import FakeLibrary

if TYPE_CHECKING:
    import pytest

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def library_of(*ids: int | str) -> FakeLibrary:
    library = FakeLibrary(ids=iter(ids))
    for number in range(len(ids)):
        library.add(createdAt=(NOON + timedelta(seconds=number)).isoformat())
    return library


def poll(library: FakeLibrary, depth: ReadDepth) -> NewestMedia:
    """Poll once."""
    library.calls.clear()
    newest: NewestMedia = library.run(list_newest(sort_by=depth.sort_by, down_to=depth.down_to))
    depth.update(newest)
    return newest


def test_one_page_is_read_without_a_request() -> None:
    library, depth = library_of(*range(1, 3501)), ReadDepth()
    for _ in range(2):
        assert poll(library, depth).complete_from == 2501
    depth.request(1600, "id")
    assert poll(library, depth).reaches(1600)
    assert len(library.calls) == 2


def test_requested_depth_is_kept_while_files_may_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("airflow_provider_media._polling.cursor.time.time", lambda: now)
    library, depth = library_of(*range(1, 3501)), ReadDepth()
    poll(library, depth)
    depth.request(1600, "id")
    pages = []
    for _ in range(4):
        poll(library, depth)
        pages.append(len(library.calls))
        now += 150
    assert pages == [2, 2, 2, 1]


def test_request_for_less_than_the_current_depth_is_ignored() -> None:
    library, depth = library_of(*range(1, 2011)), ReadDepth()
    depth.request(0, "id")  # before the first poll there is no position
    assert depth.down_to is None
    poll(library, depth)
    was = depth.down_to
    depth.request(2010, "id")
    depth.request(0, "createdAt")
    assert depth.down_to == was == 2001


def test_position_of_another_sort_field_is_ignored() -> None:
    """Otherwise the whole library is read, because dates are far greater numbers than ids."""
    library, depth = library_of(*range(1, 2501), "text"), ReadDepth()
    library.files, later = library.files[:-1], library.files[-1]
    poll(library, depth)
    depth.request(3, "id")
    library.files.append(later)
    # As stored, because the library in memory cannot sort integers and strings together.
    library.files.reverse()
    library._ignores_order = True
    newest = poll(library, depth)
    assert (depth.sort_by, len(newest.media), len(library.calls)) == ("createdAt", 1000, 2)
    poll(library, depth)
    assert len(library.calls) == 1
