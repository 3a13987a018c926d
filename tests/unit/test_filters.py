"""The list, the clean-up and the events filter by one set of rules."""

from __future__ import annotations

import pytest

from airflow_provider_media._api.flows import folder_matches, name_matches, type_matches
from airflow_provider_media.models import Media


@pytest.mark.parametrize(
    ("name", "pattern", "matches"),
    [
        ("banner.png", None, True),
        ("banner.png", "banner.*", True),
        ("banner.png", "Banner.*", False),
        ("banner [1].png", "banner [1].png", True),
        ("banner 1.png", "banner [1].png", True),
        (None, "*", False),
        (None, None, True),
    ],
)
def test_name(name: str | None, pattern: str | None, *, matches: bool) -> None:
    assert name_matches(Media(id=1, name=name), pattern) is matches


@pytest.mark.parametrize(
    ("mime_type", "pattern", "matches"),
    [
        ("image/png", "image/*", True),
        ("Image/PNG; charset=binary", "image/png", True),
        ("image/png", "IMAGE/*", True),
        ("video/mp4", "image/*", False),
        (None, "image/*", False),
        (None, None, True),
    ],
)
def test_type(mime_type: str | None, pattern: str | None, *, matches: bool) -> None:
    assert type_matches(Media(id=1, mime_type=mime_type), pattern) is matches


@pytest.mark.parametrize(
    ("folder", "expected_folder", "matches"),
    [(7, "7", True), ("7", "7", True), (8, "7", False), (None, "7", False), (8, None, True)],
)
def test_folder(folder: int | str | None, expected_folder: str | None, *, matches: bool) -> None:
    assert folder_matches(Media(id=1, folder_id=folder), expected_folder) is matches
