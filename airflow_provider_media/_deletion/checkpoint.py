"""How far a deletion came, for the next attempt of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_media._api.checkpoints import parse_flag, parse_ids

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        return cls(ids=parse_ids(values["ids"]), is_done=parse_flag(values["is_done"]))
