"""What is known of earlier uploads: the checkpoint for the next attempt of a task, and the uploads of this process."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.values import parse_id, parse_ids
from airflow_provider_media._upload.source import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_media._api.settings import Secret, Settings
    from airflow_provider_media._upload.source import Source

log = logging.getLogger(__name__)

MAX_BASELINE_IDS = 900
"""Max ids that fit a value of the task state store (64 KiB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadCheckpoint:
    """The progress of an upload.

    :param baseline: the state of the library before the first attempt.
    :param stored_id: the id of the uploaded file; None until the upload completed.
    :param version: what changes whenever the source's content does; empty if unknown.
    :param sha256: of the content; None until it was sent.
    """

    KIND: ClassVar[str] = "media_upload"
    GROWING: ClassVar[str] = ""

    baseline: Baseline
    stored_id: int | str | None = None
    stored_name: str | None = None
    replaced: tuple[int | str, ...] = ()
    version: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None

    @property
    def outlives_clearing(self) -> bool:
        """Whether the upload was interrupted, so that its file may be stored."""
        return self.stored_id is None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        baseline = self.baseline.reduced(max_known=MAX_BASELINE_IDS) or self.baseline
        return {
            "baseline": baseline.to_dict(),
            "stored_id": self.stored_id,
            "stored_name": self.stored_name,
            "replaced": list(self.replaced),
            "version": dict(self.version),
            "sha256": self.sha256,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output."""
        stored_id = None if values["stored_id"] is None else parse_id(values["stored_id"])
        baseline, stored_name = Baseline.from_dict(values["baseline"]), values["stored_name"]
        version, digest = values["version"], values["sha256"]
        if any(not isinstance(value, (str, type(None))) for value in (stored_name, digest)):
            raise ValueError("stored_name and sha256 must be strings or None")
        return cls(
            baseline=baseline,
            stored_id=stored_id,
            stored_name=stored_name,
            replaced=parse_ids(values["replaced"]),
            version=dict(version),
            sha256=digest,
        )


class UploadState(Protocol):
    """Stores the checkpoint of an upload for the next attempt of the task."""

    def load(self) -> UploadCheckpoint | None:
        """Return the checkpoint of earlier attempts; None if none of them can have stored the file."""

    def save(self, checkpoint: UploadCheckpoint) -> None:
        """Store a checkpoint: before the first byte is sent, and again when the upload is complete."""

    def delete(self) -> None:
        """Delete the checkpoint, because no attempt stored the file."""


class ContentState:
    """Stores the checkpoint of an upload with a proof of its content; ignores that of another content.

    The SHA-256 is stored before the end of the body is sent. A checkpoint with neither it nor a version is of an
    attempt that sent no whole body.

    :param source: the content; it is read only if its version differs from that of the earlier attempt.
    """

    def __init__(self, state: UploadState, source: Source, digest: str | None) -> None:
        self._state = state
        self._source = source
        self._sha256 = digest
        self._running: UploadCheckpoint | None = None
        if digest is None:
            source.on_hashed = self._add_digest

    def load(self) -> UploadCheckpoint | None:
        """Return the checkpoint of earlier attempts with the same content."""
        checkpoint = self._state.load()
        if checkpoint and not self._has_content(checkpoint):
            log.info("Ignored a previous attempt: it did not send this content of %r", self._source.label)
            return None
        if checkpoint and checkpoint.sha256:
            self._sha256, self._source.on_hashed = checkpoint.sha256, None
        return checkpoint

    def save(self, checkpoint: UploadCheckpoint) -> None:
        """Store a checkpoint with the proof."""
        checkpoint = replace(checkpoint, version=self._source.version, sha256=self._sha256)
        self._running = checkpoint if checkpoint.stored_id is None else None
        self._state.save(checkpoint)

    def delete(self) -> None:
        """Delete the checkpoint."""
        self._running = None
        self._state.delete()

    def _has_content(self, checkpoint: UploadCheckpoint) -> bool:
        if checkpoint.version and checkpoint.version == self._source.version:
            return True
        if checkpoint.sha256 is None:
            return False
        self._sha256 = self._sha256 or sha256(self._source)
        return self._sha256 == checkpoint.sha256

    def _add_digest(self, digest: str) -> None:
        if digest != self._sha256 and self._running:
            self._sha256 = digest
            self.save(self._running)


_MAX_FILES = 1000


class RecentUploads:
    """The latest uploads of this process to one library, which its list may lack for a while.

    :param settle_seconds: how long an upload is recent.
    :param uploads: the names, ids and monotonic times; the latest is the last.
    """

    def __init__(self, settle_seconds: float, uploads: deque[_Upload] | None = None) -> None:
        # No lock, because a forked child could inherit it while it is held; append and copy are atomic.
        self._uploads: deque[_Upload] = deque(maxlen=_MAX_FILES) if uploads is None else uploads
        self._settle_seconds = settle_seconds

    def add(self, name: str, media_id: int | str) -> None:
        """Add a file.

        :param name: the name in the request.
        """
        self._uploads.append((name, media_id, time.monotonic()))

    def ids_of(self, name: str) -> tuple[int | str, ...]:
        """Return the ids of the recent files with a name."""
        return tuple(media_id for uploaded, media_id in self._recent() if uploaded == name)

    @property
    def latest_id(self) -> int | str | None:
        """The id of the latest file, if it is recent."""
        return next((media_id for _, media_id in reversed(self._recent())), None)

    def _recent(self) -> list[tuple[str, int | str]]:
        since = time.monotonic() - self._settle_seconds
        return [(name, media_id) for name, media_id, at in list(self._uploads) if at >= since]


_Upload = tuple[str, int | str, float]
_LIBRARIES: dict[tuple[str, Secret[str]], deque[_Upload]] = {}


def recent_uploads(settings: Settings) -> RecentUploads:
    """Return the latest uploads of this process to a connection's library."""
    uploads = _LIBRARIES.setdefault((settings.base_url, settings.api_key), deque(maxlen=_MAX_FILES))
    return RecentUploads(settings.settle_seconds, uploads)


def clear_recent_uploads() -> None:
    """Remove all recent uploads, because another server has the same address now."""
    _LIBRARIES.clear()
