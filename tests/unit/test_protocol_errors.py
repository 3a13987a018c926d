"""Each failed status becomes the right error with a helpful message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.protocol import (
    ApiRequest,
    ApiResponse,
    build_delete,
    build_get,
    build_list,
    raise_for_status,
)
from airflow_provider_media.exceptions import (
    Delivery,
    MediaAuthError,
    MediaError,
    MediaNotFoundError,
    MediaRateLimitError,
    MediaRequestError,
    MediaResponseError,
    MediaUnavailableError,
)

GET = build_get(7)
POST = ApiRequest(method="POST", purpose="upload 'a'")


def error_of(
    status: int, body: Any = b"", headers: dict[str, str] | None = None, api_request: ApiRequest = GET
) -> MediaError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(MediaError) as raised:
        raise_for_status(api_request, ApiResponse(status=status, headers=headers or {}, body=content))
    assert raised.value.status == status
    return raised.value


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("api_request", [GET, POST, build_delete(7)])
def test_every_2xx_is_a_success(api_request: ApiRequest, status: int) -> None:
    assert raise_for_status(api_request, ApiResponse(status=status, headers={})) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("status", "error_class", "is_transient", "may_have_acted"),
    [
        (301, MediaResponseError, False, False),
        (302, MediaResponseError, False, False),
        (304, MediaResponseError, False, False),
        (308, MediaResponseError, False, False),
        (400, MediaRequestError, False, False),
        (401, MediaAuthError, False, False),
        (403, MediaAuthError, False, False),
        (404, MediaNotFoundError, False, False),
        (405, MediaRequestError, False, False),
        (408, MediaUnavailableError, True, True),
        (409, MediaRequestError, False, False),
        (413, MediaRequestError, False, False),
        (415, MediaRequestError, False, False),
        (422, MediaRequestError, False, False),
        (425, MediaUnavailableError, True, False),
        (429, MediaRateLimitError, True, False),
        (500, MediaUnavailableError, True, True),
        (502, MediaUnavailableError, True, True),
        (503, MediaUnavailableError, True, True),
        (504, MediaUnavailableError, True, True),
        (599, MediaUnavailableError, True, True),
    ],
)
def test_status_maps_to_error_class(
    status: int, error_class: type[MediaError], *, is_transient: bool, may_have_acted: bool
) -> None:
    found = error_of(status, api_request=POST)
    assert (type(found), found.is_transient) == (error_class, is_transient)
    assert found.delivery is (Delivery.UNKNOWN if may_have_acted else Delivery.NOT_SENT)


@pytest.mark.parametrize(
    ("status", "api_request", "expected"),
    [
        (401, GET, "check the API key in the connection"),
        (403, GET, "add this machine's IP address to the account's allowlist"),
        (404, GET, "the library has no such file"),
        (404, build_list(), "no Media API at this URL; check the base address in the connection"),
        (413, POST, "the file exceeds the platform's size limit"),
        (429, GET, "the rate limit of the API key is exceeded"),
        (500, POST, "Could not upload 'a': HTTP 500"),
        (500, build_list(), "Could not list the media library: HTTP 500"),
    ],
)
def test_message_names_the_action(status: int, api_request: ApiRequest, expected: str) -> None:
    assert expected in str(error_of(status, api_request=api_request))


@pytest.mark.parametrize("key", ["message", "error", "detail", "title"])
def test_server_message_is_kept(key: str) -> None:
    found = error_of(400, {"status": 400, key: "No\nfile part"})
    assert found.server_message == "No file part"
    assert "(No file part)" in str(found)


def test_first_non_empty_server_message_is_used() -> None:
    assert error_of(400, {"message": " ", "error": 5, "detail": "d"}).server_message == "d"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", None),
        (b"  \n ", None),
        (b"Bad gateway", "Bad gateway"),
        (b"<h1>Bad\n gateway</h1>", "<h1>Bad gateway</h1>"),
        (b"\xff\x00", "\ufffd"),
        ({"code": 7}, '{"code": 7}'),
        (["a"], '["a"]'),
        (b"[" * 100_000, "[" * 200 + "…"),
    ],
)
def test_error_body_of_any_kind_is_quoted(body: Any, expected: str | None) -> None:
    assert error_of(502, body).server_message == expected


@pytest.mark.parametrize("header", ["x-request-id", "x-correlation-id", "request-id"])
def test_request_id_is_kept(header: str) -> None:
    found = error_of(500, headers={header: "r-77"})
    assert found.request_id == "r-77"
    assert "[request r-77]" in str(found)


def test_missing_request_id_is_none() -> None:
    assert error_of(500).request_id is None
    assert "[request" not in str(error_of(500))


def test_redirect_names_target_and_is_not_followed() -> None:
    message = str(error_of(302, headers={"location": "https://elsewhere.example/login"}))
    assert "did not follow the redirect to 'https://elsewhere.example/login'" in message
    assert "check the base address in the connection" in message
    assert "did not follow the redirect, because" in str(error_of(301))
    assert len(str(error_of(301, headers={"location": "/" * 60_000}))) < 600


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "3"}, {"retryAfter": 12}, 3.0),
        ({}, {"retryAfter": 12}, 12.0),
        ({}, {"retryAfter": 10**400}, None),
        ({}, b"busy", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 502])
def test_retry_after_is_read_from_header_or_body(
    status: int, headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    assert error_of(status, body, headers).retry_after == seconds


@given(
    status=st.integers(300, 999),
    body=st.binary(max_size=80) | st.dictionaries(st.text(max_size=8), st.text(max_size=8)).map(json.dumps),
    headers=st.dictionaries(st.sampled_from(["location", "retry-after", "x-request-id"]), st.text(max_size=9)),
)
def test_any_failed_response_raises_media_error(status: int, body: bytes | str, headers: dict[str, str]) -> None:
    content = body.encode() if isinstance(body, str) else body
    assert str(error_of(status, content, headers)).endswith(".")


@pytest.mark.parametrize(
    ("body", "is_from_api"),
    [
        ({"status": 502, "error": "Bad Gateway", "message": "The storage is unavailable"}, True),
        ({"status": 502, "error": "Bad Gateway", "message": "m", "path": "/media", "retryAfter": 3}, True),
        ({"status": 500, "error": "Bad Gateway", "message": "m"}, False),
        ({"status": "502", "error": "Bad Gateway", "message": "m"}, False),
        ({"message": "Internal server error"}, False),
        ({"status": 502, "error": {"code": 1}, "message": "m"}, False),
        (["status", 502], False),
        (b"<html>502 Bad Gateway</html>", False),
        (b"", False),
    ],
)
def test_api_error_differs_from_proxy_error(body: Any, *, is_from_api: bool) -> None:
    assert error_of(502, body).is_from_api is is_from_api
