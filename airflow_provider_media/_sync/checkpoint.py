"""What a sync keeps for later ones: the receipts of its uploads, and the checkpoint of an interrupted attempt.

Receipts recognize what the platform renamed, re-encoded or lists late. Those of an earlier run are in its manifest,
those of a previous attempt in the checkpoint.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.values import parse_flag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The receipt of one upload."""

    media_id: int | str
    name: str
    size: int
    sha256: str | None
    stored_name: str | None
    stored_size: int | None

    @classmethod
    def of(cls, upload: UploadSpec, media: Media) -> Self:
        """Create the receipt of an upload."""
        return cls(
            media_id=media.id,
            name=upload.name,
            size=upload.source.size,
            sha256=upload.fingerprint,
            stored_name=media.name,
            stored_size=media.size or None,
        )

    def is_of(self, upload: UploadSpec, media: Media) -> bool:
        """Return whether it is the receipt of a file of the library; compare more than ids, which may be reused."""
        if self.name != upload.name or str(media.id) != str(self.media_id) or upload.is_of_another_folder(media):
            return False
        names, sizes = (media.name, self.stored_name), (media.size, self.stored_size)
        return (None in names or names[0] == names[1]) and (not all(sizes) or sizes[0] == sizes[1])

    def is_same(self, upload: UploadSpec) -> bool:
        """Return whether the local file still has the uploaded content, as far as known."""
        is_changed = None not in (self.sha256, upload.fingerprint) and self.sha256 != upload.fingerprint
        is_unknown = upload.fingerprint is not None and self.sha256 is None
        return self.size == upload.source.size and not is_changed and not is_unknown

    def to_dict(self) -> dict[str, Any]:
        """Return the keys for a manifest entry, without redundant ones."""
        stored = {"name": self.stored_name, "size": self.stored_size}
        is_changed = self.stored_name != self.name or self.stored_size != self.size
        return {
            "id": self.media_id,
            "name": self.name,
            "size": self.size,
            **({"sha256": self.sha256} if self.sha256 else {}),
            **({"stored": stored} if is_changed else {}),
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output; ignore other keys."""
        stored = entry.get("stored") or {"name": entry["name"], "size": entry["size"]}
        strings = (entry["name"], entry.get("sha256") or "", stored["name"] or "")
        sizes = (entry["size"], stored["size"] or 0)
        if not all(isinstance(text, str) for text in strings) or not all(type(size) is int for size in sizes):
            raise ValueError("names must be strings, and sizes integers")
        if isinstance(entry["id"], bool) or not isinstance(entry["id"], (int, str)):
            raise ValueError("an id must be an integer or a string")  # noqa: TRY004 - one error for all shapes
        return cls(
            media_id=entry["id"],
            name=entry["name"],
            size=entry["size"],
            sha256=entry.get("sha256"),
            stored_name=stored["name"],
            stored_size=stored["size"],
        )


MAX_RECEIPTS_BYTES = 24 * 1024
"""Airflow keeps 64 KiB of a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCheckpoint:
    """The state of a sync.

    :param sending: whether uploads were running, so that the attempt was interrupted. Also true if the attempt ended
        with more receipts than can be stored.
    """

    KIND: ClassVar[str] = "media_sync"
    GROWING: ClassVar[str] = ""
    outlives_clearing: ClassVar[bool] = True  # a successful sync deletes it

    sending: bool
    baseline: Baseline | None
    receipts: Mapping[str, Receipt] = field(default_factory=dict)
    ended_at: float = 0.0

    @classmethod
    def ended(cls, baseline: Baseline | None, receipts: Mapping[str, Receipt]) -> Self:
        """Return the checkpoint of an attempt that ended with failures."""
        values = {path: receipt.to_dict() for path, receipt in receipts.items()}
        is_small = len(json.dumps(values)) <= MAX_RECEIPTS_BYTES
        return cls(sending=not is_small, baseline=baseline, receipts=receipts if is_small else {}, ended_at=time.time())

    def age_seconds(self) -> float:
        """Return how long ago the attempt ended."""
        return max(0.0, time.time() - self.ended_at)

    def to_dict(self) -> dict[str, Any]:
        """Return a dict of JSON values."""
        return {
            "sending": self.sending,
            "baseline": self.baseline.to_dict() if self.baseline else None,
            "receipts": {path: receipt.to_dict() for path, receipt in self.receipts.items()},
            "ended_at": self.ended_at,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output."""
        baseline = None if values["baseline"] is None else Baseline.from_dict(values["baseline"])
        receipts = {path: Receipt.from_dict(receipt) for path, receipt in values["receipts"].items()}
        ended_at = float(values["ended_at"])
        return cls(sending=parse_flag(values["sending"]), baseline=baseline, receipts=receipts, ended_at=ended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousAttempts:
    """The previous attempts of a sync.

    :param were_interrupted: whether the last one was interrupted, so that uploads may still become visible.
    :param since: if the baseline is unknown, when the run started.
    """

    were_interrupted: bool = False
    baseline: Baseline | None = None
    since: datetime | None = None

    @classmethod
    def of(cls, checkpoint: SyncCheckpoint | None, context: Context, *, is_kept: bool) -> Self:
        """Create from a checkpoint; before Airflow 3.3, from the task's ``try_number``."""
        if checkpoint:
            return cls(were_interrupted=checkpoint.sending, baseline=checkpoint.baseline)
        if is_kept or getattr(context.get("ti"), "try_number", 1) <= 1:
            return cls()
        return cls(were_interrupted=True, since=getattr(context.get("dag_run"), "start_date", None))

    def sent(self, media: Media) -> bool:
        """Return whether one of them may have uploaded a file; False if the API does not show its age."""
        if self.baseline is not None:
            return self.baseline.is_newer(media) is True
        return self.since is not None and media.created_at is not None and media.created_at >= self.since
