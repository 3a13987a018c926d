"""Responses are parsed by the tolerant rules of the API notes."""

from __future__ import annotations

import io
import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api import protocol
from airflow_provider_media._api.protocol import (
    ApiRequest,
    ApiResponse,
    OtherMediaError,
    build_get,
    build_list,
    parse_media,
    parse_page,
)
from airflow_provider_media._api.settings import Secret, Settings
from airflow_provider_media._transports.attempts import read_response
from airflow_provider_media.exceptions import Delivery, MediaError, MediaResponseError
from airflow_provider_media.models import Media, MediaPage

GET = build_get(7)
LIST = build_list(page=2, limit=10)
FIRST = build_list(limit=10)
POST = ApiRequest(method="POST", purpose="upload 'a'")
ENTRY = {"id": 7, "name": "a", "mimeType": "image/png", "size": 9, "url": "http://h/7"}
MEDIA = Media(id=7, name="a", mime_type="image/png", size=9, url="http://h/7")


def response(value: Any) -> ApiResponse:
    return ApiResponse(status=200, headers={}, body=value if isinstance(value, bytes) else json.dumps(value).encode())


def media(value: Any, media_id: int | str = 7) -> Media:
    return parse_media(build_get(media_id), response(value))


def page(value: Any, api_request: ApiRequest = LIST) -> MediaPage:
    return parse_page(api_request, response(value))


def test_every_field_is_parsed() -> None:
    more = {"description": "d", "folderId": 3, "width": 4, "height": 5, "createdAt": "2026-03-01T12:00:00Z"}
    assert media({**ENTRY, **more}) == Media(
        id=7,
        name="a",
        mime_type="image/png",
        size=9,
        url="http://h/7",
        description="d",
        folder_id=3,
        width=4,
        height=5,
        created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("requested", "entry"),
    [
        (7, {"id": "7"}),
        ("7", {"id": 7}),
        (" 7 ", {"id": 7}),
        ("med_7", {"id": 7, "mediaId": "med_7"}),
        ("7", {"id": 7, "mediaId": "med_7"}),
        ("med 7/é", {"mediaId": "med 7/é"}),
    ],
)
def test_get_accepts_either_id(requested: int | str, entry: dict[str, Any]) -> None:
    assert media(entry, requested)


@pytest.mark.parametrize("entry", [{"id": 1}, {"id": 1, "mediaId": "med_1"}, {"id": "70"}, {"mediaId": "med_1"}])
def test_get_rejects_response_about_another_file(entry: dict[str, Any]) -> None:
    described = entry.get("id") or entry["mediaId"]
    with pytest.raises(
        MediaError, match=rf"get media 7: invalid response .*: it describes media {described};"
    ) as raised:
        media(entry)
    assert (type(raised.value), raised.value.is_transient) == (OtherMediaError, False)


def test_missing_null_and_extra_fields_are_accepted() -> None:
    assert media({"id": 7, "name": None, "size": None, "tags": [1], "width": None}) == Media(id=7)


@pytest.mark.parametrize(
    ("entry", "media_id"),
    [
        ({"id": 7}, 7),
        ({"id": "7"}, "7"),
        ({"id": 0}, 0),
        ({"mediaId": "med_7f3a2b1c4d5e"}, "med_7f3a2b1c4d5e"),
        ({"mediaId": 8}, 8),
        ({"id": 7, "mediaId": "med_7"}, 7),
        ({"id": None, "mediaId": "med_7"}, "med_7"),
        ({"id": "", "mediaId": "med_7"}, "med_7"),
    ],
)
def test_id_is_read_from_id_or_media_id(entry: dict[str, Any], media_id: int | str) -> None:
    found = media(entry, media_id).id
    assert (found, type(found)) == (media_id, type(media_id))


@pytest.mark.parametrize(
    ("key", "value", "field", "read"),
    [
        ("size", "12", "size", 12),
        ("size", 12.0, "size", 12),
        ("size", 0, "size", 0),
        ("width", "640", "width", 640),
        ("folderId", "12", "folder_id", "12"),
        ("folderId", 12, "folder_id", 12),
        ("folderId", True, "folder_id", None),
        ("folderId", {"id": 1}, "folder_id", None),
        ("createdAt", "2026-03-01T12:00:00", "created_at", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (
            "createdAt",
            "2026-03-01T12:00:00.5+01:00",
            "created_at",
            datetime(2026, 3, 1, 12, 0, 0, 500000, timezone(timedelta(hours=1))),
        ),
        ("createdAt", 1772366400, "created_at", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("createdAt", 1772366400000, "created_at", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("createdAt", "yesterday", "created_at", None),
        ("createdAt", True, "created_at", None),
        ("createdAt", 10**300, "created_at", None),
        ("createdAt", [], "created_at", None),
    ],
)
def test_unusual_but_clear_values_are_parsed(key: str, value: Any, field: str, read: Any) -> None:
    assert getattr(media({"id": 7, key: value}), field) == read


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "empty body"),
        (b"   ", "empty body"),
        (b"<html><title>Login</title>", "not JSON; it starts with: <html><title>Login</title>"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "an entry is not an object: list"),
        ("text", "an entry is not an object: str"),
        (None, "an entry is not an object: NoneType"),
        ({}, "no valid id"),
        ({"id": None}, "no valid id"),
        ({"id": ""}, "no valid id"),
        ({"id": True}, "no valid id"),
        ({"id": 1.5}, "no valid id"),
        ({"id": []}, "no valid id"),
        ({"id": {}, "mediaId": "m"}, "no valid id"),
        ({"id": "", "mediaId": [1]}, "no valid id"),
        ({"id": 7, "name": 5}, "name of media 7 is not a string"),
        ({"id": 7, "size": "big"}, "size of media 7 is not a non-negative integer"),
        ({"id": 7, "size": -1}, "size of media 7"),
        ({"id": 7, "size": True}, "size of media 7"),
        ({"id": "7\nERROR \ud7fc", "name": 5}, "name of media 7 ERROR is not a string"),
        ({"id": 7, "height": 1.5}, "height of media 7"),
    ],
)
def test_invalid_response_names_reason_and_excerpt(body: Any, expected: str) -> None:
    with pytest.raises(MediaError) as raised:
        media(body)
    assert expected in str(raised.value)
    assert (type(raised.value), raised.value.status, raised.value.is_transient) == (MediaResponseError, 200, False)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(("api_request", "delivery"), [(POST, Delivery.UNKNOWN), (GET, Delivery.NOT_SENT)])
def test_delivery_is_unknown_after_an_invalid_response_to_a_post(api_request: ApiRequest, delivery: Delivery) -> None:
    with pytest.raises(MediaError) as raised:
        parse_media(api_request, response(b"<html>"))
    assert raised.value.delivery is delivery


@pytest.mark.parametrize("total_key", ["totalElements", "total", "totalCount", "count", None])
@pytest.mark.parametrize("items_key", ["content", "items", "data", "results", "media"])
def test_every_list_envelope_is_parsed(items_key: str, total_key: str | None) -> None:
    envelope: dict[str, Any] = {"page": 2, "links": [1], items_key: [ENTRY]}
    if total_key:
        envelope[total_key] = 31
    assert page(envelope) == MediaPage(items=(MEDIA,), page=2, limit=10, total=31 if total_key else None)


def test_a_bare_array_is_a_page_without_a_total() -> None:
    assert page([ENTRY]) == MediaPage(items=(MEDIA,), page=2, limit=10, total=None)


@pytest.mark.parametrize(
    ("envelope", "total"),
    [
        ({"items": [], "total": "31"}, 31),
        ({"items": [], "total": None, "count": 31}, 31),
        ({"items": [], "total": -1}, None),
        ({"items": [], "total": {"value": 3}}, None),
        ({"items": [], "total": True}, None),
        ({"items": [{"id": n} for n in range(10)], "count": 10}, None),
        ({"items": [{"id": n} for n in range(10)], "count": 30}, 30),
        ({"items": [{"id": n} for n in range(10)], "total": 10}, 10),
    ],
)
def test_implausible_total_is_ignored(envelope: dict[str, Any], total: int | None) -> None:
    assert page(envelope).total == total


def test_envelope_key_without_list_is_ignored() -> None:
    assert page({"content": None, "data": {"x": 1}, "media": [ENTRY]}).items == (MEDIA,)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "no list of media"),
        ({"items": {}}, "no list of media"),
        ({"files": [ENTRY]}, "no list of media"),
        ("text", "no list of media"),
        (3, "no list of media"),
        ({"items": [3]}, "an entry is not an object: int"),
        ([None], "an entry is not an object: NoneType"),
        ([{}], "no valid id"),
        ({"items": [3, 4]}, "an entry is not an object: int"),
        ([{"name": "a"}, {"name": "b"}], "no valid id"),
        ([{"id": [1]}, {"id": True}], "no valid id"),
        ({"content": None, "totalElements": 3}, "no list of media"),
        ({"content": {"content": {}}}, "no list of media"),
        ({"totalElements": 3}, "no list of media"),
        ({"data": {"id": 7, "name": "a"}}, "no list of media"),
    ],
)
def test_invalid_list_is_rejected(body: Any, expected: str) -> None:
    with pytest.raises(MediaError) as raised:
        page(body, FIRST)
    assert expected in str(raised.value)
    assert type(raised.value) is MediaResponseError


EMPTY = [
    [],
    None,
    {"content": []},
    {"content": None},
    {"items": None, "total": 0},
    {"totalElements": 0},
    {"count": "0", "page": 0},
    {"data": {"content": None}},
    {"result": {"items": [], "total": 0}},
    {"data": None, "media": None},
]


@pytest.mark.parametrize("value", EMPTY)
def test_empty_library_is_parsed_in_every_form(value: Any) -> None:
    assert page(value, FIRST).items == ()


def test_a_list_without_content_is_empty() -> None:
    assert parse_page(FIRST, ApiResponse(status=204, headers={})).items == ()


@pytest.mark.parametrize("value", [{"content": None, "totalElements": 3}, {"items": None, "total": "3"}])
def test_page_after_the_last_may_have_no_list(value: Any) -> None:
    assert page(value) == MediaPage(items=(), page=2, limit=10, total=3)


@pytest.mark.parametrize("envelope", ["data", "media", "result"])
@pytest.mark.parametrize("inner", [{}, {"description": None}, {"media": {"id": 9}}])
def test_a_wrapped_media_is_unwrapped(envelope: str, inner: dict[str, Any]) -> None:
    wrapped = {envelope: {**ENTRY, **inner}, "status": "ok", "message": None}
    assert media(wrapped) == media({"data": wrapped}) == MEDIA
    assert media({"id": "request-4", **wrapped}) == MEDIA


@pytest.mark.parametrize("items", ["content", "items", "data", "results", "media"])
@pytest.mark.parametrize("envelope", ["data", "result"])
def test_a_wrapped_list_is_unwrapped(envelope: str, items: str) -> None:
    wrapped = {"ok": True, envelope: {items: [ENTRY], "total": 3}}
    assert page(wrapped) == MediaPage(items=(MEDIA,), page=2, limit=10, total=3)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("ISO-8859-1", "iso-8859-1"),
        ('"iso-8859-15"', "iso-8859-15"),
        ("windows-1252", "cp1252"),
        ("UTF-16", "utf-16"),
        ("utf-16le", "utf-16-le"),
        ("utf-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        ("iso-8859-1x", "utf-8"),
        ("utf-16", "utf-8"),
        ("none", "utf-8-sig"),
    ],
)
def test_json_is_decoded_in_charset_of_content_type(charset: str, encoding: str) -> None:
    name = "Kaffee für 5 €" if "1252" in encoding or "15" in encoding or "utf" in encoding else "Kaffee für fünf"
    body = json.dumps([{"id": 7, "name": name}], ensure_ascii=False).encode(encoding)
    headers = {"content-type": f"application/json; charset={charset}"}
    assert parse_page(FIRST, ApiResponse(status=200, headers=headers, body=body)).items[0].name == name


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "b"}, "no valid id"),
        ({"id": 8.5}, "no valid id"),
        ({"id": 1e300}, "no valid id"),
        ({"id": 8, "name": 17}, "name of media 8 is not a string"),
        ({"id": 8, "size": -1}, "size of media 8 is not a non-negative integer"),
        ({"id": 8, "size": float("nan")}, "size of media 8 is not a non-negative integer"),
        ({"id": 8, "url": {"href": "http://h"}}, "url of media 8 is not a string"),
        ({"id": 8, "mimeType": ["image/png"]}, "mimeType of media 8 is not a string"),
        (None, "an entry is not an object: NoneType"),
        ("8", "an entry is not an object: str"),
    ],
)
def test_an_invalid_entry_is_skipped_with_one_warning(
    entry: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    protocol._warn_of_skipped.cache_clear()
    for _ in range(3):
        assert page([entry, ENTRY]).items == (MEDIA,)
    [warning] = caplog.records
    assert warning.levelname == "WARNING"
    assert "Skipped 1 invalid entry of the media list: " in warning.getMessage()
    assert reason in warning.getMessage()
    assert page([entry]).items == ()
    if isinstance(entry, dict) and (entry.get("id") == 8 or "name" in entry):
        assert page([entry], FIRST).items == ()


@pytest.mark.parametrize(("written", "read"), [("17.0", 17), ("1e3", 1000), ('"17.0"', "17.0"), ('"17"', "17")])
def test_integral_float_is_accepted_as_id(written: str, read: int | str) -> None:
    found = page(b'[{"id": %s, "folderId": 3.0}]' % written.encode()).items[0]
    assert (found.id, type(found.id), found.folder_id) == (read, type(read), 3)
    assert media(b'{"id": %s}' % written.encode(), read).id == read


def test_excerpt_is_short_and_on_one_line() -> None:
    with pytest.raises(MediaError) as raised:
        media(b"<html>\r\n\t\x1b[31m" + b"x" * 5000)
    assert "<html> [31mxxx" in str(raised.value)
    assert len(str(raised.value)) < 600
    assert str(raised.value).isprintable()


KEYS = st.sampled_from(
    "id mediaId name mimeType size url folderId createdAt items data content total count media".split()  # noqa: SIM905
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda deep: st.lists(deep, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), deep, max_size=6),
    max_leaves=25,
)


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_any_body_is_parsed_or_raises_media_error(body: bytes) -> None:
    for request, parse in ((GET, parse_media), (POST, parse_media), (LIST, parse_page)):
        try:
            found: Any = parse(request, response(body))
        except MediaError as error:
            rejected = error
        else:
            entries = [found] if isinstance(found, Media) else found.items
            assert all(isinstance(entry.id, (int, str)) and entry.id != "" for entry in entries)
            assert all(entry.created_at is None or entry.created_at.tzinfo for entry in entries)
            continue
        assert isinstance(rejected, MediaResponseError)
        assert str(rejected).isprintable()


@pytest.mark.parametrize(
    "field",
    [{"description": "lorem ipsum " * 2500}, {"meta": [{"k": 1, "v": "x"}] * 1500}, {"name": "n" * 30_000}],
    ids=lambda field: next(iter(field)),
)
def test_a_large_page_takes_at_most_five_times_its_size(field: dict[str, Any]) -> None:
    entries = [{"id": number, "name": f"{number}.png", "size": 5} | field for number in range(30)]
    body = json.dumps({"content": entries, "total": 30}).encode()
    key = Secret("key-of-the-tests")
    settings = Settings(base_url="https://media.example", api_key=key)
    tracemalloc.start()
    try:
        http_response = requests.Response()
        http_response.status_code = 200
        http_response.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
        assert len(parse_page(LIST, read_response(LIST, http_response, settings)).items) == 30
        assert tracemalloc.get_traced_memory()[1] <= 5 * len(body)
    finally:
        tracemalloc.stop()
