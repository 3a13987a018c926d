"""Which files are new: the newest pages, and a cursor that survives restarts and late files."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fake_library import FakeLibrary
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.arrivals import (
    LATE_SECONDS,
    UNSURE_SECONDS,
    Arrivals,
    Cursor,
    list_newest,
)
from airflow_provider_media._api.problem import Problem
from airflow_provider_media.models import Media

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW = NOON.timestamp()


def arrivals(*ids: int, complete_from: int | None = None) -> Arrivals:
    media = tuple((number, Media(id=number)) for number in sorted(ids))
    return Arrivals(media=media, sort_by="id", complete_from=complete_from)


def new_ones(cursor: Cursor, listed: Arrivals, now: float) -> list[int | str]:
    """Take what is new, as a watcher does."""
    new = [(place, media) for place, media in listed.media if cursor.is_new(place, media)]
    for place, media in new:
        cursor.note(place, media, now)
    cursor.settle(now)
    return [media.id for _, media in new]


def reloaded(cursor: Cursor, now: float) -> Cursor:
    return Cursor.from_dict(json.loads(json.dumps(cursor.to_dict(now))))


# --- the newest pages -------------------------------------------------------------------------------------------------


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
    assert len(library.calls) == 1


def test_as_many_pages_are_read_as_it_takes_to_get_below_the_place() -> None:
    library = library_of(3500)
    listed = library.run(list_newest(down_to=1700))
    assert listed.complete_from == 1501
    assert len(library.calls) == 2


def test_the_whole_library_is_complete_from_its_start() -> None:
    assert library_of(3).run(list_newest()).complete_from is None
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
    library = FakeLibrary(ids=iter(["zebra"]))
    library.add()
    with pytest.raises(Problem, match="New files cannot be told from old ones"):
        library.run(list_newest())


# --- the cursor -------------------------------------------------------------------------------------------------------


def test_the_first_start_begins_behind_the_newest_file() -> None:
    cursor = Cursor.at_newest(arrivals(1, 2, 3))
    assert new_ones(cursor, arrivals(1, 2, 3), now=NOW) == []
    assert new_ones(cursor, arrivals(1, 2, 3, 4), now=NOW) == [4]


def test_an_empty_library_s_first_file_is_new() -> None:
    assert new_ones(Cursor.at_newest(arrivals()), arrivals(1), now=NOW) == [1]


def test_files_that_share_the_newest_one_s_date_are_told_apart() -> None:
    def at_noon(*ids: str) -> Arrivals:
        return Arrivals(media=tuple((5, Media(id=key)) for key in ids), sort_by="createdAt", complete_from=None)

    assert new_ones(Cursor.at_newest(at_noon("a", "b")), at_noon("a", "b", "c"), now=NOW) == ["c"]


def test_a_file_that_is_listed_after_newer_ones_is_new_for_a_while() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    assert new_ones(cursor, arrivals(1, 3, 4), now=NOW) == [3, 4]
    assert new_ones(cursor, arrivals(1, 2, 3, 4), now=NOW + LATE_SECONDS - 1) == [2]


def test_what_is_old_is_forgotten() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    new_ones(cursor, arrivals(1, 2, 3), now=NOW)
    new_ones(cursor, arrivals(1, 2, 3, 9), now=NOW + LATE_SECONDS + 1)
    assert cursor.floor == 3
    assert set(cursor.recent) == {"9"}


def test_a_gap_below_what_was_listed_is_noticed() -> None:
    cursor = Cursor(floor=5)
    assert cursor.misses(arrivals(9, 10, complete_from=9))
    assert not cursor.misses(arrivals(4, 9, complete_from=4))
    assert not cursor.misses(arrivals(9, 10))


def test_an_event_that_may_be_lost_in_a_crash_is_given_again_after_it() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    new_ones(cursor, arrivals(1, 2), now=NOW)
    assert new_ones(reloaded(cursor, NOW + UNSURE_SECONDS - 1), arrivals(1, 2), now=NOW + 100) == [2]
    assert new_ones(reloaded(cursor, NOW + UNSURE_SECONDS), arrivals(1, 2), now=NOW + 100) == []


def test_a_burst_of_files_is_remembered_in_bounded_space_once_their_events_are_safe() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    new_ones(cursor, arrivals(*range(1, 5001)), now=NOW)
    assert len(cursor.recent) == 4999
    new_ones(cursor, arrivals(*range(1, 5001)), now=NOW + UNSURE_SECONDS)
    assert len(cursor.recent) == 1000
    assert len(json.dumps(cursor.to_dict(NOW + UNSURE_SECONDS))) < 48 * 1024
    assert new_ones(reloaded(cursor, NOW + UNSURE_SECONDS), arrivals(*range(1, 5001)), now=NOW + UNSURE_SECONDS) == []


@given(
    st.lists(
        st.tuples(st.sets(st.integers(2, 60), max_size=8), st.floats(1, 120), st.booleans()), min_size=1, max_size=12
    )
)
def test_each_file_is_new_once_at_least_whatever_the_order_and_the_restarts(
    steps: list[tuple[set[int], float, bool]],
) -> None:
    """Files appear in any order, but not later than the bound; the triggerer is killed between any two looks."""
    now, listed, given_away = NOW, {1}, set[int | str]()
    cursor = Cursor.at_newest(arrivals(1))
    kept = cursor.to_dict(now)
    for appearing, seconds, is_killed in steps:
        now += seconds
        if now > NOW + LATE_SECONDS:
            break
        listed |= appearing
        if is_killed:
            cursor = Cursor.from_dict(json.loads(json.dumps(kept)))
        given_away |= set(new_ones(cursor, arrivals(*listed), now))
        assert given_away == listed - {1}
        kept = cursor.to_dict(now)
