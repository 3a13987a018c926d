"""The checkpoint of an upload, for the next attempt of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.checkpoints import parse_id, parse_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BASELINE_IDS = 900
"""Max ids that fit a value of the task state store (64 KiB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadCheckpoint:
    """The progress of an upload.

    :param baseline: the state of the library before the first attempt.
    :param stored_id: the id of the uploaded file; None until the upload completed.
    :param stored_name: the name under which the platform stored it.
    :param replaced: the ids of the older files that were deleted for it.
    """

    KIND: ClassVar[str] = "media_upload"

    baseline: Baseline
    stored_id: int | str | None = None
    stored_name: str | None = None
    replaced: tuple[int | str, ...] = ()

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
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output.

        :raises ValueError: the values are invalid.
        """
        stored_id = None if values["stored_id"] is None else parse_id(values["stored_id"])
        baseline, stored_name = Baseline.from_dict(values["baseline"]), values["stored_name"]
        if not isinstance(stored_name, (str, type(None))):
            raise ValueError("stored_name must be a string or None")  # noqa: TRY004 - one error for all shapes
        return cls(
            baseline=baseline, stored_id=stored_id, stored_name=stored_name, replaced=parse_ids(values["replaced"])
        )


class UploadState(Protocol):
    """Stores the checkpoint of an upload for the next attempt of the task."""

    def load(self) -> UploadCheckpoint | None:
        """Return the checkpoint of earlier attempts; None if none of them can have stored the file."""

    def save(self, checkpoint: UploadCheckpoint) -> None:
        """Store a checkpoint: before the first byte is sent, and again when the upload is complete."""

    def delete(self) -> None:
        """Delete the checkpoint, because no attempt stored the file."""


class NoState:
    """Stores nothing: outside of tasks, and before Airflow 3.3."""

    def load(self) -> None:
        """Return None: nothing is stored."""

    def save(self, checkpoint: UploadCheckpoint) -> None:
        """Do nothing."""

    def delete(self) -> None:
        """Do nothing."""
