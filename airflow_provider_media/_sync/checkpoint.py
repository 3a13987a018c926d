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
