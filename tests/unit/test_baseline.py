"""Test which files are newer than a baseline, also where ids do not grow and dates are in the future."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.baseline import Baseline, baseline_in, fetch_baseline, microseconds
from airflow_provider_media.models import Media
from tests.unit.helpers.fake_library import FakeLibrary

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ONE_REQUEST = ["GET ?page=0&limit=100&sortBy=id&sortOrder=desc"]


def grown(**values: Any) -> Baseline:
    """A baseline of a library whose ids grow."""
    return Baseline(**{"is_complete": False, "newest_id": 7, **values})


def dated(number: int) -> str:
    return (NOON + number * SECOND).isoformat()


def library_of(ids: Iterator[int | str], count: int, *, with_dates: bool = True, **options: Any) -> FakeLibrary:
    library = FakeLibrary(ids=ids, **options)
    for number in range(count):
        library.add(f"file {number}", **({"createdAt": dated(number)} if with_dates else {}))
    return library


integers = st.none() | st.integers()


@given(
    st.builds(
        Baseline,
        known=st.dictionaries(st.text(), integers),
        is_complete=st.booleans(),
        newest_id=integers,
        newest_at=integers,
        taken_at=integers,
    )
)
def test_a_baseline_survives_json(baseline: Baseline) -> None:
    assert Baseline.from_dict(json.loads(json.dumps(baseline.to_dict()))) == baseline


@pytest.mark.parametrize(
    "changed",
    [{"known": ["a"]}, {"known": {"a": "b"}}, {"newest_id": "7"}, {"is_complete": 1}, {"taken_at": True}],
    ids=str,
)
def test_invalid_values_are_not_a_baseline(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Baseline.from_dict(Baseline().to_dict() | changed)


@pytest.mark.parametrize(
    ("baseline", "media_id", "newer"),
    [
        (grown(), 8, True),
        (grown(), "8", True),
        (grown(), 7, False),
        (grown(newest_id=9), "10", True),
        (grown(), "med_a", None),
        (Baseline(known={"a": None}), "a", False),
        (Baseline(known={"a": None}), "b", True),
        (Baseline(known={"7": None}), 7, False),
        (Baseline(known={"7": None}, newest_id=7), 3, True),
        (Baseline(), 1, True),
    ],
)
def test_a_baseline_compares_ids(baseline: Baseline, media_id: int | str, *, newer: bool | None) -> None:
    assert baseline.is_newer(Media(id=media_id)) is newer


@pytest.mark.parametrize(
    ("created", "newer"),
    [
        (NOON - 600 * SECOND, False),  # before the newest file
        (NOON + SECOND, True),
        (NOON - SECOND, None),  # after the newest file, before the baseline: the clocks may differ
        (datetime(2999, 1, 1, tzinfo=UTC), None),
        (None, False),
    ],
    ids=str,
)
def test_a_smaller_id_is_compared_by_date(created: datetime | None, *, newer: bool | None) -> None:
    baseline = grown(newest_at=microseconds(NOON - 300 * SECOND), taken_at=microseconds(NOON))
    assert baseline.is_newer(Media(id=3, created_at=created)) is newer


@pytest.mark.parametrize(
    "baseline", [Baseline(known={"7": microseconds(NOON)}), grown(known={"7": microseconds(NOON)})]
)
def test_a_reused_id_is_a_newer_file(baseline: Baseline) -> None:
    assert baseline.is_newer(Media(id=7, created_at=NOON)) is False
    assert baseline.is_newer(Media(id=7, created_at=NOON + SECOND)) is True
    assert baseline.is_newer(Media(id=7)) is False


@pytest.mark.parametrize("count", [5, 2500])
@pytest.mark.parametrize("first_id", [1, 7 * 10**12])
def test_a_baseline_takes_one_request_where_ids_grow(count: int, first_id: int) -> None:
    if count < 10 and first_id > 1:
        pytest.skip("nothing shows that five ids in seven trillion grow")
    library = library_of(iter(range(first_id, first_id + 5000)), count)
    baseline = library.run(fetch_baseline("banner"))
    assert (baseline.newest_id, library.calls) == (first_id + count - 1, ONE_REQUEST)


def test_a_counter_without_dates_grows() -> None:
    library = library_of(iter(range(1, 5000)), 2500, with_dates=False)
    assert library.run(fetch_baseline("banner")).newest_id == 2500
    assert library.calls == ONE_REQUEST


def test_in_an_empty_library_every_file_is_newer() -> None:
    assert FakeLibrary().run(fetch_baseline("banner")) == Baseline()


STYLES: dict[str, Any] = {
    "random": lambda: iter([(number * 7919 + 31) % 10_007 for number in range(1, 5000)]),
    "counting down": lambda: iter(range(10**6, 0, -1)),
    "one imported": lambda: iter([*range(1, 150), 10**15, *range(150, 5000)]),
    "imported just now": lambda: iter([*range(1, 200), 10**15, *range(200, 5000)]),
    "texts": lambda: (f"med_{(number * 7919) % 10_007:x}" for number in range(1, 5000)),
    "digits as texts": lambda: map(str, range(1, 5000)),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("with_dates", [True, False])
@pytest.mark.parametrize("count", [3, 200])
def test_a_baseline_without_growing_ids_has_the_ids_of_the_name(style: str, count: int, *, with_dates: bool) -> None:
    library = library_of(STYLES[style](), count, with_dates=with_dates)
    library.files[1]["name"] = library.files[2]["name"] = "banner"
    baseline = library.run(fetch_baseline("banner"))
    known = {str(media["id"]) for media in library.files[1:3]}
    later = [Media(id=library.add("banner")["id"]) for _ in range(3)]
    assert set(baseline.known) == known
    assert [baseline.is_newer(media) for media in later] == [True] * 3
    assert [baseline.is_newer(Media(id=media_id)) for media_id in known] == [False] * 2


def test_an_unsorted_list_is_read_completely() -> None:
    library = library_of(iter(range(1, 5000)), 200, ignores_order=True)
    library.files[50]["name"] = "banner"
    baseline = library.run(fetch_baseline("banner"))
    assert (set(baseline.known), baseline.is_complete) == ({"51"}, True)


def test_a_counter_with_unordered_dates_grows() -> None:
    """Parallel uploads get their ids and their dates one after the other."""
    library = library_of(iter(range(1, 5000)), 200)
    library.files[150]["createdAt"] = dated(152)
    assert library.run(fetch_baseline("banner")).newest_id == 200
    assert library.calls == ONE_REQUEST


def test_a_date_in_the_future_does_not_make_later_files_older() -> None:
    library = library_of(iter(range(1, 5000)), 200)
    library.files[-1]["createdAt"] = dated(10**9)
    baseline = library.run(fetch_baseline("banner"))
    assert baseline.is_newer(Media(id=201, created_at=NOON + 201 * SECOND)) is True


@given(
    ids=st.lists(st.integers(1, 10**6), min_size=3, max_size=60, unique=True),
    with_dates=st.booleans(),
    data=st.data(),
)
def test_newer_files_are_found_for_any_order_of_ids(ids: list[int], *, with_dates: bool, data: st.DataObject) -> None:
    before = data.draw(st.integers(0, len(ids)))
    media = [
        Media(id=id_, name="banner", created_at=NOON + number * SECOND if with_dates else None)
        for number, id_ in enumerate(ids)
    ]
    baseline = baseline_in(media[:before], media[:before])
    newer, unsure = baseline.newer_in(media)
    assert (newer, unsure) == (media[before:], [])
