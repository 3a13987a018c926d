"""Test which files a cleanup selects."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_media._api.values import parse_timestamp
from airflow_provider_media._deletion import selection as cleanup
from airflow_provider_media._deletion.selection import Selection, find_candidates, select
from airflow_provider_media.models import Media
from tests.unit.helpers.fake_library import FakeLibrary

NOW = datetime(2026, 7, 31, tzinfo=UTC)


def media(media_id: int | str, name: str | None = "banner.png", *, days: int | None = None, **others: Any) -> Media:
    created_at = None if days is None else NOW - timedelta(days=days)
    return Media(id=media_id, name=name, created_at=created_at, **others)


def gets(library: FakeLibrary) -> list[str]:
    """Return the requests for single files."""
    return [call for call in library.calls if call.startswith("GET /")]


def selected(library: list[Media], **criteria: Any) -> list[int | str]:
    return [one.id for one in select(library, Selection(**criteria), now=NOW)]


def test_names_match_exactly_and_as_patterns() -> None:
    library = [media(1, "a.png"), media(2, "b.png"), media(3, "a[1].png"), media(4, None), media(5, "A.png")]
    assert selected(library, name="a.png") == [1]
    assert selected(library, name="a*") == [1, 3]
    assert selected(library, name="a[1].png") == [3]
    assert selected(library, name="?.png") == [1, 2, 5]


def test_an_unknown_type_never_matches() -> None:
    library = [media(1, mime_type="image/png"), media(2, mime_type="video/mp4"), media(3)]
    assert selected(library, mime_type="image/*") == [1]
    assert selected(library, mime_type="*/*") == [1, 2]


def test_an_unknown_folder_never_matches() -> None:
    library = [media(1, folder_id=7), media(2, folder_id="7"), media(3, folder_id=8), media(4)]
    assert selected(library, folder_id="7") == [1, 2]


def test_an_unknown_age_is_never_old() -> None:
    library = [media(1, days=40), media(2, days=30), media(3, days=29), media(4)]
    assert selected(library, older_than=timedelta(days=30)) == [1, 2]


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ("2026-07-01T00:00:00Z", 0),
        ("2026-07-01T02:00:00+02:00", 0),
        ("2026-07-01T00:00:00", 12),
        ("2026-07-01 00:00", 12),
        ("2026-07-01", 36),
    ],
)
def test_an_age_is_the_minimum_age(written: str, hours: int) -> None:
    age = timedelta(days=30) - timedelta(hours=hours)
    library = [media(1)]
    library[0] = replace(library[0], created_at=parse_timestamp(written))
    assert selected(library, older_than=age) == [1]
    assert selected(library, older_than=age + timedelta(seconds=1)) == []


def test_a_date_without_a_time_zone_may_be_in_any() -> None:
    library = [Media(id=1, name="a", created_at=datetime(2026, 7, 1))]  # noqa: DTZ001 - as a test may write it
    assert selected(library, older_than=timedelta(days=29, hours=12)) == [1]
    assert selected(library, older_than=timedelta(days=30)) == []


def test_older_than_accepts_any_duration() -> None:
    assert selected([media(1, days=40)], older_than=timedelta.max) == []


def test_keep_last_keeps_the_newest_of_each_name() -> None:
    library = [media(9, "a"), media(10, "a"), media(2, "a"), media(3, "b"), media(4, None), media(5, None)]
    assert selected(library, keep_last=1) == [9, 2]
    assert selected(library, keep_last=2) == [2]
    assert selected(library, keep_last=3) == []


def test_string_ids_are_ordered_by_date() -> None:
    library = [media("x", "a", days=1), media("y", "a", days=3), media("z", "a", days=2)]
    assert selected(library, keep_last=1) == ["y", "z"]


def test_digit_string_ids_have_no_order() -> None:
    library = [media("900", "a", days=2000), media("100", "a", days=0)]
    assert selected(library, keep_last=1) == ["900"]
    assert selected([media("900", "a"), media("100", "a")], keep_last=1) == []
    assert selected([media(900, "a"), media("100", "a")], keep_last=1) == []


def test_keep_last_keeps_the_newest_by_id_and_by_date() -> None:
    library = [media(1, "a", days=9), media(2, "a", days=1), media(3, "a", days=5), media(4, "a", days=7)]
    assert selected(library, keep_last=1) == [1, 3]
    assert selected(library, keep_last=2) == [1]


def test_files_with_the_same_date_are_ordered_by_id() -> None:
    assert selected([media(2, "a", days=1), media(1, "a", days=1)], keep_last=1) == [1]
    assert selected([media("x", "a", days=1), media("y", "a", days=1), media("z", "a", days=2)], keep_last=1) == ["z"]


def test_keep_last_keeps_all_files_without_an_order() -> None:
    library = [media("x", "a", days=1), media("y", "a"), media("z", "b", days=5), media("w", "b", days=9)]
    assert selected(library, keep_last=1) == ["w"]


def test_keep_last_keeps_the_newest_at_any_age() -> None:
    library = [media(1, "a", days=90), media(2, "a", days=80), media(3, "b", days=1)]
    assert selected(library, keep_last=1, older_than=timedelta(days=30)) == [1]


def test_all_criteria_must_hold() -> None:
    library = [
        media(1, "a.png", days=40, mime_type="image/png"),
        media(2, "a.png", days=2, mime_type="image/png"),
        media(3, "b.png", days=40, mime_type="image/png"),
        media(4, "a.png", days=40, mime_type="video/mp4"),
    ]
    assert selected(library, name="a*", mime_type="image/png", older_than=timedelta(days=30)) == [1]


@pytest.mark.parametrize(
    ("criteria", "matches_everything"),
    [
        ({}, True),
        ({"name": "*"}, True),
        ({"name": "**", "mime_type": "*/*"}, True),
        ({"name": "?*"}, True),
        ({"name": "?"}, False),
        ({"name": "*a*"}, False),
        ({"mime_type": "*/?*"}, True),
        ({"mime_type": "image/*"}, False),
        ({"keep_last": 1}, False),
        ({"name": "*", "older_than": timedelta(days=1)}, False),
    ],
)
def test_matches_everything(criteria: dict[str, Any], matches_everything: Any) -> None:
    assert Selection(**criteria).matches_everything is matches_everything


AGED = {"folderId": 7, "createdAt": "2026-01-01T00:00:00Z"}


def test_details_needed_by_a_criterion_are_fetched() -> None:
    library = FakeLibrary(list_leaves_out=("folderId", "createdAt"))
    for name in ("a", "a", "b"):
        library.add(name, **AGED)
    found = library.run(find_candidates(Selection(name="a")))
    assert [media.created_at for media in found] == [None, None]
    assert gets(library) == [], "a name alone needs no GET"

    library.calls.clear()
    found = library.run(find_candidates(Selection(name="a", folder_id="7")))
    assert [(media.id, media.folder_id) for media in found] == [(1, 7), (2, 7)]
    assert gets(library) == ["GET /1", "GET /2"]


def test_dates_are_fetched_for_string_ids() -> None:
    library = FakeLibrary(ids=iter(["900", "100", 7]), list_leaves_out=("createdAt",), ignores_order=True)
    for year in (2020, 2026, 2026):
        library.add("a", createdAt=f"{year}-01-01T00:00:00Z")
    selection = Selection(keep_last=1)
    found = library.run(find_candidates(selection))
    assert sorted(gets(library)) == ["GET /100", "GET /7", "GET /900"]
    assert [media.id for media in select(found[:2], selection, now=NOW)] == ["900"]


def test_dates_are_fetched_for_ids_that_need_not_grow() -> None:
    library = FakeLibrary(ids=iter([900, 500, 100, 3]), list_leaves_out=("createdAt",))
    for name, year in (("a", 2020), ("a", 2021), ("a", 2026), ("alone", 2020)):
        library.add(name, createdAt=f"{year}-01-01T00:00:00Z")
    selection = Selection(keep_last=1)
    found = library.run(find_candidates(selection))
    assert "GET /3" not in library.calls, "the only one of its name stays anyway"
    assert [media.id for media in select(found, selection, now=NOW)] == [500], "the newest by either stays"


@pytest.mark.parametrize("undated", [900, 50])
def test_keep_last_keeps_files_without_a_date(undated: int) -> None:
    ids_and_years = [(700, 2019), (500, 2021), (100, 2026)]
    several = [Media(id=i, name="a", created_at=datetime(year, 1, 1, tzinfo=UTC)) for i, year in ids_and_years]
    several.append(Media(id=undated, name="a"))
    deleted = [media.id for media in select(several, Selection(keep_last=1), now=NOW)]
    assert deleted == ([700, 500] if undated == 900 else [500])


def test_listed_details_survive_a_get_with_fewer_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeLibrary(list_leaves_out=("createdAt",))
    library.add("a", **AGED)
    usual = library.respond

    def respond_with_less(call: Any) -> Any:
        if call.path:
            library.files[0] |= {"name": None, "folderId": None}
        return usual(call)

    monkeypatch.setattr(library, "respond", respond_with_less)
    (found,) = library.run(find_candidates(Selection(name="a", folder_id="7", older_than=timedelta(days=1))))
    assert (found.name, found.folder_id, found.created_at) == ("a", 7, datetime(2026, 1, 1, tzinfo=UTC))


def test_at_most_max_lookups_of_the_oldest_files_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "MAX_LOOKUPS", 2)
    library = FakeLibrary(ids=iter([30, 9, 100]), list_leaves_out=("createdAt",), ignores_order=True)
    for _ in range(3):
        library.add("a", **AGED)
    selection = Selection(older_than=timedelta(days=30))
    found = library.run(find_candidates(selection))
    assert gets(library) == ["GET /9", "GET /30"]
    assert [media.id for media in found] == [30, 9, 100]
    assert [media.id for media in select(found, selection, now=NOW)] == [30, 9]
