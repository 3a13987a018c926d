"""The cursor of a watcher: new and late files, restarts, and a change of the sort order."""

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


def newest(*ids: int, complete_from: int | None = None, page_length: int = 1000) -> NewestMedia:
    media = tuple((number, Media(id=number)) for number in sorted(ids))
    return NewestMedia(media=media, sort_by="id", complete_from=complete_from, page_length=page_length)


def new_ones(cursor: Cursor, listed: NewestMedia, now: float) -> list[int | str]:
    """Return the new files and mark them as seen, as a watcher does."""
    new = cursor.new_in(listed)
    for position, media in new:
        cursor.mark_seen(position, media, now)
    cursor.prune(now, to_remember=listed.to_remember)
    return [media.id for _, media in new]


def reloaded(cursor: Cursor, now: float) -> Cursor:
    return Cursor.from_dict(json.loads(json.dumps(cursor.to_dict(now))))


def test_first_start_is_after_the_newest_file() -> None:
    cursor = Cursor.at_newest(newest(1, 2, 3))
    assert new_ones(cursor, newest(1, 2, 3), now=NOW) == []
    assert new_ones(cursor, newest(1, 2, 3, 4), now=NOW) == [4]


def test_first_file_of_an_empty_library_is_new() -> None:
    assert new_ones(Cursor.at_newest(newest()), newest(1), now=NOW) == [1]


def test_files_with_the_date_of_the_newest_are_distinguished() -> None:
    def at_noon(*ids: str) -> NewestMedia:
        return NewestMedia(media=tuple((5, Media(id=key)) for key in ids), sort_by="createdAt", complete_from=None)

    assert new_ones(Cursor.at_newest(at_noon("a", "b")), at_noon("a", "b", "c"), now=NOW) == ["c"]


def test_late_file_is_new_for_five_minutes() -> None:
    cursor = Cursor.at_newest(newest(1))
    assert new_ones(cursor, newest(1, 3, 4), now=NOW) == [3, 4]
    assert new_ones(cursor, newest(1, 2, 3, 4), now=NOW + LATE_SECONDS - 1) == [2]


def test_old_files_are_pruned() -> None:
    def page(*ids: int) -> NewestMedia:
        return newest(*ids, complete_from=1, page_length=4)

    cursor = Cursor.at_newest(page(1))
    new_ones(cursor, page(1, 2, 3), now=NOW)
    new_ones(cursor, page(1, 2, 3, 9), now=NOW + LATE_SECONDS + 1)
    assert cursor.floor == 2
    assert set(cursor.recent) == {"3", "9"}


def test_gap_in_the_list_is_detected() -> None:
    cursor = Cursor(floor=5)
    assert cursor.unread_below(newest(9, 10, complete_from=9)) == 5
    assert cursor.unread_below(newest(4, 9, complete_from=4)) is None
    assert cursor.unread_below(newest(9, 10)) is None


def test_files_listed_before_are_not_required_again() -> None:
    cursor = Cursor(floor=5)
    new_ones(cursor, newest(*range(4, 11), complete_from=4, page_length=2), now=NOW)
    assert cursor.unread_below(newest(9, 10, 11, complete_from=9)) is None
    assert cursor.unread_below(newest(11, 12, complete_from=11)) == 5


def test_unconfirmed_event_is_yielded_again_after_a_restart() -> None:
    cursor = Cursor.at_newest(newest(1))
    new_ones(cursor, newest(1, 2), now=NOW)
    assert new_ones(reloaded(cursor, NOW + CONFIRM_SECONDS - 1), newest(1, 2), now=NOW + 100) == [2]
    assert new_ones(reloaded(cursor, NOW + CONFIRM_SECONDS), newest(1, 2), now=NOW + 100) == []


def test_saved_cursor_of_a_burst_has_bounded_size() -> None:
    cursor = Cursor.at_newest(newest(1))
    new_ones(cursor, newest(*range(1, 5001)), now=NOW)
    assert len(cursor.recent) == 4999
    new_ones(cursor, newest(*range(1, 5001)), now=NOW + CONFIRM_SECONDS)
    assert len(cursor.recent) == 700
    assert len(json.dumps(cursor.to_dict(NOW + CONFIRM_SECONDS))) < 48 * 1024
    long_ids = Cursor("createdAt", recent={str(uuid4()): (10**15 + n, NOW + 0.123456, None) for n in range(5000)})
    assert len(json.dumps(long_ids.to_dict(NOW + 100))) < 64 * 1024
    assert new_ones(reloaded(cursor, NOW + CONFIRM_SECONDS), newest(*range(1, 5001)), now=NOW + CONFIRM_SECONDS) == []


def test_event_is_confirmed_only_after_it_is_written() -> None:
    cursor = Cursor.at_newest(newest(1))
    for position, media in cursor.new_in(newest(1, 2)):
        cursor.mark_seen(position, media, NOW + 100)
    assert reloaded(cursor, NOW + 100 + CONFIRM_SECONDS - 1).new_in(newest(1, 2)) != []
    assert reloaded(cursor, NOW + 100 + CONFIRM_SECONDS).new_in(newest(1, 2)) == []


def test_floor_stays_below_a_file_not_marked_yet() -> None:
    cursor = Cursor.at_newest(newest(1))
    for position, media in cursor.new_in(newest(*range(2, 3000))):
        if media.id != 5:
            cursor.mark_seen(position, media, NOW)
    later = NOW + 2 * LATE_SECONDS
    cursor.prune(later, to_remember=0, below=5)
    assert cursor.floor == 4
    assert len(json.dumps(cursor.to_dict(later))) < 48 * 1024
    assert 5 in {media.id for _, media in reloaded(cursor, later).new_in(newest(*range(2, 3000)))}


@given(
    st.lists(
        st.tuples(st.sets(st.integers(2, 60), max_size=8), st.floats(1, 120), st.booleans()), min_size=1, max_size=12
    )
)
def test_each_file_is_new_at_least_once(
    steps: list[tuple[set[int], float, bool]],
) -> None:
    """Files appear in any order, but not later than the bound; the triggerer may be killed between any two polls."""
    now, listed, yielded = NOW, {1}, set[int | str]()
    cursor = Cursor.at_newest(newest(1))
    kept = cursor.to_dict(now)
    for appearing, seconds, is_killed in steps:
        now += seconds
        if now > NOW + LATE_SECONDS:
            break
        listed |= appearing
        if is_killed:
            cursor = Cursor.from_dict(json.loads(json.dumps(kept)))
        yielded |= set(new_ones(cursor, newest(*listed), now))
        assert yielded == listed - {1}
        kept = cursor.to_dict(now)


# --- a change of the sort order ---------------------------------------------------------------------------------------

DAY = datetime(2026, 7, 1, tzinfo=UTC)


def dated(*ids: int | str, sort_by: SortField = "createdAt", complete_from: int | None = None) -> NewestMedia:
    """List files created at intervals of one second."""
    media = [Media(id=key, created_at=DAY + timedelta(seconds=number)) for number, key in enumerate(ids)]
    placed = [(position, one) for one in media if (position := position_of(one, sort_by)) is not None]
    return NewestMedia(media=tuple(placed), sort_by=sort_by, complete_from=complete_from)


def new_after_rebase(cursor: Cursor, listed: NewestMedia) -> list[int | str]:
    rebased = cursor.rebase(listed)
    assert rebased
    assert rebased.sort_by == listed.sort_by
    return new_ones(rebased, listed, NOW + 100)


def test_first_string_id_after_integers_is_new() -> None:
    cursor = Cursor.at_newest(newest(*range(1, 51)))
    assert new_ones(cursor, newest(*range(1, 53)), NOW) == [51, 52]
    assert new_after_rebase(reloaded(cursor, NOW + 90), dated(*range(1, 54), "t54")) == [53, "t54"]


def test_integer_ids_after_string_ids_are_ordered_by_date() -> None:
    cursor = Cursor.at_newest(dated("a", "b", "c"))
    assert new_ones(cursor, dated("a", "b", "c", 7), NOW) == [7]
    assert new_after_rebase(reloaded(cursor, NOW + 90), dated("a", "b", "c", 7, 8, sort_by="id")) == [8]


def test_unconfirmed_event_survives_a_change_of_order() -> None:
    cursor = Cursor.at_newest(newest(1, 2))
    new_ones(cursor, newest(1, 2, 3), NOW)
    rebased = cursor.rebase(dated(1, 2, 3, 4))
    assert rebased
    assert new_ones(rebased, dated(1, 2, 3, 4), NOW + 1) == [4]
    assert new_ones(reloaded(rebased, NOW + 2), dated(1, 2, 3, 4), NOW + 3) == [3, 4]


def test_late_file_from_before_the_change_is_new() -> None:
    cursor = Cursor.at_newest(newest(1))
    new_ones(cursor, newest(1, 3, 4), NOW)
    assert new_after_rebase(cursor, dated(1, 2, 3, 4)) == [2]


def test_all_files_are_new_after_an_empty_library() -> None:
    assert new_after_rebase(Cursor.at_newest(newest()), dated("first")) == ["first"]


def test_list_is_read_down_to_files_seen_in_the_old_order() -> None:
    cursor = Cursor.at_newest(newest(1, 2))
    assert cursor.unread_below(dated(3, 4, complete_from=3)) == -1
    assert cursor.unread_below(dated(2, 3, 4, complete_from=2)) is None
    assert cursor.unread_below(dated(3, 4)) is None


def test_new_files_cannot_be_identified_without_old_positions() -> None:
    assert Cursor(floor=2).rebase(dated("a", "b")) is None
