"""Which files are new: a cursor that survives restarts, late files and another order of arrival."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._polling.cursor import CONFIRM_SECONDS, LATE_SECONDS, Cursor
from airflow_provider_media._polling.newest import NewestMedia, SortField, position_of
from airflow_provider_media.models import Media

NOW = 1_782_907_200.0


def arrivals(*ids: int, complete_from: int | None = None, page_length: int = 1000) -> NewestMedia:
    media = tuple((number, Media(id=number)) for number in sorted(ids))
    return NewestMedia(media=media, sort_by="id", complete_from=complete_from, page_length=page_length)


def new_ones(cursor: Cursor, listed: NewestMedia, now: float) -> list[int | str]:
    """Take what is new, as a watcher does."""
    new = cursor.new_in(listed)
    for place, media in new:
        cursor.mark_seen(place, media, now)
    cursor.prune(now, to_remember=listed.to_remember)
    return [media.id for _, media in new]


def reloaded(cursor: Cursor, now: float) -> Cursor:
    return Cursor.from_dict(json.loads(json.dumps(cursor.to_dict(now))))


def test_the_first_start_begins_behind_the_newest_file() -> None:
    cursor = Cursor.at_newest(arrivals(1, 2, 3))
    assert new_ones(cursor, arrivals(1, 2, 3), now=NOW) == []
    assert new_ones(cursor, arrivals(1, 2, 3, 4), now=NOW) == [4]


def test_an_empty_library_s_first_file_is_new() -> None:
    assert new_ones(Cursor.at_newest(arrivals()), arrivals(1), now=NOW) == [1]


def test_files_that_share_the_newest_one_s_date_are_told_apart() -> None:
    def at_noon(*ids: str) -> NewestMedia:
        return NewestMedia(media=tuple((5, Media(id=key)) for key in ids), sort_by="createdAt", complete_from=None)

    assert new_ones(Cursor.at_newest(at_noon("a", "b")), at_noon("a", "b", "c"), now=NOW) == ["c"]


def test_a_file_that_is_listed_after_newer_ones_is_new_for_a_while() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    assert new_ones(cursor, arrivals(1, 3, 4), now=NOW) == [3, 4]
    assert new_ones(cursor, arrivals(1, 2, 3, 4), now=NOW + LATE_SECONDS - 1) == [2]


def test_what_is_old_is_forgotten() -> None:
    def page(*ids: int) -> NewestMedia:
        return arrivals(*ids, complete_from=1, page_length=4)

    cursor = Cursor.at_newest(page(1))
    new_ones(cursor, page(1, 2, 3), now=NOW)
    new_ones(cursor, page(1, 2, 3, 9), now=NOW + LATE_SECONDS + 1)
    assert cursor.floor == 2
    assert set(cursor.recent) == {"3", "9"}


def test_a_gap_below_what_was_listed_is_noticed() -> None:
    cursor = Cursor(floor=5)
    assert cursor.unread_below(arrivals(9, 10, complete_from=9)) == 5
    assert cursor.unread_below(arrivals(4, 9, complete_from=4)) is None
    assert cursor.unread_below(arrivals(9, 10)) is None


def test_what_was_listed_once_without_a_gap_need_not_be_listed_again() -> None:
    cursor = Cursor(floor=5)
    new_ones(cursor, arrivals(*range(4, 11), complete_from=4, page_length=2), now=NOW)
    assert cursor.unread_below(arrivals(9, 10, 11, complete_from=9)) is None
    assert cursor.unread_below(arrivals(11, 12, complete_from=11)) == 5


def test_an_event_that_may_be_lost_in_a_crash_is_given_again_after_it() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    new_ones(cursor, arrivals(1, 2), now=NOW)
    assert new_ones(reloaded(cursor, NOW + CONFIRM_SECONDS - 1), arrivals(1, 2), now=NOW + 100) == [2]
    assert new_ones(reloaded(cursor, NOW + CONFIRM_SECONDS), arrivals(1, 2), now=NOW + 100) == []


def test_a_burst_of_files_is_remembered_in_bounded_space_once_their_events_are_safe() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    new_ones(cursor, arrivals(*range(1, 5001)), now=NOW)
    assert len(cursor.recent) == 4999
    new_ones(cursor, arrivals(*range(1, 5001)), now=NOW + CONFIRM_SECONDS)
    assert len(cursor.recent) == 700
    assert len(json.dumps(cursor.to_dict(NOW + CONFIRM_SECONDS))) < 48 * 1024
    long_ids = Cursor("createdAt", recent={str(uuid4()): (10**15 + n, NOW + 0.123456, None) for n in range(5000)})
    assert len(json.dumps(long_ids.to_dict(NOW + 100))) < 64 * 1024
    assert new_ones(reloaded(cursor, NOW + CONFIRM_SECONDS), arrivals(*range(1, 5001)), now=NOW + CONFIRM_SECONDS) == []


def test_an_event_that_airflow_is_still_to_write_is_not_safe_yet() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    for place, media in cursor.new_in(arrivals(1, 2)):
        cursor.mark_seen(place, media, NOW + 100)
    assert reloaded(cursor, NOW + 100 + CONFIRM_SECONDS - 1).new_in(arrivals(1, 2)) != []
    assert reloaded(cursor, NOW + 100 + CONFIRM_SECONDS).new_in(arrivals(1, 2)) == []


def test_the_floor_stays_below_a_file_that_is_not_noted_yet() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    for place, media in cursor.new_in(arrivals(*range(2, 3000))):
        if media.id != 5:
            cursor.mark_seen(place, media, NOW)
    later = NOW + 2 * LATE_SECONDS
    cursor.prune(later, to_remember=0, below=5)
    assert cursor.floor == 4
    assert len(json.dumps(cursor.to_dict(later))) < 48 * 1024
    assert 5 in {media.id for _, media in reloaded(cursor, later).new_in(arrivals(*range(2, 3000)))}


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


# --- another order of arrival -----------------------------------------------------------------------------------------

DAY = datetime(2026, 7, 1, tzinfo=UTC)


def dated(*ids: int | str, sort_by: SortField = "createdAt", complete_from: int | None = None) -> NewestMedia:
    """List files that were created one second after the other."""
    media = [Media(id=key, created_at=DAY + timedelta(seconds=number)) for number, key in enumerate(ids)]
    placed = [(place, one) for one in media if (place := position_of(one, sort_by)) is not None]
    return NewestMedia(media=tuple(placed), sort_by=sort_by, complete_from=complete_from)


def new_after_moving(cursor: Cursor, listed: NewestMedia) -> list[int | str]:
    moved = cursor.rebase(listed)
    assert moved
    assert moved.sort_by == listed.sort_by
    return new_ones(moved, listed, NOW + 100)


def test_a_first_text_id_after_numbers_is_new_and_they_are_not() -> None:
    cursor = Cursor.at_newest(arrivals(*range(1, 51)))
    assert new_ones(cursor, arrivals(*range(1, 53)), NOW) == [51, 52]
    assert new_after_moving(reloaded(cursor, NOW + 90), dated(*range(1, 54), "t54")) == [53, "t54"]


def test_numbers_after_text_ids_are_told_by_their_dates() -> None:
    cursor = Cursor.at_newest(dated("a", "b", "c"))
    assert new_ones(cursor, dated("a", "b", "c", 7), NOW) == [7]
    assert new_after_moving(reloaded(cursor, NOW + 90), dated("a", "b", "c", 7, 8, sort_by="id")) == [8]


def test_an_event_that_was_not_safe_before_the_order_changed_is_given_again_after_a_restart() -> None:
    cursor = Cursor.at_newest(arrivals(1, 2))
    new_ones(cursor, arrivals(1, 2, 3), NOW)
    moved = cursor.rebase(dated(1, 2, 3, 4))
    assert moved
    assert new_ones(moved, dated(1, 2, 3, 4), NOW + 1) == [4]
    assert new_ones(reloaded(moved, NOW + 2), dated(1, 2, 3, 4), NOW + 3) == [3, 4]


def test_a_late_file_from_before_the_order_changed_is_new() -> None:
    cursor = Cursor.at_newest(arrivals(1))
    new_ones(cursor, arrivals(1, 3, 4), NOW)
    assert new_after_moving(cursor, dated(1, 2, 3, 4)) == [2]


def test_all_is_new_when_nothing_was_there_before() -> None:
    assert new_after_moving(Cursor.at_newest(arrivals()), dated("first")) == ["first"]


def test_more_is_listed_until_it_reaches_what_was_seen_in_the_old_order() -> None:
    cursor = Cursor.at_newest(arrivals(1, 2))
    assert cursor.unread_below(dated(3, 4, complete_from=3)) == -1
    assert cursor.unread_below(dated(2, 3, 4, complete_from=2)) is None
    assert cursor.unread_below(dated(3, 4)) is None


def test_when_nothing_has_a_place_in_the_old_order_nobody_can_tell_what_is_new() -> None:
    assert Cursor(floor=2).rebase(dated("a", "b")) is None
