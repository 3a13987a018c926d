"""What a refusal or failure of the server means, said in words."""

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


def problem(status: int, body: Any = b"", headers: dict[str, str] | None = None, call: ApiRequest = GET) -> MediaError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(MediaError) as raised:
        raise_for_status(call, ApiResponse(status=status, headers=headers or {}, body=content))
    assert raised.value.status == status
    return raised.value


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("call", [GET, POST, build_delete(7)])
def test_every_2xx_is_a_success(call: ApiRequest, status: int) -> None:
    assert raise_for_status(call, ApiResponse(status=status, headers={})) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("status", "kind", "is_transient", "may_have_acted"),
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
        (429, MediaRateLimitError, True, False),
        (500, MediaUnavailableError, True, True),
        (502, MediaUnavailableError, True, True),
        (503, MediaUnavailableError, True, True),
        (504, MediaUnavailableError, True, True),
        (599, MediaUnavailableError, True, True),
    ],
)
def test_each_status_has_its_meaning(
    status: int, kind: type[MediaError], *, is_transient: bool, may_have_acted: bool
) -> None:
    found = problem(status, call=POST)
    assert (type(found), found.is_transient) == (kind, is_transient)
    assert found.delivery is (Delivery.UNKNOWN if may_have_acted else Delivery.NOT_SENT)


@pytest.mark.parametrize(
    ("status", "call", "words"),
    [
        (401, GET, "the API key is rejected: check the connection's password"),
        (403, GET, "this machine's address is not allowed"),
        (404, GET, "the library has no such file"),
        (404, build_list(), "there is no Media API at this address: check the connection's host"),
        (413, POST, "the file is larger than the platform takes"),
        (429, GET, "the rate limit of the API key is used up"),
        (500, POST, "Could not upload 'a': the server answered 500"),
        (500, build_list(), "Could not list the media library: the server answered 500"),
    ],
)
def test_the_sentence_says_what_to_do(status: int, call: ApiRequest, words: str) -> None:
    assert words in str(problem(status, call=call))


@pytest.mark.parametrize("key", ["message", "error", "detail", "title"])
def test_the_servers_own_words_are_kept(key: str) -> None:
    found = problem(400, {"status": 400, key: "No\nfile part"})
    assert found.server_message == "No file part"
    assert "(No file part)" in str(found)


def test_the_first_of_the_servers_words_that_says_something_counts() -> None:
    assert problem(400, {"message": " ", "error": 5, "detail": "d"}).server_message == "d"


@pytest.mark.parametrize(
    ("body", "said"),
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
def test_an_error_body_of_any_kind_is_quoted(body: Any, said: str | None) -> None:
    assert problem(502, body).server_message == said


@pytest.mark.parametrize("header", ["x-request-id", "x-correlation-id", "request-id"])
def test_the_servers_name_of_the_request_is_kept(header: str) -> None:
    found = problem(500, headers={header: "r-77"})
    assert found.request_id == "r-77"
    assert "[request r-77]" in str(found)


def test_without_a_request_id_none_is_made_up() -> None:
    assert problem(500).request_id is None
    assert "[request" not in str(problem(500))


def test_a_redirect_says_where_it_points_and_why_it_is_not_followed() -> None:
    message = str(problem(302, headers={"location": "https://elsewhere.example/login"}))
    assert "points to 'https://elsewhere.example/login'" in message
    assert "redirects are not followed" in message
    assert "an unnamed place" in str(problem(301))
    assert len(str(problem(301, headers={"location": "/" * 60_000}))) < 600


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
def test_how_long_to_wait_is_read_from_header_or_body(
    status: int, headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    assert problem(status, body, headers).retry_after == seconds


@given(
    status=st.integers(300, 999),
    body=st.binary(max_size=80) | st.dictionaries(st.text(max_size=8), st.text(max_size=8)).map(json.dumps),
    headers=st.dictionaries(st.sampled_from(["location", "retry-after", "x-request-id"]), st.text(max_size=9)),
)
def test_any_failed_answer_is_a_problem(status: int, body: bytes | str, headers: dict[str, str]) -> None:
    content = body.encode() if isinstance(body, str) else body
    assert str(problem(status, content, headers)).endswith(".")


@pytest.mark.parametrize(
    ("body", "by_api"),
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
def test_an_error_of_the_api_itself_is_told_from_a_proxys(body: Any, *, by_api: bool) -> None:
    assert problem(502, body).is_from_api is by_api
