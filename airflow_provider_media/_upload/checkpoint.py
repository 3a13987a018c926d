"""How far an upload came, for the next attempt of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.checkpoints import parse_id, parse_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BASELINE_IDS = 900
"""Airflow keeps 64 KiB of a value; a library whose ids do not grow may hold more files of the folder's names."""


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
        stored_id = None if values["stored_id"] is None else parse_id(values["stored_id"])
        baseline, stored_name = Baseline.from_dict(values["baseline"]), values["stored_name"]
        if not isinstance(stored_name, (str, type(None))):
            raise ValueError("stored_name must be a string or None")  # noqa: TRY004 - one error for all shapes
        return cls(
            baseline=baseline, stored_id=stored_id, stored_name=stored_name, replaced=parse_ids(values["replaced"])
        )


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
