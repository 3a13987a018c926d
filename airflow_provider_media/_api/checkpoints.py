"""How far a task came: what its next attempt needs, as values that turn into JSON and back."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.problem import Problem
from airflow_provider_media._api.protocol import check_media_id
from airflow_provider_media._api.receipts import Receipt
from airflow_provider_media._polling.lookup import Found, found_from_dicts, found_to_dicts

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BASELINE_IDS = 900
"""Airflow keeps 64 KiB of a value; a library whose ids do not grow may hold more files of the folder's names."""

MAX_RECEIPTS_BYTES = 24 * 1024
"""Of the same 64 KiB."""


class Checkpoint(Protocol):
    """What every checkpoint has.

    :cvar KIND: the beginning of the key under which it is kept.
    """

    KIND: ClassVar[str]

    @property
    def outlives_clearing(self) -> bool:
        """Whether a task that is cleared still needs it."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it again of what :meth:`to_dict` returned.

        :raises ValueError: (or what reading other values as these raises) the values have another shape.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadCheckpoint:
    """How far an upload came.

    :param baseline: what the library held before its first byte was sent.
    :param stored_id: the id of the file that it stored, once all is done.
    :param stored_name: the name that the platform gave it.
    :param replaced: the ids of the older files that were deleted for it.
    """

    KIND: ClassVar[str] = "media_upload"

    baseline: Baseline
    stored_id: int | str | None = None
    stored_name: str | None = None
    replaced: tuple[int | str, ...] = ()

    @property
    def outlives_clearing(self) -> bool:
        """Whether it was interrupted: its file may be stored."""
        return self.stored_id is None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        baseline = self.baseline.reduced(max_known=MAX_BASELINE_IDS) or self.baseline
        return {
            "baseline": baseline.to_dict(),
            "stored_id": self.stored_id,
            "stored_name": self.stored_name,
            "replaced": list(self.replaced),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it again of what :meth:`to_dict` returned.

        :raises ValueError: the values have another shape.
        """
        stored_id = None if values["stored_id"] is None else _id(values["stored_id"])
        baseline, stored_name = Baseline.from_dict(values["baseline"]), values["stored_name"]
        if not isinstance(stored_name, (str, type(None))):
            raise ValueError("stored_name must be a string or None")  # noqa: TRY004 - one error for all shapes
        return cls(baseline=baseline, stored_id=stored_id, stored_name=stored_name, replaced=_ids(values["replaced"]))


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
        return cls(sending=_bool(values["sending"]), baseline=baseline, receipts=receipts, ended_at=ended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionCheckpoint:
    """How far a deletion came.

    :param ids: the files that were deleted, or whose deletion was started.
    :param is_done: whether nothing remained to be deleted.
    """

    KIND: ClassVar[str] = "media_deleted"

    ids: tuple[int | str, ...] = ()
    is_done: bool = False

    @property
    def outlives_clearing(self) -> bool:
        """Whether it was interrupted: a file that is missing now may be one that it deleted."""
        return not self.is_done

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"ids": list(self.ids), "is_done": self.is_done}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it again of what :meth:`to_dict` returned.

        :raises ValueError: the values have another shape.
        """
        return cls(ids=_ids(values["ids"]), is_done=_bool(values["is_done"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCheckpoint:
    """How far a wait came.

    :param started: when the task first started, retries, reschedules and deferrals included.
    :param library: the library that was asked: its connection and base address.
    :param found: what is there.
    :param failures: how many polls in a row failed.
    """

    KIND: ClassVar[str] = "media_wait"

    started: datetime
    library: str | None = None
    found: Found = field(default_factory=dict)
    failures: int = 0

    @property
    def outlives_clearing(self) -> bool:
        """Whether a task that is cleared still needs it: its wait starts again."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "started": self.started.isoformat(),
            "library": self.library,
            "found": found_to_dicts(self.found),
            "failures": self.failures,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it again of what :meth:`to_dict` returned.

        :raises ValueError: the values have another shape.
        """
        started, library, failures = datetime.fromisoformat(values["started"]), values["library"], values["failures"]
        if started.tzinfo is None or type(failures) is not int or not isinstance(library, (str, type(None))):
            raise ValueError("a wait has a start with a time zone, a library and a number of failures")
        found = found_from_dicts(values["found"])
        return cls(started=started.astimezone(UTC), library=library, found=found, failures=failures)


class UploadState(Protocol):
    """Where an upload's checkpoint is kept for the next attempt of the task."""

    def load(self) -> UploadCheckpoint | None:
        """Return how far earlier attempts of this very upload came, if one of them can have stored the file."""

    def save(self, checkpoint: UploadCheckpoint) -> None:
        """Keep how far it came: before the first byte is sent, and again when all is done."""

    def delete(self) -> None:
        """Keep nothing: no attempt stored the file."""


class NoState:
    """Keeps nothing: outside a task, and where Airflow has no task state store (before 3.3)."""

    def load(self) -> None:
        """Return None: no earlier attempt is known."""

    def save(self, checkpoint: UploadCheckpoint) -> None:
        """Keep nothing."""

    def delete(self) -> None:
        """Delete nothing."""


def _id(value: Any) -> int | str:
    try:
        return check_media_id(value)
    except Problem:
        raise ValueError(f"not an id: {value!r}") from None


def _ids(values: Any) -> tuple[int | str, ...]:
    if not isinstance(values, list):
        raise ValueError("not a list of ids")  # noqa: TRY004 - one error for all shapes
    return tuple(map(_id, values))


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"not a bool: {value!r}")  # noqa: TRY004 - one error for all shapes
    return value
