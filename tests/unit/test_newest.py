"""The newest pages of the list, in the order in which files were added."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_media._polling.newest import MIN_REMEMBERED, list_newest
from airflow_provider_media.exceptions import MediaError
from tests.unit.helpers.fake_library import FakeLibrary

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def library_of(count: int, **options: Any) -> FakeLibrary:
    library = FakeLibrary(**options)
    for number in range(count):
        library.add(f"file {number}", createdAt=(NOON + timedelta(seconds=number)).isoformat())
    return library


def test_first_poll_reads_one_page_and_compares_dates() -> None:
    library = library_of(2500)
    listed = library.run(list_newest())
    assert [position for position, _ in listed.media] == list(range(1501, 2501))
    assert listed.complete_from == 1501
    assert library.calls == [  # the second detects ids of several counters
        "GET ?page=0&limit=1000&sortBy=id&sortOrder=desc",
        "GET ?page=0&limit=100&sortBy=createdAt&sortOrder=desc",
    ]


def test_later_poll_reads_one_page() -> None:
    library = library_of(2500)
    library.run(list_newest(down_to=2000))
    assert len(library.calls) == 1


def test_pages_are_read_until_below_the_position() -> None:
    library = library_of(3500)
    listed = library.run(list_newest(down_to=1700))
    assert listed.complete_from == 1501
    assert len(library.calls) == 2


def test_deletion_during_the_listing_hides_no_file() -> None:
    library = library_of(3500)

    def delete_one(_: str) -> None:
        if len(library.calls) == 2:
            library.files.pop()

    library.on_call = delete_one
    listed = library.run(list_newest(down_to=1700))
    assert [position for position, _ in listed.media] == list(range(1500, 3500))
    assert len(library.calls) == 4


def test_whole_library_is_complete() -> None:
    assert library_of(3).run(list_newest(down_to=1)).complete_from is None
    assert FakeLibrary().run(list_newest()).media == ()


def test_unsorted_list_is_read_completely() -> None:
    library = library_of(2500, ignores_order=True)
    listed = library.run(list_newest(down_to=2400))
    assert [position for position, _ in listed.media] == list(range(1, 2501))
    assert listed.complete_from is None


def test_string_ids_are_ordered_by_date() -> None:
    library = library_of(3, ids=iter(["zebra", "ant", "mole"]))
    listed = library.run(list_newest())
    assert [media.id for _, media in listed.media] == ["zebra", "ant", "mole"]
    assert listed.sort_by == "createdAt"


def test_large_library_without_integer_ids_and_dates_is_an_error() -> None:
    library = FakeLibrary(ids=(f"med_{number}" for number in range(9999)))
    for _ in range(MIN_REMEMBERED + 1):
        library.add()
    with pytest.raises(MediaError, match="Could not identify new files"):
        library.run(list_newest())
