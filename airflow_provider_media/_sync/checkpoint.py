"""What a sync keeps for later ones: the receipts of its uploads, and the checkpoint of an interrupted attempt.

Receipts recognize what the platform renamed, re-encoded or lists late. Those of an earlier run are in its manifest,
those of a previous attempt in the checkpoint.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.values import parse_flag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media

MAX_RECEIPTS_BYTES = 24 * 1024
"""Airflow keeps 64 KiB of a value."""


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
        return self.size == upload.source.size and upload.fingerprint in {None, self.sha256}

    def to_dict(self) -> dict[str, Any]:
        """Return the keys for a manifest entry, without redundant ones."""
        stored = {"name": self.stored_name, "size": self.stored_size}
        uploaded = {"name": self.name, "size": self.size}
        return {
            "id": self.media_id,
            **uploaded,
            **({"sha256": self.sha256} if self.sha256 else {}),
            **({"stored": stored} if stored != uploaded else {}),
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output; ignore other keys."""
        stored = entry.get("stored") or entry
        strings = (entry["name"], entry.get("sha256") or "", stored["name"] or "")
        sizes = (entry["size"], stored["size"] or 0)
        if not all(isinstance(text, str) for text in strings) or not all(type(size) is int for size in sizes):
            raise ValueError("names must be strings, and sizes integers")
        if type(entry["id"]) not in {int, str}:
            raise ValueError("an id must be an integer or a string")
        return cls(
            media_id=entry["id"],
            name=entry["name"],
            size=entry["size"],
            sha256=entry.get("sha256"),
            stored_name=stored["name"],
            stored_size=stored["size"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCheckpoint:
    """The state of the previous attempts of a sync.

    :param sending: whether uploads were running, so that the attempt was interrupted. Also true if the attempt ended
        with more receipts than can be stored.
    :param since: before Airflow 3.3, when the run started; not stored.
    """

    KIND: ClassVar[str] = "media_sync"
    GROWING: ClassVar[str] = ""
    outlives_clearing: ClassVar[bool] = True  # a successful sync deletes it

    sending: bool = False
    baseline: Baseline | None = None
    receipts: Mapping[str, Receipt] = field(default_factory=dict)
    ended_at: float = 0.0
    since: datetime | None = None

    @classmethod
    def load(cls, state: TaskState[SyncCheckpoint], context: Context) -> SyncCheckpoint:
        """Load it; before Airflow 3.3, a task's second try counts as interrupted."""
        is_retry = not state.is_kept and getattr(context.get("ti"), "try_number", 1) > 1
        since = getattr(context.get("dag_run"), "start_date", None) if is_retry else None
        return state.load() or cls(sending=is_retry, since=since)

    def ended(self, uploaded: Mapping[str, Mapping[str, Any]]) -> SyncCheckpoint:
        """Return the checkpoint of an attempt that ended with failures, with the manifest of its uploads."""
        receipts = {path: Receipt.from_dict(entry) for path, entry in uploaded.items()}
        ended = replace(self, sending=False, receipts={**self.receipts, **receipts}, ended_at=time.time())
        is_small = len(json.dumps(ended.to_dict()["receipts"])) <= MAX_RECEIPTS_BYTES
        return ended if is_small else replace(ended, sending=True, receipts={})

    def may_have_sent(self, media: Media) -> bool:
        """Return whether an attempt may have uploaded a file; False if the API does not show its age."""
        if self.baseline is not None:
            return self.baseline.is_newer(media) is True
        return self.since is not None and media.created_at is not None and media.created_at >= self.since

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
        return cls(
            sending=parse_flag(values["sending"]),
            baseline=None if values["baseline"] is None else Baseline.from_dict(values["baseline"]),
            receipts={path: Receipt.from_dict(receipt) for path, receipt in values["receipts"].items()},
            ended_at=float(values["ended_at"]),
        )
