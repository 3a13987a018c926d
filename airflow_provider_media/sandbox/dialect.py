"""Format of responses and errors.

The default follows openapi.yaml; the others cover what the API's documentation leaves open.
"""

from __future__ import annotations

import math
import re
import unicodedata
from http.client import responses
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from airflow_provider_media.sandbox.library import SORT_COLUMNS, time_ago

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_provider_media.sandbox.library import StoredMedia
    from airflow_provider_media.sandbox.settings import IdStyle, NameStyle, SandboxSettings


def error_body(status: int, message: str) -> dict[str, Any]:
    """Build the documented error body."""
    return {"status": status, "error": responses.get(status, "Unknown"), "message": message}


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Build an error response."""
    return JSONResponse(error_body(status, message), status_code=status, headers=headers)


_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "video/mp4": ".mp4"}
"""The accepted MIME types and the suffixes of their URLs."""

_TOTAL_KEYS = {
    "content": "totalElements",
    "items": "total",
    "data": "totalCount",
    "results": "count",
    "media": "total",
}
_TYPES = {
    "legacy": {
        "image/jpeg": "image/pjpeg",
        "image/png": "image/x-png",
        "image/gif": "image/x-gif",
        "video/mp4": "application/mp4",
    },
    "octet-stream": dict.fromkeys(_SUFFIXES, "application/octet-stream"),
    "family": {"image/jpeg": "IMAGE", "image/png": "IMAGE", "image/gif": "IMAGE", "video/mp4": "VIDEO"},
}
_BRIEF_KEYS = ("id", "mediaId", "name", "mimeType", "size", "url")
_MAX_ID = 2**63 - 1  # int64
_RANDOM_FACTOR, _RANDOM_PRIME = 1_567_892_341, 2**31 - 1
"""Map sequential ids to unique ids in pseudo-random order."""
_COUNTED_DOWN_FROM = 1_000_000
_SORTED_IDS = {
    "text": "text_id",
    "random": f"id * {_RANDOM_FACTOR} % {_RANDOM_PRIME}",
    "down": "-id",
    "mixed": "CASE WHEN id % 2 = 0 THEN text_id ELSE id END",
}
_MAX_STEM_LENGTH = 60
_SHORT_NAME_LENGTH = 16

_ADDED_BYTES = b"\x00\x00\x00\x18free" + b"re-encoded here!"
"""An MP4 box that readers skip; readers also ignore it after the end of an image."""


class Dialect:
    """Converts library rows to JSON responses."""

    def __init__(self, settings: SandboxSettings, base_url: str) -> None:
        self._settings = settings
        self.base_url = base_url

    def parse_id(self, text: str) -> int | str:
        """Parse an id from a path."""
        style = self._settings.id_style
        if style == "text" or (style == "mixed" and text.startswith("med_")):
            return text
        number = int(text) if re.fullmatch("[0-9]{1,20}", text) else 0
        if not 1 <= number <= _MAX_ID:
            raise HTTPException(400, "The id must be an integer of at least 1.")
        if style == "random":
            return number * pow(_RANDOM_FACTOR, -1, _RANDOM_PRIME) % _RANDOM_PRIME
        return _COUNTED_DOWN_FROM - number if style == "down" else number

    def shown_id(self, media: StoredMedia) -> int | str:
        """Return the file's public id."""
        ids: dict[IdStyle, int | str] = {
            "number": media.id,
            "text": media.text_id,
            "random": media.id * _RANDOM_FACTOR % _RANDOM_PRIME,
            "down": _COUNTED_DOWN_FROM - media.id,
            "mixed": media.id if media.id % 2 else media.text_id,
        }
        return ids[self._settings.id_style]

    def sort_column(self, sort_by: str) -> str:
        """Return the column or SQL expression for a ``sortBy`` value."""
        collation = self._settings.collation
        if sort_by == "name" and collation != "id":
            return f"name COLLATE {collation}"
        return _SORTED_IDS.get(self._settings.id_style, "id") if sort_by in {"id", "name"} else SORT_COLUMNS[sort_by]

    def file_path(self, media: StoredMedia) -> str:
        """Return the path that serves the file's bytes, with a readable name that needs no URL encoding."""
        stem = re.sub("[^A-Za-z0-9]+", "-", PurePath(media.name).stem)[:_MAX_STEM_LENGTH].strip("-")
        return f"/files/{self.shown_id(media)}/{stem or 'file'}{_SUFFIXES[media.mime_type]}"

    def single(self, media: StoredMedia) -> dict[str, Any]:
        """Return the response to an upload or a GET by id."""
        entry = self.media(media)
        return {"data": entry} if self._settings.wrapped else entry

    def media(self, media: StoredMedia) -> dict[str, Any]:
        """Return one file's entry; omitted upload fields are absent, and unknown dimensions are null."""
        optional = {"description": media.description, "folderId": media.folder_id}
        shown_type = _TYPES.get(self._settings.types, {}).get(media.mime_type, media.mime_type)
        is_processing = media.created_at > time_ago(self._settings.processing_seconds)
        return {
            "mediaId" if self._settings.id_style == "text" else "id": self.shown_id(media),
            "name": media.name,
            **{key: value for key, value in optional.items() if value is not None},
            **({} if self._settings.types == "absent" else {"mimeType": shown_type}),
            "size": self._settings.processing_size if is_processing else media.size,
            "url": self.base_url + self.file_path(media),
            "width": media.width,
            "height": media.height,
            "createdAt": media.created_at,
        }

    def page(self, entries: list[StoredMedia], *, page: int, limit: int, total: int) -> dict[str, Any] | list[Any]:
        """Return one page of the list."""
        items = [self.media(media) for media in entries]
        if self._settings.brief_lists:
            items = [{key: item[key] for key in _BRIEF_KEYS if key in item} for item in items]
        envelope = self._settings.envelope
        if envelope == "array":
            return items
        response = {envelope: items, "page": page, "limit": limit}
        if self._settings.totals:
            response[_TOTAL_KEYS[envelope]] = total
            if envelope == "content":
                response["totalPages"] = math.ceil(total / limit)
        return response


def _slug(name: str) -> str:
    path = PurePath(name)
    stem = re.sub("[^a-z0-9]+", "-", str(path.with_suffix("")).lower()).strip("-")
    return f"{stem or 'file'}{path.suffix.lower()}"


NAME_CHANGES: dict[NameStyle, Callable[[str], str]] = {
    "kept": lambda name: name,
    "trimmed": lambda name: unicodedata.normalize("NFC", name).strip(),
    "lower": str.lower,
    "slug": _slug,
    "short": lambda name: name[:_SHORT_NAME_LENGTH],
}


def reencode(path: Path) -> None:
    """Change a file's bytes and size deterministically; it stays readable."""
    with path.open("ab") as file:
        file.write(_ADDED_BYTES)
