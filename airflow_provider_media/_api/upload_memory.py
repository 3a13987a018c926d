"""What of an upload is remembered beyond the life of the process, for the retry of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airflow_provider_media._api.baseline import Baseline
    from airflow_provider_media._api.upload import Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """How far an upload came.

    :param baseline: what the library held before its first byte was sent.
    :param stored_id: the file that it stored, once all is done; before that, looking tells.
    :param replaced: the ids of the older files that were deleted for it.
    """

    baseline: Baseline
    stored_id: int | str | None = None
    replaced: tuple[int | str, ...] = ()


class Memory(Protocol):
    """Where an upload is remembered, so that a retry knows what an earlier try began, or even ended."""

    def recall(self, upload: Upload) -> Begun | None:
        """Return how far earlier tries of this very file came, if one of them can have stored it."""

    def keep(self, upload: Upload, begun: Begun) -> None:
        """Remember how far it came; called before the first byte is sent, and again when all is done."""

    def forget(self) -> None:
        """Remember nothing: this task surely stored nothing."""


class NoMemory:
    """Remembers nothing: outside a task, and where Airflow has no task state (before 3.3)."""

    def recall(self, upload: Upload) -> Begun | None:  # noqa: ARG002 - the protocol's signature
        """Know of no earlier try."""
        return None

    def keep(self, upload: Upload, begun: Begun) -> None:
        """Keep nothing."""

    def forget(self) -> None:
        """Have nothing to forget."""
