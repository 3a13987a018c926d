"""Settings of a sandbox, from the command line or a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"
"""The sandbox listens only on loopback, because its control routes need no key."""

MEDIA_PATH = "/partner-gateway/v1/media"
"""Path of the media collection below the base URL (Media API reference)."""

DEFAULT_API_KEY = "sandbox-key"
DEFAULT_MAX_BYTES = 100 * 1024 * 1024

IdStyle = Literal["number", "text", "random", "down", "mixed"]
Envelope = Literal["content", "items", "data", "results", "media", "array"]
NameStyle = Literal["kept", "trimmed", "lower", "slug", "short"]
TypeStyle = Literal["plain", "legacy", "family", "octet-stream", "absent"]
Collation = Literal["binary", "nocase", "accents", "id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The options of the command line, which ``python -m airflow_provider_media.sandbox --help`` describes.

    The defaults follow openapi.yaml; the other values cover what the platform's documentation leaves open.

    :param data_dir: the folder of the library; None for a temporary folder that is deleted when the sandbox stops.
    :param id_style: growing numbers under ``id``, or unordered strings such as ``med_7f3a2b1c4d5e`` under ``mediaId``;
        ``random`` numbers, numbers that count ``down``, or ``mixed`` numbers and strings, all under ``id``.
    :param names: how the library changes names: ``trimmed`` also normalizes to NFC; ``short`` keeps 16 characters.
    :param types: format of types: ``legacy`` is ``image/x-png``, ``family`` is ``IMAGE``.
    :param processing_size: the size of a new file until ``processing_seconds`` have passed: None (null) or 0.
    :param list_lag_seconds: age of lists in seconds: they omit newer files and contain files deleted since.
    :param collation: the order of ``sortBy=name``: by code points (``binary``), without the case of A to Z
        (``nocase``), without case and accents (``accents``), or by ``id``, as a platform that ignores ``sortBy``.
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
    wrapped: bool = False
    collation: Collation = "binary"
    compressed_errors: bool = False
    interim_responses: bool = False
    max_bytes: int = DEFAULT_MAX_BYTES
    tls_certificate: Path | None = None
    tls_key: Path | None = None
