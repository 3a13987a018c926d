"""How one sandbox is to behave: one value, made by the command line or by a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"
"""The only address that the sandbox listens on: it has control routes without a key."""

MEDIA_PATH = "/partner-gateway/v1/media"
"""Where the library lives under the base address (Media API reference)."""

DEFAULT_API_KEY = "sandbox-key"
DEFAULT_MAX_BYTES = 100 * 1024 * 1024

IdStyle = Literal["number", "text", "random", "down", "mixed"]
Envelope = Literal["content", "items", "data", "results", "media", "array"]
NameStyle = Literal["kept", "trimmed", "lower", "slug", "short"]
TypeStyle = Literal["plain", "legacy", "family", "octet-stream", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The defaults follow openapi.yaml to the letter; the rest is what the platform's documentation leaves open.

    :param port: the port to listen on; 0 takes any free one.
    :param api_key: the one key that is accepted in ``X-Api-Key``.
    :param data_dir: where the library is kept; None for a temporary folder that goes when the sandbox stops.
    :param requests_per_minute: answer 429 beyond this many; None never does.
    :param burst_per_second: answer 429 beyond this many within a second; None never does.
    :param id_style: growing numbers under ``id``, or unordered strings such as ``med_7f3a2b1c4d5e`` under ``mediaId``;
        ``random`` numbers, numbers that count ``down``, or ``mixed`` numbers and strings, all under ``id``.
    :param envelope: the key under which a page's items stand, or "array" for a bare array.
    :param totals: whether a page tells how many files the library holds.
    :param names: how the library changes names: ``trimmed`` also composes letters (NFC); ``short`` keeps 16 characters.
    :param types: how it writes types: ``legacy`` as ``image/x-png``, ``family`` as ``IMAGE``.
    :param reencodes: whether it stores other bytes than were sent, so that the size differs.
    :param processing_seconds: how long the size of a new file is unknown.
    :param processing_size: the size shown meanwhile: None (null) or 0.
    :param list_lag_seconds: how old lists are: they lack newer files, and still have files deleted since.
    :param get_lag_seconds: how long a get by id answers 404 for a new file.
    :param brief_lists: whether entries of lists have the id, name, type, size and URL only.
    :param max_bytes: the largest file that is taken; a larger one is answered 413.
    :param tls_certificate: the certificate's PEM file; with it the sandbox speaks HTTPS.
    :param tls_key: the PEM file of the certificate's private key.
    """

    port: int = 0
    api_key: str = field(default=DEFAULT_API_KEY, repr=False)
    data_dir: Path | None = None
    requests_per_minute: int | None = None
    burst_per_second: int | None = None
    id_style: IdStyle = "number"
    envelope: Envelope = "content"
    totals: bool = True
    names: NameStyle = "kept"
    types: TypeStyle = "plain"
    reencodes: bool = False
    processing_seconds: float = 0
    processing_size: Literal[0] | None = None
    list_lag_seconds: float = 0
    get_lag_seconds: float = 0
    brief_lists: bool = False
    max_bytes: int = DEFAULT_MAX_BYTES
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @property
    def scheme(self) -> str:
        """The scheme of the sandbox's address."""
        return "https" if self.tls_certificate else "http"
