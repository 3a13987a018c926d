"""What a call to the Media API is: one function to build each of the four, and functions to read their answers."""

from __future__ import annotations

import email.message
import json
import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from airflow_provider_media._api.formatting import plural
from airflow_provider_media._api.retry import parse_retry_after
from airflow_provider_media._api.timestamps import parse_timestamp
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
    from collections.abc import Mapping, Sequence

    from airflow_provider_media._api.retry import RetryState

log = logging.getLogger(__name__)

SORT_FIELDS = ("id", "name", "mimeType", "size", "createdAt")
SORT_ORDERS = ("asc", "desc")
MAX_PAGE = 1000
"""The highest ``limit`` that the list accepts (Media API reference)."""

_ITEM_KEYS = ("content", "items", "data", "results", "media")
_SINGLE_KEYS = ("data", "media", "result")
_ID_KEYS = ("id", "mediaId")
_TOTAL_KEYS = ("totalElements", "total", "totalCount", "count")
_TEXT_KEYS = ("name", "mimeType", "url", "description")
_TEXT_OR_NONE = (str, type(None))
_REQUEST_ID_HEADERS = ("x-request-id", "x-correlation-id", "request-id")
_EXCERPT_LETTERS = 200


class UploadForm(Protocol):
    """The parts of an upload's multipart body."""

    @property
    def name(self) -> str:
        """The name under which the library stores the file."""

    @property
    def file_name(self) -> str:
        """The file name of the ``file`` part."""

    @property
    def mime_type(self) -> str:
        """The content type of the ``file`` part."""

    @property
    def fields(self) -> dict[str, str]:
        """The text parts, by name."""

    @property
    def source(self) -> Any:
        """The content of the ``file`` part: a ``Source`` of ``_upload``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request, not yet sent.

    :param method: the HTTP method.
    :param path: what follows the library's address, percent-encoded.
    :param params: the query.
    :param upload: what the body is made of, for an upload.
    :param media_id: the file that is asked for, when the answer is to tell of one.
    :param purpose: what it is for, in words that complete "could not ...".
    :param retry_state: the attempts to use, when they are shared by several calls; by default the call gets its own.
    :param max_attempts: gets its own, but so many at most.
    :param retry_seconds: likewise; trying again may take so long at most.
    """

    method: str
    path: str = ""
    params: tuple[tuple[str, str], ...] = ()
    upload: UploadForm | None = None
    media_id: str | None = None
    purpose: str
    retry_state: RetryState | None = None
    max_attempts: int | None = None
    retry_seconds: float | None = None

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method != "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """One answer, received whole.

    :param status: the HTTP status.
    :param headers: by name in lower case.
    :param body: as sent.
    :param delivery: PARTIAL when it came before the whole body was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    delivery: Delivery = Delivery.CONFIRMED


def build_list(
    *, page: int = 0, limit: int = 10, sort_by: str | None = None, sort_order: str | None = None
) -> ApiRequest:
    """Ask for one page of the list.

    :raises MediaConfigurationError: for what the API would refuse.
    """
    if not _is_whole(page) or page < 0:
        raise MediaConfigurationError(f"page must be a whole number of at least 0, not {page!r}.")
    if not _is_whole(limit) or not 1 <= limit <= MAX_PAGE:
        raise MediaConfigurationError(f"limit must be a whole number from 1 to {MAX_PAGE}, not {limit!r}.")
    sort_by = _choice("sort_by", sort_by, SORT_FIELDS)
    sort_order = _choice("sort_order", sort_order, SORT_ORDERS)
    params = {"page": str(page), "limit": str(limit), "sortBy": sort_by, "sortOrder": sort_order}
    given = tuple((key, value) for key, value in params.items() if value is not None)
    return ApiRequest(method="GET", params=given, purpose="list the media library")


def _choice(field: str, given: object, choices: tuple[str, ...]) -> str | None:
    """Return a choice as the API writes it; ``created_at`` and ``CREATEDAT`` mean ``createdAt``."""
    if given is None:
        return None
    letters = str(given).replace("_", "").strip().lower()
    for choice in choices:
        if choice.lower() == letters:
            return choice
    raise MediaConfigurationError(f"{field} must be one of {', '.join(choices)}, not {given!r}.")


def build_get(media_id: int | str) -> ApiRequest:
    """Ask for one file's metadata."""
    purpose = f"get the media {one_line(str(media_id))}"
    return ApiRequest(
        method="GET", path=_id_path(media_id), media_id=str(normalize_media_id(media_id)), purpose=purpose
    )


def build_delete(media_id: int | str) -> ApiRequest:
    """Ask to delete one file for good."""
    return ApiRequest(method="DELETE", path=_id_path(media_id), purpose=f"delete the media {one_line(str(media_id))}")


def build_upload(upload: UploadForm) -> ApiRequest:
    """Ask to store one file."""
    return ApiRequest(method="POST", upload=upload, purpose=f"upload {upload.name!r}")


def normalize_media_id(media_id: object) -> int | str:
    """Return the id as it is to be sent; refuse what cannot be one, such as a template that rendered to nothing.

    :raises MediaConfigurationError: it cannot be one.
    """
    if isinstance(media_id, str):
        media_id = media_id.strip()
    usable = isinstance(media_id, (int, str)) and not isinstance(media_id, bool)
    if not usable or str(media_id) in {"", "None", ".", ".."} or not _is_encodable(str(media_id)):
        raise MediaConfigurationError(
            f"{media_id!r} is not a media id; did a template or an earlier task's result come out empty?"
        )
    assert isinstance(media_id, (int, str))  # noqa: S101 - for the type checker; said just above
    return media_id


def _id_path(media_id: int | str) -> str:
    return "/" + quote(str(normalize_media_id(media_id)), safe="")


def _is_encodable(text: str) -> bool:
    """Whether the text holds whole characters only (no lone surrogates)."""
    return text == text.encode(errors="replace").decode()


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def raise_for_status(call: ApiRequest, reply: ApiResponse) -> None:
    """Return for a success; anything else becomes a MediaError that says what it means.

    :raises MediaError: for every status but 2xx.
    """
    status = reply.status
    is_unclear = status < HTTPStatus.OK or status == HTTPStatus.PARTIAL_CONTENT
    if status < HTTPStatus.MULTIPLE_CHOICES and not is_unclear:
        return
    details = _json_object(reply)
    said = _server_message(reply, details)
    request_id = next((reply.headers[name] for name in _REQUEST_ID_HEADERS if reply.headers.get(name)), None)
    error_class, meaning = _meaning(call, status)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        place = one_line(reply.headers.get("location", "an unnamed place"))
        meaning = (
            f"it points to {place!r}, and redirects are not followed, so that the API key goes nowhere else;"
            " give the right base address as the connection's host"
        )
    sentence = f"Could not {call.purpose}: the server answered {status}"
    sentence += f" ({said})" if said else ""
    sentence += f"; {meaning}" if meaning else ""
    sentence += f" [request {request_id}]" if request_id else ""
    server_failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT
    raise error_class(
        sentence + ".",
        status=status,
        server_message=said,
        request_id=request_id,
        is_transient=server_failed or status == HTTPStatus.TOO_MANY_REQUESTS,
        # Also 503: proxies say it when the connection behind them broke, and then the file may be stored.
        delivery=Delivery.UNKNOWN if server_failed or is_unclear else Delivery.NOT_SENT,
        retry_after=parse_retry_after(reply.headers.get("retry-after"), details.get("retryAfter")),
        is_from_api=details.get("status") == status
        and all(isinstance(details.get(key), str) for key in ("error", "message")),
    )


def _meaning(call: ApiRequest, status: int) -> tuple[type[MediaError], str]:
    meanings = {
        401: (MediaAuthError, "the API key is rejected: check the connection's password"),
        403: (MediaAuthError, "this machine's address is not allowed: have it put on the account's allow list"),
        404: (MediaNotFoundError, "the library has no such file")
        if call.path
        else (MediaNotFoundError, "there is no Media API at this address: check the connection's host"),
        206: (MediaResponseError, "only a part, which was not asked for"),
        407: (MediaRequestError, "the proxy asks for credentials: check the connection's extra 'proxy'"),
        408: (MediaUnavailableError, ""),
        413: (MediaRequestError, "the file is larger than the platform takes"),
        429: (MediaRateLimitError, "the rate limit of the API key is used up"),
    }
    if status in meanings:
        return meanings[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return MediaUnavailableError, ""
    return (MediaRequestError if status >= HTTPStatus.BAD_REQUEST else MediaResponseError), ""


def _json_object(reply: ApiResponse) -> Mapping[str, Any]:
    try:
        value = _loaded(reply)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _server_message(reply: ApiResponse, details: Mapping[str, Any]) -> str | None:
    for key in ("message", "error", "detail", "title"):
        if isinstance(details.get(key), str) and details[key].strip():
            return one_line(details[key])
    return one_line(_text_of(reply)) or None


def one_line(text: str) -> str:
    """Return the start of a text for a message, on one line and without control characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:4000]).split())
    return line if len(line) <= _EXCERPT_LETTERS else line[:_EXCERPT_LETTERS] + "…"


def parse_media(call: ApiRequest, reply: ApiResponse) -> Media:
    """Read the response to a get or an upload: the media itself, or wrapped in ``data``, ``media`` or ``result``.

    :raises MediaResponseError: when it is invalid.
    """
    value = _unwrapped(_json(call, reply))
    try:
        media = _media(value)
    except _OddValueError as odd:
        raise _invalid_response(call, reply, str(odd)) from None
    # Where a file has two ids, either may be the one it was asked for by.
    if call.media_id is not None and call.media_id not in {str(_read_id(value.get(key))) for key in _ID_KEYS}:
        reason = f"it tells of the media {one_line(str(media.id))}"
        raise _invalid_response(call, reply, reason, error_class=OtherMediaError)
    return media


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidEntry:
    """An entry of a list that is no valid media.

    :param reason: what is wrong with it.
    :param media_id: its id, where that can be read.
    :param name: its name as a string, where it has one.
    """

    reason: str
    media_id: str | None
    name: str | None


def parse_page(call: ApiRequest, reply: ApiResponse, odd: list[InvalidEntry] | None = None) -> MediaPage:
    """Read the response to a list: an array, or an object around it, with or without a total.

    Entries that are no valid media are skipped with a warning.

    :param odd: gets the entries that are skipped.
    :raises MediaResponseError: when it is invalid, or all entries of the first page are: several, or one without
        id and name.
    """
    asked = dict(call.params)
    page, limit = int(asked.get("page", 0)), int(asked.get("limit", 10))
    value = _unwrapped_list(None if reply.status == HTTPStatus.NO_CONTENT else _json(call, reply))
    envelope: Mapping[str, Any] = value if isinstance(value, dict) else {}
    total_key = next((key for key in _TOTAL_KEYS if _whole_number(envelope.get(key)) is not None), None)
    total = _whole_number(envelope.get(total_key)) if total_key else None
    entries = _entries(value, total=total, page=page)
    if entries is None:
        raise _invalid_response(call, reply, "no list of media is in it")
    if total_key == "count" and total == len(entries) == limit:
        total = None  # a full page that counts just itself: "count" may mean the page, so nothing is known of the whole
    items: list[Media] = []
    skipped: list[InvalidEntry] = []
    for entry in entries:
        try:
            items.append(_media(entry))
        except _OddValueError as error:
            skipped.append(_odd_entry(entry, str(error)))
    is_sole_media = len(skipped) == 1 and (skipped[0].media_id, skipped[0].name) != (None, None)
    if page == 0 and skipped and not items and not is_sole_media:
        raise _invalid_response(call, reply, skipped[0].reason)
    if skipped:
        _warn_of_skipped(skipped)
    if odd is not None:
        odd += skipped
    return MediaPage(items=tuple(items), page=page, limit=limit, total=total)


def _entries(value: Any, *, total: int | None, page: int) -> list[Any] | None:
    """Return the entries of a list's response; None where it has none, and does not say that there are none."""
    if isinstance(value, list):
        return value
    if value is None:
        return []
    if not isinstance(value, dict):
        return None
    under = {key: value[key] for key in _ITEM_KEYS if key in value}
    if lists := [entries for entries in under.values() if isinstance(entries, list)]:
        return lists[0]
    are_null = all(entries is None for entries in under.values())
    says_empty = total == 0 or (bool(under) and (not total or page > 0))
    return [] if are_null and says_empty else None


def _unwrapped(value: Any) -> Any:
    """Open the objects around a single media; one with a name is the media itself."""
    while isinstance(value, dict) and "name" not in value:
        inner = next((value[key] for key in _SINGLE_KEYS if isinstance(value.get(key), dict)), None)
        if inner is None:
            break
        value = inner
    return value


def _unwrapped_list(value: Any) -> Any:
    """Open the objects around a list's envelope."""
    while isinstance(value, dict) and not any(isinstance(value.get(key), list) for key in _ITEM_KEYS):
        envelopes = [value[key] for key in _SINGLE_KEYS if isinstance(value.get(key), dict)]
        if not envelopes or not {*_ITEM_KEYS, *_TOTAL_KEYS, *_SINGLE_KEYS} & set(envelopes[0]):
            break
        value = envelopes[0]
    return value


def _odd_entry(entry: Any, reason: str) -> InvalidEntry:
    if not isinstance(entry, dict):
        return InvalidEntry(reason=reason, media_id=None, name=None)
    ids = [media_id for key in _ID_KEYS if (media_id := _read_id(entry.get(key))) is not None]
    name = entry.get("name")
    is_name = isinstance(name, (str, int, float)) and not isinstance(name, bool)
    return InvalidEntry(reason=reason, media_id=str(ids[0]) if ids else None, name=str(name) if is_name else None)


def invalid_entry_error(entry: InvalidEntry) -> MediaError:
    """Return the error for an entry that is skipped otherwise, but decides here."""
    shown = entry.media_id if entry.name is None else entry.name
    return MediaResponseError(f"Invalid response: the list shows {shown!r}, but {entry.reason}.")


def _warn_of_skipped(skipped: Sequence[InvalidEntry]) -> None:
    """Warn of entries that are no valid media; of the same ones again only after an hour, because lists are polled."""
    sentence = "; ".join(dict.fromkeys(entry.reason for entry in skipped[:_SHOWN_IN_LOG]))
    now = time.monotonic()
    if now - _warned_at.get(sentence, -math.inf) < _SECONDS_BETWEEN_WARNINGS:
        return
    if len(_warned_at) >= _MAX_WARNINGS_KEPT:
        _warned_at.clear()
    _warned_at[sentence] = now
    log.warning("Skipped %s of the media list: %s", plural(len(skipped), "invalid entry"), sentence)


_SHOWN_IN_LOG = 5
_SECONDS_BETWEEN_WARNINGS = 3600.0
_MAX_WARNINGS_KEPT = 1000
_warned_at: dict[str, float] = {}


def _json(call: ApiRequest, reply: ApiResponse) -> Any:
    try:
        return _loaded(reply)
    except (ValueError, RecursionError):
        raise _invalid_response(call, reply, "it is not JSON" if reply.body.strip() else "it is empty") from None


def _loaded(reply: ApiResponse) -> Any:
    """Read JSON in the charset that Content-Type names; where that is unknown or wrong, in the one its bytes show."""
    charset = parse_charset(reply.headers)
    if charset not in _UTF_8:
        with suppress(LookupError, ValueError):
            return json.loads(reply.body.decode(charset).removeprefix("\ufeff"))
    return json.loads(reply.body)


_UTF_8 = {"utf-8", "utf8", "us-ascii"}


def parse_charset(headers: Mapping[str, str]) -> str:
    """Return the charset that Content-Type names, in lower case; UTF-8 where it names none."""
    header = email.message.Message()
    header["Content-Type"] = headers.get("content-type", "")
    return header.get_content_charset() or "utf-8"


def _text_of(reply: ApiResponse) -> str:
    """Decode a body for a message."""
    try:
        return reply.body.decode(parse_charset(reply.headers), "replace")
    except (LookupError, ValueError):
        return reply.body.decode("utf-8", "replace")


class OtherMediaError(MediaResponseError):
    """The response describes another file than the requested one."""


def _invalid_response(
    call: ApiRequest, reply: ApiResponse, reason: str, *, error_class: type[MediaResponseError] = MediaResponseError
) -> MediaResponseError:
    start = one_line(_text_of(reply))
    sentence = (
        f"Could not {call.purpose}: the answer ({reply.status}) makes no sense, {reason}"
        + (f"; it begins: {start}" if start else "")
        + ". Is the connection's host the base address of a Media API?"
    )
    delivery = Delivery.UNKNOWN if call.method == "POST" else Delivery.NOT_SENT
    return error_class(sentence, status=reply.status, delivery=delivery)


class _OddValueError(ValueError):
    """A value is no valid media; the text says why."""


def _read_id(value: Any) -> int | str | None:
    """Read an id: a string or an integer, also written ``17.0`` (up to 2**53: beyond, such numbers are not exact)."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT:
        return int(value)
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) and value != "" else None


_MAX_EXACT_FLOAT = 2**53


def _media(entry: Any) -> Media:
    if not isinstance(entry, dict):
        raise _OddValueError(f"a media should be an object, not {type(entry).__name__}")
    written, other_id = entry.get("id"), entry.get("mediaId")
    if written is None or written == "":
        written = other_id
    media_id, alternate_id = _read_id(written), _read_id(other_id)
    if media_id is None:
        raise _OddValueError("a media has no usable id")
    get = entry.get
    for key in _TEXT_KEYS:
        if not isinstance(get(key), _TEXT_OR_NONE):
            raise _OddValueError(f"{key} of the media {one_line(str(media_id))} is not a text")
    size, width, height = _whole_number(get("size")), _whole_number(get("width")), _whole_number(get("height"))
    for key, value in (("size", size), ("width", width), ("height", height)):
        if value is None and get(key) is not None:
            raise _OddValueError(f"{key} of the media {one_line(str(media_id))} is not a whole number")
    folder = get("folderId")
    return Media(
        id=media_id,
        name=get("name"),
        mime_type=get("mimeType"),
        size=size,
        url=get("url"),
        description=get("description"),
        folder_id=_read_id(folder),
        width=width,
        height=height,
        created_at=parse_timestamp(get("createdAt")),
        alternate_id=None if str(alternate_id) == str(media_id) else alternate_id,
    )


def _whole_number(value: Any) -> int | None:
    if type(value) is int and value >= 0:  # the rule, told first: a page holds thousands of numbers
        return value
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:  # noqa: PLR2004 - what fits 64 bits
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if _is_whole(value) and value >= 0 else None
