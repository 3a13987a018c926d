"""The newest pages of the list, in the order of arrival."""

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


def test_the_newest_page_is_enough_for_a_first_look() -> None:
    library = library_of(2500)
    listed = library.run(list_newest())
    assert [place for place, _ in listed.media] == list(range(1501, 2501))
    assert listed.complete_from == 1501
    assert library.calls == [  # the second shows that no other counter gives smaller ids to newer files
        "GET ?page=0&limit=1000&sortBy=id&sortOrder=desc",
        "GET ?page=0&limit=100&sortBy=createdAt&sortOrder=desc",
    ]


def test_the_newest_page_is_enough_for_any_other_look() -> None:
    library = library_of(2500)
    library.run(list_newest(down_to=2000))
    assert len(library.calls) == 1


def test_as_many_pages_are_read_as_it_takes_to_get_below_the_place() -> None:
    library = library_of(3500)
    listed = library.run(list_newest(down_to=1700))
    assert listed.complete_from == 1501
    assert len(library.calls) == 2


def test_a_file_that_a_deletion_moves_onto_a_page_already_read_is_not_missed() -> None:
    library = library_of(3500)

    def delete_one(_: str) -> None:
        if len(library.calls) == 2:
            library.files.pop()

    library.on_call = delete_one
    listed = library.run(list_newest(down_to=1700))
    assert [place for place, _ in listed.media] == list(range(1500, 3500))
    assert len(library.calls) == 4


def test_the_whole_library_is_complete_from_its_start() -> None:
    assert library_of(3).run(list_newest(down_to=1)).complete_from is None
    assert FakeLibrary().run(list_newest()).media == ()


def test_a_server_that_does_not_sort_is_read_whole() -> None:
    library = library_of(2500, ignores_order=True)
    listed = library.run(list_newest(down_to=2400))
    assert [place for place, _ in listed.media] == list(range(1, 2501))
    assert listed.complete_from is None


def test_files_with_text_ids_are_ordered_by_their_dates() -> None:
    library = library_of(3, ids=iter(["zebra", "ant", "mole"]))
    listed = library.run(list_newest())
    assert [media.id for _, media in listed.media] == ["zebra", "ant", "mole"]
    assert listed.sort_by == "createdAt"


def test_without_numbers_and_dates_the_order_cannot_be_told() -> None:
    library = FakeLibrary(ids=(f"med_{number}" for number in range(9999)))
    for _ in range(MIN_REMEMBERED + 1):
        library.add()
    with pytest.raises(MediaError, match="Could not identify new files"):
        library.run(list_newest())
