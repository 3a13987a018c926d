"""Build the four requests of the Media API and parse their responses."""

from __future__ import annotations

import email.message
import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_media._api.retry import parse_retry_after
from airflow_provider_media._api.values import normalize_media_id, parse_timestamp, plural, show
from airflow_provider_media.exceptions import (
    Delivery,
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaNotFoundError,
    MediaRateLimitError,
    MediaRequestError,
    MediaResponseError,
    MediaUnavailableError,
)
from airflow_provider_media.models import Media, MediaPage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_media._api.retry import RetryState

log = logging.getLogger(__name__)

SORT_FIELDS = ("id", "name", "mimeType", "size", "createdAt")
SORT_ORDERS = ("asc", "desc")
MAX_PAGE = 1000
"""The highest ``limit`` that the list accepts (Media API reference)."""

_MAX_PAGES = 10**19
"""More than any list has; Python does not convert integers of thousands of digits to strings."""

_ITEM_KEYS = ("content", "items", "data", "results", "media")
_SINGLE_KEYS = ("data", "media", "result")
_ID_KEYS = ("id", "mediaId")
_TOTAL_KEYS = ("totalElements", "total", "totalCount", "count")
_STRING_KEYS = ("name", "mimeType", "url", "description")
_STRING_OR_NONE = (str, type(None))
_OTHER_KEYS = ("size", "folderId", "width", "height", "createdAt")
_ERROR_KEYS = ("message", "error", "detail", "title", "status", "retryAfter")
_KEYS = frozenset((*_ITEM_KEYS, *_SINGLE_KEYS, *_ID_KEYS, *_TOTAL_KEYS, *_STRING_KEYS, *_OTHER_KEYS, *_ERROR_KEYS))
_REQUEST_ID_HEADERS = ("x-request-id", "x-correlation-id", "request-id")
_MAX_EXCERPT_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request, not yet sent.

    :param path: the part of the URL after the library's, percent-encoded.
    :param upload: the ``UploadSpec`` whose multipart body is sent; None for other requests.
    :param media_id: the id that the response must describe.
    :param purpose: completes "Could not ..." in errors.
    :param retry_state: shared with other requests; None: the request gets its own.
    :param max_attempts: limit of its own retry state, if lower than the connection's.
    :param retry_seconds: retry budget of its own retry state in seconds, if lower than the connection's.
    """

    method: str
    path: str = ""
    params: tuple[tuple[str, str], ...] = ()
    upload: Any = None
    media_id: str | None = None
    purpose: str
    retry_state: RetryState | None = None
    max_attempts: int | None = None
    retry_seconds: float | None = None

    @property
    def is_idempotent(self) -> bool:
        """Whether the request can be sent twice with the effect of one."""
        return self.method != "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """One complete response.

    :param body: the bytes received, without content codings.
    :param delivery: PARTIAL if the response came before the whole body was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    delivery: Delivery = Delivery.CONFIRMED


def build_list(
    *, page: int = 0, limit: int = 10, sort_by: str | None = None, sort_order: str | None = None
) -> ApiRequest:
    """Build the request for one page of the list."""
    if not _is_integer(page) or not 0 <= page < _MAX_PAGES:
        raise MediaConfigurationError(f"page must be an integer of at least 0, not {show(page)}.")
    if not _is_integer(limit) or not 1 <= limit <= MAX_PAGE:
        raise MediaConfigurationError(f"limit must be an integer from 1 to {MAX_PAGE}, not {show(limit)}.")
    sort_by = _choice("sort_by", sort_by, SORT_FIELDS)
    sort_order = _choice("sort_order", sort_order, SORT_ORDERS)
    params = {"page": str(page), "limit": str(limit), "sortBy": sort_by, "sortOrder": sort_order}
    given = tuple((key, value) for key, value in params.items() if value is not None)
    return ApiRequest(method="GET", params=given, purpose="list the media library")


def _choice(field: str, given: object, choices: tuple[str, ...]) -> str | None:
    """Return a choice in the API's spelling; ``created_at`` and ``CREATEDAT`` mean ``createdAt``."""
    if given is None:
        return None
    normalized = given.replace("_", "").strip().lower() if isinstance(given, str) else ""
    for choice in choices:
        if choice.lower() == normalized:
            return choice
    raise MediaConfigurationError(f"{field} must be one of {', '.join(choices)}, not {show(given)}.")


def build_get(media_id: int | str) -> ApiRequest:
    """Build the request for one file's metadata."""
    sent_id = str(normalize_media_id(media_id))
    path = "/" + quote(sent_id, safe="")
    return ApiRequest(method="GET", path=path, media_id=sent_id, purpose=f"get media {one_line(sent_id)}")


def build_delete(media_id: int | str) -> ApiRequest:
    """Build the request to delete one file."""
    sent_id = str(normalize_media_id(media_id))
    path = "/" + quote(sent_id, safe="")
    return ApiRequest(method="DELETE", path=path, purpose=f"delete media {one_line(sent_id)}")


def build_upload(upload: Any) -> ApiRequest:
    """Build the request to upload one file."""
    return ApiRequest(method="POST", upload=upload, purpose=f"upload {upload.name!r}")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def raise_for_status(request: ApiRequest, response: ApiResponse) -> None:
    """Raise the error of the status, unless it is a success; 206 is an error too."""
    status = response.status
    is_unclear = status < HTTPStatus.OK or status == HTTPStatus.PARTIAL_CONTENT
    if status < HTTPStatus.MULTIPLE_CHOICES and not is_unclear:
        return
    details: Any = None
    with suppress(ValueError, RecursionError):
        details = _load_json(response)
    details = details if isinstance(details, dict) else {}
    server_message = _server_message(response, details)
    request_id = next((response.headers[name] for name in _REQUEST_ID_HEADERS if response.headers.get(name)), None)
    error_class, hint = _error_class_and_hint(request, response)
    message = f"Could not {request.purpose}: HTTP {status}"
    message += f" ({server_message})" if server_message else ""
    message += f"; {hint}" if hint else ""
    message += f" [request {request_id}]" if request_id else ""
    server_failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT
    raise error_class(
        message + ".",
        status=status,
        server_message=server_message,
        request_id=request_id,
        is_transient=server_failed or status in _REJECTED_FOR_NOW,
        # Also for 503: proxies send it when their connection to the server breaks, and then the file may be stored.
        delivery=Delivery.UNKNOWN if server_failed or is_unclear else Delivery.NOT_SENT,
        retry_after=parse_retry_after(response.headers.get("retry-after"), details.get("retryAfter")),
        is_from_api=details.get("status") == status
        and all(isinstance(details.get(key), str) for key in ("error", "message")),
    )


_ERRORS: dict[int, tuple[type[MediaError], str]] = {
    206: (MediaResponseError, "a partial response was not requested"),
    401: (MediaAuthError, "check the API key in the connection"),
    403: (MediaAuthError, "add this machine's IP address to the account's allowlist"),
    404: (MediaNotFoundError, "the library has no such file"),
    407: (MediaRequestError, "the proxy requires credentials; check the extra 'proxy' in the connection"),
    408: (MediaUnavailableError, ""),
    413: (MediaRequestError, "the file exceeds the platform's size limit"),
    425: (MediaUnavailableError, ""),
    429: (MediaRateLimitError, "the rate limit of the API key is exceeded"),
}

_REJECTED_FOR_NOW = {HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
"""The server did not process the request, and may process the next one."""


def _error_class_and_hint(request: ApiRequest, response: ApiResponse) -> tuple[type[MediaError], str]:
    status = response.status
    if status == HTTPStatus.NOT_FOUND and not request.path:
        return MediaNotFoundError, "no Media API at this URL; check the base address in the connection"
    if status in _ERRORS:
        return _ERRORS[status]
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        location = response.headers.get("location")
        target = f" to {one_line(location)!r}" if location else ""
        reason = "because its target would receive the API key; check the base address in the connection"
        return MediaResponseError, f"did not follow the redirect{target}, {reason}"
    if status < HTTPStatus.BAD_REQUEST:
        return MediaResponseError, ""
    return (MediaRequestError if status < HTTPStatus.INTERNAL_SERVER_ERROR else MediaUnavailableError), ""


def _server_message(response: ApiResponse, details: Mapping[str, Any]) -> str | None:
    for key in ("message", "error", "detail", "title"):
        if isinstance(details.get(key), str) and details[key].strip():
            return one_line(details[key])
    return one_line(_decode_body(response)) or None


def one_line(text: str) -> str:
    """Return the start of a string for a message, on one line and without control characters."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text[:4000]).split())
    return line if len(line) <= _MAX_EXCERPT_CHARACTERS else line[:_MAX_EXCERPT_CHARACTERS] + "…"


def parse_media(request: ApiRequest, response: ApiResponse) -> Media:
    """Parse the response to a get or an upload: a media, also wrapped in ``data``, ``media`` or ``result``."""
    value = _unwrapped(_json(request, response))
    try:
        media = _parse_entry(value)
    except _InvalidEntryError as error:
        raise _invalid_response(request, response, str(error)) from None
    # A file with two ids may have been requested by either.
    if request.media_id is not None and request.media_id not in {str(_parse_id(value.get(key))) for key in _ID_KEYS}:
        reason = f"it describes media {one_line(str(media.id))}"
        raise _invalid_response(request, response, reason, error_class=OtherMediaError)
    return media


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidEntry:
    """An invalid entry of a list."""

    reason: str
    media_id: str | None
    name: str | None


def parse_page(request: ApiRequest, response: ApiResponse, invalid: list[InvalidEntry] | None = None) -> MediaPage:
    """Parse the response to a list: an array, or an object around it, with or without a total.

    Invalid entries are skipped with a warning.

    :raises MediaResponseError: the response is invalid, or all entries of the first page are: several, or one without
        id and name.
    """
    params = dict(request.params)
    page, limit = int(params.get("page", 0)), int(params.get("limit", 10))
    value = _unwrapped_list(None if response.status == HTTPStatus.NO_CONTENT else _json(request, response))
    envelope: Mapping[str, Any] = value if isinstance(value, dict) else {}
    totals = ((key, number) for key in _TOTAL_KEYS if (number := _parse_number(envelope.get(key))) is not None)
    total_key, total = next(totals, (None, None))
    entries = _entries(value, total=total, page=page)
    if entries is None:
        raise _invalid_response(request, response, "it contains no list of media")
    if total_key == "count" and total == len(entries) == limit:
        total = None  # "count" may count the page, so the total is unknown
    items: list[Media] = []
    skipped: list[InvalidEntry] = []
    for entry in entries:
        try:
            items.append(_parse_entry(entry))
        except _InvalidEntryError as error:
            skipped.append(_describe_invalid(entry, str(error)))
    is_sole_media = len(skipped) == 1 and (skipped[0].media_id, skipped[0].name) != (None, None)
    if page == 0 and skipped and not items and not is_sole_media:
        raise _invalid_response(request, response, skipped[0].reason)
    if skipped:
        reasons = "; ".join(dict.fromkeys(entry.reason for entry in skipped[:_MAX_ENTRIES_LOGGED]))
        _warn_of_skipped(len(skipped), reasons, int(time.monotonic() // _SECONDS_BETWEEN_WARNINGS))
    if invalid is not None:
        invalid += skipped
    return MediaPage(items=tuple(items), page=page, limit=limit, total=total)


def _entries(value: Any, *, total: int | None, page: int) -> list[Any] | None:
    """Return the entries of a list; None if there are none, although the response does not declare the list empty."""
    if isinstance(value, list):
        return value
    if value is None:
        return []
    if not isinstance(value, dict):
        return None
    by_key = {key: value[key] for key in _ITEM_KEYS if key in value}
    if lists := [entries for entries in by_key.values() if isinstance(entries, list)]:
        return lists[0]
    are_null = all(entries is None for entries in by_key.values())
    is_declared_empty = total == 0 or (bool(by_key) and (not total or page > 0))
    return [] if are_null and is_declared_empty else None


def _unwrapped(value: Any) -> Any:
    """Return the innermost object around a single media; one with a name is the media itself."""
    while isinstance(value, dict) and "name" not in value:
        inner = next((value[key] for key in _SINGLE_KEYS if isinstance(value.get(key), dict)), None)
        if inner is None:
            break
        value = inner
    return value


def _unwrapped_list(value: Any) -> Any:
    """Return the innermost object around a list."""
    while isinstance(value, dict) and not any(isinstance(value.get(key), list) for key in _ITEM_KEYS):
        envelopes = [value[key] for key in _SINGLE_KEYS if isinstance(value.get(key), dict)]
        if not envelopes or not {*_ITEM_KEYS, *_TOTAL_KEYS, *_SINGLE_KEYS} & set(envelopes[0]):
            break
        value = envelopes[0]
    return value


def _describe_invalid(entry: Any, reason: str) -> InvalidEntry:
    if not isinstance(entry, dict):
        return InvalidEntry(reason=reason, media_id=None, name=None)
    ids = [media_id for key in _ID_KEYS if (media_id := _parse_id(entry.get(key))) is not None]
    name = entry.get("name")
    is_name = isinstance(name, (str, int, float)) and not isinstance(name, bool)
    return InvalidEntry(reason=reason, media_id=str(ids[0]) if ids else None, name=str(name) if is_name else None)


def invalid_entry_error(entry: InvalidEntry) -> MediaError:
    """Return the error for an invalid entry that must not be skipped."""
    shown = entry.media_id if entry.name is None else entry.name
    return MediaResponseError(f"Invalid list entry {shown!r}: {entry.reason}.")


@lru_cache(maxsize=1000)
def _warn_of_skipped(count: int, reasons: str, _hour: int) -> None:
    """Log invalid entries; the same ones only once in an hour, because lists are polled."""
    log.warning("Skipped %s of the media list: %s", plural(count, "invalid entry"), reasons)


_MAX_ENTRIES_LOGGED = 5
_SECONDS_BETWEEN_WARNINGS = 3600.0


def _json(request: ApiRequest, response: ApiResponse) -> Any:
    try:
        return _load_json(response)
    except (ValueError, RecursionError):
        raise _invalid_response(request, response, "not JSON" if response.body.strip() else "empty body") from None


def _load_json(response: ApiResponse) -> Any:
    """Parse JSON in the charset of Content-Type; if that is unknown or wrong, in the one detected from its bytes."""
    charset = parse_charset(response.headers)
    if charset not in _UTF_8:
        with suppress(LookupError, ValueError):
            return json.loads(response.body.decode(charset).removeprefix("\ufeff"), object_hook=_known_fields)
    return json.loads(response.body, object_hook=_known_fields)


def _known_fields(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object without fields that are not used, because a page may have megabytes of them."""
    return {} if _KEYS.isdisjoint(value) else {key: value[key] for key in value.keys() & _KEYS}


_UTF_8 = {"utf-8", "utf8", "us-ascii"}


def parse_charset(headers: Mapping[str, str]) -> str:
    """Return the charset of Content-Type in lower case; by default UTF-8."""
    header = email.message.Message()
    header["Content-Type"] = headers.get("content-type", "")
    return header.get_content_charset() or "utf-8"


def _decode_body(response: ApiResponse) -> str:
    """Decode a body for a message."""
    try:
        return response.body.decode(parse_charset(response.headers), "replace")
    except (LookupError, ValueError):
        return response.body.decode("utf-8", "replace")


class OtherMediaError(MediaResponseError):
    """The response describes another file than the requested one."""


def _invalid_response(
    request: ApiRequest,
    response: ApiResponse,
    reason: str,
    *,
    error_class: type[MediaResponseError] = MediaResponseError,
) -> MediaResponseError:
    start = one_line(_decode_body(response))
    message = (
        f"Could not {request.purpose}: invalid response (HTTP {response.status}): {reason}"
        + (f"; it starts with: {start}" if start else "")
        + ". Check the base address in the connection."
    )
    delivery = Delivery.UNKNOWN if request.method == "POST" else Delivery.NOT_SENT
    return error_class(message, status=response.status, delivery=delivery)


class _InvalidEntryError(ValueError):
    """A value is not a valid media; the message is the reason."""


def _parse_id(value: Any) -> int | str | None:
    """Parse an id: a string or an integer, also written ``17.0`` (up to 2**53, because larger floats are not exact)."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT:
        return int(value)
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) and value != "" else None


_MAX_EXACT_FLOAT = 2**53


def _parse_entry(entry: Any) -> Media:
    if not isinstance(entry, dict):
        raise _InvalidEntryError(f"an entry is not an object: {type(entry).__name__}")
    written, other_id = entry.get("id"), entry.get("mediaId")
    if written is None or written == "":
        written = other_id
    media_id, alternate_id = _parse_id(written), _parse_id(other_id)
    if media_id is None:
        raise _InvalidEntryError("an entry has no valid id")
    get = entry.get
    for key in _STRING_KEYS:
        if not isinstance(get(key), _STRING_OR_NONE):
            raise _InvalidEntryError(f"{key} of media {one_line(str(media_id))} is not a string")
    size, width, height = _parse_number(get("size")), _parse_number(get("width")), _parse_number(get("height"))
    for key, value in (("size", size), ("width", width), ("height", height)):
        if value is None and get(key) is not None:
            raise _InvalidEntryError(f"{key} of media {one_line(str(media_id))} is not a non-negative integer")
    folder = get("folderId")
    return Media(
        id=media_id,
        name=get("name"),
        mime_type=get("mimeType"),
        size=size,
        url=get("url"),
        description=get("description"),
        folder_id=_parse_id(folder),
        width=width,
        height=height,
        created_at=parse_timestamp(get("createdAt")),
        alternate_id=None if str(alternate_id) == str(media_id) else alternate_id,
    )


def _parse_number(value: Any) -> int | None:
    if type(value) is int and value >= 0:  # the usual case comes first, because a page has thousands of numbers
        return value
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:  # noqa: PLR2004 - what fits 64 bits
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if _is_integer(value) and value >= 0 else None
