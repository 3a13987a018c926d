"""Search, filter, order and pages of the Media library page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from unicodedata import normalize

import pytest

from airflow_provider_media.models import Media
from airflow_provider_media.plugins._views import FILES_PER_PAGE, View


def media(media_id: int | str, name: str | None = None, **fields: Any) -> Media:
    return Media(id=media_id, name=name, **fields)


LIBRARY = [
    media(1, "Summer banner", mime_type="image/jpeg", size=500, created_at=datetime(2026, 3, 1, tzinfo=UTC)),
    media(2, "autumn Banner", mime_type="image/png", size=900, created_at=datetime(2026, 1, 1, tzinfo=UTC)),
    media(3, "pour", mime_type="video/mp4", size=700, created_at=datetime(2026, 2, 1, tzinfo=UTC)),
    media("med_4"),
]


def ids(**view: Any) -> list[int | str]:
    return [item["id"] for item in View(**view).of(LIBRARY)["items"]]


def test_search_matches_all_words_in_any_order_and_case_or_the_id() -> None:
    assert ids(search="banner SUMMER") == [1]
    assert sorted(map(str, ids(search="banner"))) == ["1", "2"]
    assert ids(search=" MED_4 ") == ["med_4"]
    assert ids(search="winter") == []


def test_type_filter_accepts_a_full_type_or_its_first_part() -> None:
    assert set(ids(mime_type="image")) == {1, 2}
    assert ids(mime_type="video/mp4") == [3]
    assert ids(mime_type="unknown") == ["med_4"]
    assert ids(mime_type="imag") == []


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_match_in_either_unicode_form(form: Literal["NFC", "NFD"]) -> None:
    library = [Media(id=1, name=normalize(form, "Café-banner"))]
    assert View(search=normalize("NFC", "CAFÉ")).of(library)["found"] == 1
    assert View(search=normalize("NFD", "CAFÉ")).of(library)["found"] == 1


def test_type_counts_ignore_the_type_filter() -> None:
    view = View(search="banner", mime_type="video").of(LIBRARY)
    assert view["types"] == {"image/jpeg": 1, "image/png": 1}
    assert view["found"] == 0


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("newest", [1, 3, 2, "med_4"]),
        ("oldest", ["med_4", 2, 3, 1]),
        ("name", ["med_4", 2, 3, 1]),
        ("largest", [2, 3, 1, "med_4"]),
        ("smallest", ["med_4", 1, 3, 2]),
        ("no such order", [1, 3, 2, "med_4"]),
    ],
)
def test_orders(order: str, expected: list[int | str]) -> None:
    assert ids(order=order) == expected


def test_files_without_a_date_are_sorted_by_id() -> None:
    library = [media(2), media(10), media(9)]
    assert [item["id"] for item in View().of(library)["items"]] == [10, 9, 2]


def test_page_beyond_the_last_shows_the_last_page() -> None:
    library = [media(number) for number in range(FILES_PER_PAGE + 5)]
    pages = [View(order="oldest", page=page).of(library) for page in (0, 1, 99)]
    assert [len(page["items"]) for page in pages] == [FILES_PER_PAGE, 5, 5]
    assert [page["page"] for page in pages] == [0, 1, 1]
    assert {page["pages"] for page in pages} == {2}
    assert View().of([])["pages"] == 1
