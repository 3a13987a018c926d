"""How far a sync came, for the next attempt of its task."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.checkpoints import parse_flag
from airflow_provider_media._sync.receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media.models import Media

MAX_RECEIPTS_BYTES = 24 * 1024
"""Of the 64 KiB that Airflow keeps of a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCheckpoint:
    """How far a sync came.

    :param sending: whether files are being sent: if that is the last that is known, the attempt was interrupted. So it
        is where the attempt ended, but had sent more files than can be noted.
    :param baseline: what the library held before the first attempt; None where that is too large to keep.
    :param receipts: what the attempt noted of the files that it sent, by path.
    :param ended_at: when it ended, in seconds since 1970.
    """

    KIND: ClassVar[str] = "media_sync"

    sending: bool
    baseline: Baseline | None
    receipts: Mapping[str, Receipt] = field(default_factory=dict)
    ended_at: float = 0.0

    @classmethod
    def ended(cls, baseline: Baseline | None, receipts: Mapping[str, Receipt]) -> Self:
        """Return the checkpoint of an attempt that ended, although not all is done."""
        noted = {path: receipt.to_dict() for path, receipt in receipts.items()}
        is_small = len(json.dumps(noted)) <= MAX_RECEIPTS_BYTES
        return cls(sending=not is_small, baseline=baseline, receipts=receipts if is_small else {}, ended_at=time.time())

    def age_seconds(self) -> float:
        """Return how long ago the attempt ended."""
        return max(0.0, time.time() - self.ended_at)

    @property
    def outlives_clearing(self) -> bool:
        """Whether a task that is cleared still needs it: it is deleted when the sync has succeeded."""
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "sending": self.sending,
            "baseline": self.baseline.to_dict() if self.baseline else None,
            "receipts": {path: receipt.to_dict() for path, receipt in self.receipts.items()},
            "ended_at": self.ended_at,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it again of what :meth:`to_dict` returned.

        :raises ValueError: the values have another shape.
        """
        baseline = None if values["baseline"] is None else Baseline.from_dict(values["baseline"])
        receipts = {path: Receipt.from_dict(receipt) for path, receipt in values["receipts"].items()}
        ended_at = float(values["ended_at"])
        return cls(sending=parse_flag(values["sending"]), baseline=baseline, receipts=receipts, ended_at=ended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousAttempts:
    """What is known of earlier attempts of a sync.

    :param were_interrupted: whether the last of them had no orderly end, so that files may still be being stored.
    :param baseline: what the library held before the first of them.
    :param since: or else when the run began.
    """

    were_interrupted: bool = False
    baseline: Baseline | None = None
    since: datetime | None = None

    @classmethod
    def of(cls, checkpoint: SyncCheckpoint | None, context: Context, *, is_kept: bool) -> Self:
        """Return what the checkpoint shows; before Airflow 3.3, the number of tries.

        :param is_kept: whether Airflow has a store for the checkpoint.
        """
        if checkpoint:
            return cls(were_interrupted=checkpoint.sending, baseline=checkpoint.baseline)
        if is_kept or getattr(context.get("ti"), "try_number", 1) <= 1:
            return cls()
        return cls(were_interrupted=True, since=getattr(context.get("dag_run"), "start_date", None))

    def sent(self, media: Media) -> bool:
        """Return whether one of them can have sent a file; what the API does not show is none of theirs."""
        if self.baseline is not None:
            return self.baseline.is_newer(media) is True
        return self.since is not None and media.created_at is not None and media.created_at >= self.since
