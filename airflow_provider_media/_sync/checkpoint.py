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
    """The receipt of one upload: what was sent, and what the platform stored."""

    media_id: int | str
    name: str
    size: int
    sha256: str | None
    stored_name: str | None
    stored_size: int | None

    def is_of(self, upload: UploadSpec, media: Media) -> bool:
        """Return whether it is the receipt of a file of the library; compare more than ids, which may be reused."""
        if self.name != upload.name or str(media.id) != str(self.media_id) or upload.is_of_another_folder(media):
            return False
        names, sizes = (media.name, self.stored_name), (media.size, self.stored_size)
        return (None in names or names[0] == names[1]) and (not all(sizes) or sizes[0] == sizes[1])

    def is_same(self, upload: UploadSpec) -> bool:
        """Return whether the local file still has the uploaded content, as far as known."""
        return self.size == upload.source.size and upload.fingerprint in {None, self.sha256}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """Read the receipt in the entry of a manifest; see :func:`receipt_of`."""
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


def receipt_of(upload: UploadSpec, media: Media) -> dict[str, Any]:
    """Return the receipt of an upload as JSON values, without redundant ones."""
    sent, stored = (
        {"name": upload.name, "size": upload.source.size},
        {"name": media.name, "size": media.size or None},
    )
    sha256 = {"sha256": upload.fingerprint} if upload.fingerprint else {}
    return {"id": media.id, **sent, **sha256, **({"stored": stored} if stored != sent else {})}


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
    receipts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ended_at: float = 0.0
    since: datetime | None = None

    @classmethod
    def load(cls, state: TaskState[SyncCheckpoint], context: Context) -> SyncCheckpoint:
        """Load it; before Airflow 3.3, a task's second try counts as interrupted."""
        is_retry = not state.is_kept and getattr(context.get("ti"), "try_number", 1) > 1
        since = getattr(context.get("dag_run"), "start_date", None) if is_retry else None
        return state.load() or cls(sending=is_retry, since=since)

    def ended(self, receipts: Mapping[str, Mapping[str, Any]]) -> SyncCheckpoint:
        """Return the checkpoint of an attempt that ended with failures."""
        receipts = {**self.receipts, **receipts}
        is_small = len(json.dumps(receipts)) <= MAX_RECEIPTS_BYTES
        kept = receipts if is_small else {}
        return replace(self, sending=not is_small, receipts=kept, ended_at=time.time())

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
            "receipts": dict(self.receipts),
            "ended_at": self.ended_at,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output."""
        return cls(
            sending=parse_flag(values["sending"]),
            baseline=None if values["baseline"] is None else Baseline.from_dict(values["baseline"]),
            receipts={path: receipt for path, receipt in values["receipts"].items() if Receipt.from_dict(receipt)},
            ended_at=float(values["ended_at"]),
        )
