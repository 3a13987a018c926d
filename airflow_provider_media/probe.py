"""Measure how a platform behaves, by a round trip with tiny files that are deleted again.

Only files that this run uploaded are deleted: the platform must return them under their ids with the run's random
token at the start of their name or description.
"""

from __future__ import annotations

import base64
import io
import json
import math
import secrets
import struct
import time
import unicodedata
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.flows import Paginator, id_number, without_retries
from airflow_provider_media._api.media_types import is_other_type
from airflow_provider_media._api.protocol import (
    ApiRequest,
    ApiResponse,
    build_delete,
    build_get,
    build_list,
    build_upload,
    parse_charset,
    parse_media,
    parse_page,
)
from airflow_provider_media._api.values import plural
from airflow_provider_media._upload.source import open_source
from airflow_provider_media._upload.spec import UploadSpec
from airflow_provider_media.exceptions import Delivery, MediaError, MediaNotFoundError, MediaRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._transports.sync import SyncTransport
    from airflow_provider_media.models import Media

DEFAULT_SETTLE_SECONDS = 30.0
_MAX_LISTED_PAGES = 20
_FIRST_WAIT_SECONDS = 0.05
_MAX_WAIT_SECONDS = 2.0
_MAX_TRIAL_REQUESTS_PER_MINUTE = 100
_DOWNLOAD_TIMEOUT_SECONDS = 10
_MAX_SHOWN = 60

_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
    "////////2wBDAf//////////////////////////////////////////////////////////////////////////////////////wAARCAAIAAgD"
    "ASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAH/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAAAQL/xAAUEQEA"
    "AAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCABb//2Q=="
)
_GIF = base64.b64decode("R0lGODdhCAAIAIEAAMgeHgAAAAAAAAAAACwAAAAACAAIAAAIDwABCBxIsKDBgwgTKkwYEAA7")


@dataclass(frozen=True, slots=True)
class Finding:
    """One property of the platform.

    :param note: what follows for the provider; empty if nothing does.
    """

    topic: str
    found: str
    note: str = ""


@dataclass(slots=True)
class ProbeReport:
    """The result of a probe.

    :param extras: the connection's extras that fit the platform; defaults are omitted.
    :param remaining: the ids of uploaded files that were not deleted, each with the reason.
    """

    findings: list[Finding] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    remaining: dict[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(slots=True)
class _Sample:
    """One uploaded file: what was sent, and what the platform returned last."""

    name: str
    content: bytes
    mime_type: str
    media: Media


class Probe:
    """One run of the measurements."""

    def __init__(
        self,
        settings: Settings,
        *,
        leave_files: bool = False,
        folder_id: int | str | None = None,
        max_wait: float = 60.0,
    ) -> None:
        """Choose the run's token; send nothing."""
        self._settings = settings
        self._transport = self._connect()
        self._leave_files = leave_files
        self._folder_id = folder_id
        self._max_wait = max_wait
        self.token = secrets.token_hex(6)
        self._description = f"{self.token} probe of airflow-provider-media"
        self.report = ProbeReport()
        self._ids: dict[str, int | str] = {}
        self._unconfirmed = 0
        self._slowest = 0.0
        self._ids_grow = False
        self._newest_first: list[str | None] = ["createdAt", "id", None]

    def run(self) -> ProbeReport:
        """Measure, then delete the uploaded files, also after an error or a KeyboardInterrupt."""
        try:
            self._measure()
        except MediaError as error:
            self.report.error = str(error)
        except KeyboardInterrupt:
            self.report.error = "interrupted"
        finally:
            self._transport.close()
            self._clean_up()
        return self.report

    # Measurements

    def _measure(self) -> None:
        self._transport.run(without_retries(_send(build_list(limit=1))))
        self._add("API key", "accepted")
        self._measure_unsupported_type()
        png = _png()
        first, response = self._upload("B first.png", png, "image/png")
        self._describe_upload(response)
        self._measure_visibility(first)
        others = (  # each collation sorts the letters after the token in another order
            ("a.jpg", _JPEG, "image/jpeg"),
            ("\N{LATIN CAPITAL LETTER A WITH DIAERESIS}.png", png, "image/png"),
            (f"z e\N{COMBINING ACUTE ACCENT} {'long ' * 20}.gif", _GIF, "image/gif"),
        )
        samples = [first, *(self._upload(*other)[0] for other in others)]
        self._await_all(samples)
        self._measure_ids(samples)
        self._measure_changes(samples)
        self._measure_url(first)
        self._measure_order(samples, self._measure_list())
        needed = math.ceil(3 * self._slowest)
        if needed > DEFAULT_SETTLE_SECONDS:
            self.report.extras["settle_seconds"] = needed

    def _add(self, topic: str, found: str, note: str = "") -> None:
        self.report.findings.append(Finding(topic, found, note))

    def _upload(self, name: str, content: bytes, mime_type: str) -> tuple[_Sample, ApiResponse]:
        """Upload one file and record its id; an upload without a response is found later by its name."""
        source = open_source(io.BytesIO(content))
        spec = UploadSpec(
            source=source,
            name=f"{self.token} {name}",
            file_name="probe" + name[-4:],
            mime_type=mime_type,
            description=self._description,
            folder_id=self._folder_id,
        )
        request = build_upload(spec)
        self._unconfirmed += 1
        try:
            response = self._transport.send(request)
            media = parse_media(request, response)
        except MediaError as error:
            self._unconfirmed -= error.delivery in {Delivery.NOT_SENT, Delivery.PARTIAL}
            raise
        finally:
            source.close()
        self._ids[str(media.id)] = media.id
        self._unconfirmed -= 1
        return _Sample(spec.name, content, mime_type, media), response

    def _measure_unsupported_type(self) -> None:
        found, note = "stored", "The provider checks types itself, before an upload."
        try:
            self._upload("note.txt", self.token.encode() + b" is not an image\n", "text/plain")
        except MediaError as error:
            found = str(error)
            if error.status is not None and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                found, note = f"rejected with {error.status}", ""
        self._add("Unsupported type", found, note)

    def _describe_upload(self, response: ApiResponse) -> None:
        raw, wrapper = _json(response), ""
        while isinstance(raw, dict) and not {"id", "mediaId"} & raw.keys():
            key, raw = next(((key, value) for key, value in raw.items() if isinstance(value, dict)), ("", None))
            wrapper += f", in {key!r}"
        key = "id" if isinstance(raw, dict) and "id" in raw else "mediaId"
        self._add("Upload response", f"{response.status}{wrapper}, id under {key!r}")

    def _measure_visibility(self, sample: _Sample) -> None:
        """Poll until a GET by id and the list return the first file, and its size is known."""
        started, media_id = time.monotonic(), sample.media.id
        seen: dict[str, str] = {}
        for number, _ in enumerate(self._polls(started)):
            media = None
            with suppress(MediaNotFoundError):
                media = self._get(media_id)
            is_met = {
                "Visible by GET": media is not None,
                "Visible in the list": str(media_id) in self._newest(),
                "Size known": media is not None and bool(media.size),
            }
            age = time.monotonic() - started
            for topic, met in is_met.items():
                if met and topic not in seen:
                    seen[topic] = f"after {age:.1f} s" if number else "immediately"
                    self._slowest = age if number else 0.0
            if len(seen) == len(is_met):
                break
        else:
            self._slowest = self._max_wait
        for topic in is_met:
            note = "" if topic in seen else "Run the probe again with a longer --max-wait."
            self._add(topic, seen.get(topic, f"not within {self._max_wait:g} s"), note)

    def _await_all(self, samples: Sequence[_Sample]) -> None:
        """Wait until the list and the GETs return all files; keep what the GETs returned."""
        for _ in self._polls(time.monotonic()):
            found = 0
            for sample in samples:
                with suppress(MediaNotFoundError):
                    sample.media = self._get(sample.media.id)
                    found += 1
            listed = self._newest()
            if found == len(samples) and all(str(sample.media.id) in listed for sample in samples):
                return

    def _polls(self, started: float) -> Iterator[None]:
        delay = _FIRST_WAIT_SECONDS
        while True:
            yield
            remaining = started + self._max_wait - time.monotonic()
            if remaining <= 0:
                return
            time.sleep(min(delay, remaining))
            delay = min(2 * delay, _MAX_WAIT_SECONDS)

    def _measure_ids(self, samples: Sequence[_Sample]) -> None:
        ids = [sample.media.id for sample in samples]
        numbers = [number for media_id in ids if (number := id_number(media_id)) is not None]
        kind = "strings"
        if numbers:
            kind = "integers" if len(numbers) == len(ids) else "integers and strings"
        grow = len(numbers) == len(ids) and numbers == sorted(set(numbers))
        shown = ", ".join(_short(str(media_id)) for media_id in ids[:2])
        self._ids_grow = grow
        note = "" if grow else "The provider recognizes new files by comparing lists."
        self._add("Ids", f"{kind}, {'growing' if grow else 'not growing'}: {shown}", note)
        if len({str(media_id) for media_id in ids}) < len(ids):
            self._add("Equal files", "share one id", "Deleting one name deletes the file of the other.")

    def _measure_changes(self, samples: Sequence[_Sample]) -> None:
        advice = "The provider recognizes these names; search for the stored name."
        self._add_changes("Names", [(s.name, s.media.name) for s in samples], advice)
        types = [(s.mime_type, s.media.mime_type) for s in samples]
        is_other = any(stored and is_other_type(stored, sent) for sent, stored in types)
        advice = "Uploads will warn about the type." if is_other else "The provider reads these as the same types."
        self._add_changes("Types", types, advice)
        descriptions = [(self._description, s.media.description) for s in samples]
        self._add_changes("Descriptions", descriptions, "Fingerprints need the description.")
        sizes = [(f"{len(s.content)} bytes", f"{s.media.size} bytes") for s in samples if s.media.size]
        if self._add_changes("Sizes", sizes, "Set accept_converted."):
            self.report.extras["accept_converted"] = True

    def _add_changes(self, topic: str, values: Sequence[tuple[str, str | None]], note: str) -> bool:
        """Add the first of the values that were changed; return whether there is one."""
        for sent, stored in values:
            if sent != stored:
                self._add(topic, f"changed: {_short(sent)} -> {'(none)' if stored is None else _short(stored)}", note)
                return True
        self._add(topic, "as sent")
        return False

    def _measure_url(self, sample: _Sample) -> None:
        """Download a file as a channel does: without the API key."""
        import requests

        url = sample.media.url
        if not url or not url.startswith(("https://", "http://")):
            self._add("File URL", "none" if not url else f"not an http(s) URL: {_short(url)}", "Channels need a URL.")
            return
        verify, note = self._settings.verify, "Channels fetch it without the API key."
        try:
            with requests.get(url, timeout=_DOWNLOAD_TIMEOUT_SECONDS, stream=True, verify=verify) as response:
                content = response.raw.read(4 * len(sample.content), decode_content=True)
        except (requests.RequestException, OSError) as error:
            found = f"cannot be read: {type(error).__name__}"
        else:
            found = f"HTTP {response.status_code}"
            if response.status_code == HTTPStatus.OK:
                same = "the bytes as sent" if content == sample.content else "other bytes than sent"
                found, note = f"serves {response.headers.get('Content-Type', 'no type')}; {same}", ""
        self._add("File URL", found, note)

    def _measure_list(self) -> Any:
        """Describe a page of two files, and return its JSON value."""
        response = self._transport.send(build_list(limit=2))
        raw = _json(response)
        key, _ = _items(raw)
        self._add("List envelope", f"items under {key!r}" if key else "bare array")
        listed = [media for media_id, media in self._newest().items() if media_id in self._ids]
        fields = {"size": "size", "mime_type": "type", "description": "description", "created_at": "date"}
        if self._folder_id is not None:
            fields["folder_id"] = "folder"
        missing = [label for name, label in fields.items() if all(getattr(media, name) is None for media in listed)]
        if listed:
            note = "Filters by these need a GET for each file." if missing else ""
            self._add("Fields in lists", f"without {', '.join(missing)}" if missing else "complete", note)
        prefix = "x-ratelimit-"
        limits = {name.removeprefix(prefix): v for name, v in response.headers.items() if name.startswith(prefix)}
        limit = limits.pop("limit", "")
        self._add(
            "Rate limit headers", f"limit {limit or 'unknown'}; {', '.join(sorted(limits))}" if limits else "none"
        )
        if limit.isdecimal() and 0 < int(limit) <= _MAX_TRIAL_REQUESTS_PER_MINUTE:
            self.report.extras["requests_per_second"] = math.floor(int(limit) / 6) / 10
        return raw

    def _measure_order(self, samples: Sequence[_Sample], raw_page: Any) -> None:
        uploaded = [str(sample.media.id) for sample in samples]
        order: dict[str, list[str]] = {}
        for field_name in ("id", "name"):
            topic = f"sortBy={field_name}"
            try:
                ids = self._read_all(field_name)
            except MediaRequestError as error:
                self._add(topic, f"rejected with {error.status}")
                continue
            if ids is None:
                self._add(topic, f"not measured: more than {_MAX_LISTED_PAGES * 1000:,} files")
                continue
            if not order:
                self._add("Totals", *_describe_total(raw_page, len(ids)))
            order[field_name] = [media_id for media_id in ids if media_id in uploaded]
        if "name" in order:
            self._add("sortBy=name", _describe_order(order["name"], order.get("id"), samples))
        if "id" in order:
            is_by_age = self._ids_grow and order["id"] == uploaded
            note = "" if is_by_age else "The newest files are not at an end of the list."
            self._add("sortBy=id", "order of the uploads" if is_by_age else "not the order of the uploads", note)

    # Requests

    def _connect(self) -> SyncTransport:
        from airflow_provider_media._transports.sync import SyncTransport

        return SyncTransport(self._settings)

    def _get(self, media_id: int | str) -> Media:
        request = build_get(media_id)
        return parse_media(request, self._transport.send(request))

    def _newest(self) -> dict[str, Media]:
        """Return the newest thousand files by id; any thousand if the platform cannot sort."""
        while True:
            sort_by = self._newest_first[0]
            request = build_list(limit=1000, sort_by=sort_by, sort_order="desc" if sort_by else None)
            try:
                return {str(media.id): media for media in parse_page(request, self._transport.send(request))}
            except MediaRequestError as error:
                if error.status != HTTPStatus.BAD_REQUEST or len(self._newest_first) == 1:
                    raise
                del self._newest_first[0]

    def _read_all(self, sort_by: str) -> list[str] | None:
        """Return the ids of the whole library in order; None if it is too large."""
        paginator, ids = Paginator(sort_by=sort_by, sort_order="asc"), list[str]()
        while paginator.next_request:
            if paginator.requests_done == _MAX_LISTED_PAGES:
                return None
            ids += [str(media.id) for media in paginator.feed(self._transport.send(paginator.next_request))]
        return ids

    # Cleanup

    def _clean_up(self) -> None:
        if not self._ids and not self._unconfirmed:
            return
        if self._leave_files:
            self.report.remaining = dict.fromkeys(self._ids, "--leave-files")
            return
        self._transport = self._connect()  # a new one, because a stop may leave the first one broken
        self.report.remaining = dict.fromkeys(self._ids, "stopped before its deletion")
        try:
            if self._unconfirmed:
                self._find_unconfirmed()
            started = time.monotonic()
            for text, media_id in self._ids.items():
                if reason := self._delete(media_id, started):
                    self.report.remaining[text] = reason
                else:
                    del self.report.remaining[text]
            if not self.report.remaining:
                self._add("Deletion", "works", "")
        finally:
            self._transport.close()

    def _find_unconfirmed(self) -> None:
        """Find by the token the files whose upload had no valid response; they may be stored late."""
        expected = len(self._ids) + self._unconfirmed
        for _ in self._polls(time.monotonic()):
            with suppress(MediaError):
                found = {text: media.id for text, media in self._newest().items() if _has_token(self.token, media)}
                self._ids |= found
                self.report.remaining = dict.fromkeys(self._ids, "stopped before its deletion")
            if len(self._ids) >= expected:
                return
        missing = plural(expected - len(self._ids), "file")
        reason = f"{missing} without a response may be stored later; search for names that start with {self.token}"
        self.report.error = self.report.error or reason

    def _delete(self, media_id: int | str, started: float) -> str | None:
        """Delete one file if it is proven to be of this run; return why it was not deleted."""
        try:
            for _ in self._polls(started):
                with suppress(MediaNotFoundError):
                    media = self._get(media_id)
                    break
            else:
                return "the platform does not find it by its id"
            if not _has_token(self.token, media):
                return f"its name {media.name!r} does not start with {self.token}, so it may be another file"
            with suppress(MediaNotFoundError):
                self._transport.send(build_delete(media_id))
        except MediaError as error:
            return str(error)
        return None


def _send(request: ApiRequest) -> Any:
    return (yield request)


def _has_token(token: str, media: Media) -> bool:
    """Return whether the name or the description of a file starts with the token."""
    return any(text.strip().lower().startswith(token) for text in (media.name, media.description) if text)


def _png() -> bytes:
    """Return an image of 8x8 pixels in a random color, so that no two runs upload the same bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = (b"\0" + secrets.token_bytes(3) * 8) * 8
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _short(text: str) -> str:
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return repr(line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 1] + "\N{HORIZONTAL ELLIPSIS}")


def _json(response: ApiResponse) -> Any:
    try:
        return json.loads(response.body.decode(parse_charset(response.headers), "replace"))
    except (ValueError, LookupError):
        return None


def _find(raw: Any, fits: Callable[[str, Any], bool]) -> tuple[str, Any] | None:
    """Return the dotted key and the value of the first entry of nested objects that fits."""
    for key, value in raw.items() if isinstance(raw, dict) else ():
        if fits(key, value):
            return key, value
        if inner := _find(value, fits):
            return f"{key}.{inner[0]}", inner[1]
    return None


def _items(raw: Any) -> tuple[str, list[Any]]:
    """Return the key and the entries of a page: the first list in it; the key of a bare array is empty."""
    return ("", raw) if isinstance(raw, list) else _find(raw, lambda _, value: isinstance(value, list)) or ("", [])


def _is_total(key: str, value: Any) -> bool:
    return type(value) is int and "page" not in key.lower() and ("total" in key.lower() or "count" in key.lower())


def _describe_total(raw: Any, listed: int) -> tuple[str, str]:
    """Return the finding and the note about the total number of files in a page."""
    total = _find(raw, _is_total)
    note = "The provider reads lists up to an empty page."
    if total is None:
        return "none", note
    key, value = total
    if value == listed:
        return f"exact, under {key!r}", ""
    kind = "counts the page" if value == len(_items(raw)[1]) else f"{value} for {listed} files"
    return f"wrong, under {key!r}: {kind}", note


def _without_accents(name: str) -> str:
    folded = unicodedata.normalize("NFD", name).casefold()
    return "".join(letter for letter in folded if not unicodedata.combining(letter))


_COLLATIONS: dict[str, Callable[[str], str]] = {
    "by code points": str,
    "ignores case": str.lower,
    "ignores case and accents": _without_accents,
}


def _describe_order(order: list[str], by_id: list[str] | None, samples: Sequence[_Sample]) -> str:
    """Return the collations that sort the stored names in this order."""
    names = {str(sample.media.id): sample.media.name or "" for sample in samples}
    if len(order) < len(names):
        return "not all files are listed"
    fitting = [title for title, key in _COLLATIONS.items() if order == sorted(names, key=lambda i: key(names[i]))]
    return " or ".join(fitting) or ("ignored: the order is that of sortBy=id" if order == by_id else "another order")
