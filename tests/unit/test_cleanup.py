"""Which files a clean-up selects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_media._api.cleanup import Selection, select
from airflow_provider_media.models import Media

NOW = datetime(2026, 7, 31, tzinfo=UTC)


def media(media_id: int | str, name: str | None = "banner.png", *, days: int | None = None, **others: Any) -> Media:
    created_at = None if days is None else NOW - timedelta(days=days)
    return Media(id=media_id, name=name, created_at=created_at, **others)


def selected(library: list[Media], **criteria: Any) -> list[int | str]:
    return [one.id for one in select(library, Selection(**criteria), now=NOW)]


def test_names_match_as_they_are_and_as_patterns() -> None:
    library = [media(1, "a.png"), media(2, "b.png"), media(3, "a[1].png"), media(4, None), media(5, "A.png")]
    assert selected(library, name="a.png") == [1]
    assert selected(library, name="a*") == [1, 3]
    assert selected(library, name="a[1].png") == [3]
    assert selected(library, name="?.png") == [1, 2, 5]


def test_types_match_as_patterns_and_an_unknown_type_never() -> None:
    library = [media(1, mime_type="image/png"), media(2, mime_type="video/mp4"), media(3)]
    assert selected(library, mime_type="image/*") == [1]
    assert selected(library, mime_type="*/*") == [1, 2]


def test_a_folder_that_is_not_told_is_never_the_one() -> None:
    library = [media(1, folder_id=7), media(2, folder_id="7"), media(3, folder_id=8), media(4)]
    assert selected(library, folder_id="7") == [1, 2]


def test_an_age_that_is_not_told_is_never_old() -> None:
    library = [media(1, days=40), media(2, days=30), media(3, days=29), media(4)]
    assert selected(library, older_than=timedelta(days=30)) == [1, 2]


def test_a_moment_without_a_zone_is_taken_as_utc() -> None:
    library = [Media(id=1, name="a", created_at=datetime(2026, 7, 1))]  # noqa: DTZ001 - as a server may write it
    assert selected(library, older_than=timedelta(days=30)) == [1]
    assert selected(library, older_than=timedelta(days=31)) == []


def test_the_newest_of_each_name_stay() -> None:
    library = [media(9, "a"), media(10, "a"), media(2, "a"), media(3, "b"), media(4, None), media(5, None)]
    assert selected(library, keep_last=1) == [9, 2]
    assert selected(library, keep_last=2) == [2]
    assert selected(library, keep_last=3) == []


def test_text_ids_are_put_in_order_by_their_moments() -> None:
    library = [media("x", "a", days=1), media("y", "a", days=3), media("z", "a", days=2)]
    assert selected(library, keep_last=1) == ["y", "z"]


def test_where_no_order_is_known_all_of_a_name_stay() -> None:
    library = [media("x", "a", days=1), media("y", "a"), media("z", "b", days=5), media("w", "b", days=9)]
    assert selected(library, keep_last=1) == ["w"]


def test_the_newest_stay_however_old() -> None:
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
    ("criteria", "is_everything"),
    [
        ({}, True),
        ({"name": "*"}, True),
        ({"name": "**", "mime_type": "*/*"}, True),
        ({"name": "?*"}, False),
        ({"keep_last": 1}, False),
        ({"name": "*", "older_than": timedelta(days=1)}, False),
    ],
)
def test_a_selection_knows_when_it_leaves_nothing_out(criteria: dict[str, Any], is_everything: Any) -> None:
    assert Selection(**criteria).is_everything is is_everything
