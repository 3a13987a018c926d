"""Requests are built, and invalid arguments are rejected before anything is sent."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.protocol import build_delete, build_get, build_list, build_upload
from airflow_provider_media._api.values import normalize_media_id
from airflow_provider_media._upload.source import open_source
from airflow_provider_media._upload.spec import prepare_upload
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError


def test_list_requests_first_ten_by_default() -> None:
    request = build_list()
    assert (request.method, request.path, request.params) == ("GET", "", (("page", "0"), ("limit", "10")))
    assert request.is_idempotent


def test_list_sends_page_and_order() -> None:
    request = build_list(page=3, limit=1000, sort_by="createdAt", sort_order="desc")
    expected = (("page", "3"), ("limit", "1000"), ("sortBy", "createdAt"), ("sortOrder", "desc"))
    assert request.params == expected


@pytest.mark.parametrize(
    ("sort_by", "sent"),
    [
        ("created_at", "createdAt"),
        ("mime_type", "mimeType"),
        ("CreatedAt", "createdAt"),
        ("ID", "id"),
        (" name ", "name"),
    ],
)
def test_sort_field_accepts_other_spellings(sort_by: str, sent: str) -> None:
    assert dict(build_list(sort_by=sort_by, sort_order="DESC").params)["sortBy"] == sent
    assert dict(build_list(sort_by=sort_by, sort_order="DESC").params)["sortOrder"] == "desc"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        *[({"page": wrong}, "page must be an integer of at least 0") for wrong in (-1, 1.0, "0", True, None)],
        *[({"limit": wrong}, "limit must be an integer from 1 to 1000") for wrong in (0, 1001, "5", True, None)],
        ({"sort_by": "uploaded_at"}, "sort_by must be one of id, name, mimeType, size, createdAt"),
        ({"sort_by": ""}, "sort_by"),
        ({"sort_order": "up"}, "sort_order must be one of asc, desc"),
    ],
)
def test_list_rejects_invalid_arguments(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(MediaError) as raised:
        build_list(**arguments)
    assert type(raised.value) is MediaConfigurationError
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("media_id", "path"),
    [
        (7, "/7"),
        ("7", "/7"),
        (" med_7f ", "/med_7f"),
        ("a/b?c=d#e", "/a%2Fb%3Fc%3Dd%23e"),
        ("../x", "/..%2Fx"),
        ("é %", "/%C3%A9%20%25"),
    ],
)
def test_id_becomes_one_encoded_path_segment(media_id: int | str, path: str) -> None:
    assert (build_get(media_id).method, build_get(media_id).path) == ("GET", path)
    assert (build_delete(media_id).method, build_delete(media_id).path) == ("DELETE", path)
    assert build_delete(media_id).is_idempotent


@pytest.mark.parametrize("media_id", ["", "  ", "None", None, True, False, ".", "..", 1.0, b"7", [7], {}, "\ud800"])
@pytest.mark.parametrize("build", [build_get, build_delete, normalize_media_id])
def test_invalid_id_is_rejected_before_sending(build: Any, media_id: Any) -> None:
    with pytest.raises(MediaError) as raised:
        build(media_id)
    assert type(raised.value) is MediaConfigurationError
    assert "is not a media id" in str(raised.value)


@given(st.text())
def test_id_cannot_leave_its_path_segment(media_id: str) -> None:
    try:
        path = build_get(media_id).path
    except MediaError:
        return
    assert path.count("/") == 1
    assert unquote(path[1:]) == media_id.strip()
    assert path not in {"/", "/.", "/.."}


def test_id_cannot_inject_log_lines() -> None:
    assert build_get("7\nERROR all is lost").purpose == "get media 7 ERROR all is lost"
    assert build_delete("7\nERROR all is lost").purpose == "delete media 7 ERROR all is lost"


def test_upload_is_a_post_that_is_not_idempotent() -> None:
    upload = prepare_upload(open_source(BytesIO(b"GIF89a....")), name="Spring")
    request = build_upload(upload)
    assert (request.method, request.path, request.upload) == ("POST", "", upload)
    assert not request.is_idempotent
    assert "'Spring'" in request.purpose
