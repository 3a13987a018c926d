"""Values that are stored in XComs."""

from __future__ import annotations

import dataclasses
import json
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media.models import Media, MediaPage, UploadResult

IDS = st.integers() | st.text(min_size=1)
TEXTS = st.none() | st.text()
NUMBERS = st.none() | st.integers(0)
MEDIA = st.builds(
    Media,
    id=IDS,
    name=TEXTS,
    mime_type=TEXTS,
    size=NUMBERS,
    url=TEXTS,
    description=TEXTS,
    folder_id=st.none() | IDS,
    width=NUMBERS,
    height=NUMBERS,
    created_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    alternate_id=st.none() | IDS,
)


@given(MEDIA)
def test_media_round_trip_through_json(media: Media) -> None:
    assert Media.from_dict(json.loads(json.dumps(media.to_dict()))) == media


def test_dict_has_every_field_and_the_time_in_iso_8601() -> None:
    media = Media(id=7, name="a", created_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert media.to_dict() == {
        "id": 7,
        "name": "a",
        "mime_type": None,
        "size": None,
        "url": None,
        "description": None,
        "folder_id": None,
        "width": None,
        "height": None,
        "created_at": "2026-03-01T12:00:00+00:00",
        "alternate_id": None,
    }


def test_from_dict_ignores_unknown_keys() -> None:
    assert Media.from_dict({"id": 7, "created": True, "replaced": []}) == Media(id=7)


@pytest.mark.parametrize(
    "value", [Media(id=7), MediaPage(items=(), page=0, limit=1), UploadResult(media=Media(id=7), created=True)]
)
def test_values_are_frozen_slotted_and_picklable(value: Media | MediaPage | UploadResult) -> None:
    first_field = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, first_field, 8)
    assert not hasattr(value, "__dict__")
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes


def test_page_has_a_length_and_can_be_iterated() -> None:
    items = (Media(id=1), Media(id=2))
    page = MediaPage(items=items, page=0, limit=10)
    assert (list(page), len(page), page.total) == (list(items), 2, None)
