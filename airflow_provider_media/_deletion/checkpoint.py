"""The checkpoint of a deletion, for the next attempt of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_media._api.values import parse_flag, parse_ids

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionCheckpoint:
    """The progress of a deletion.

    :param ids: the files whose deletion was started.
    :param is_done: whether the deletion is complete.
    """

    KIND: ClassVar[str] = "media_deleted"
    GROWING: ClassVar[str] = "ids"

    ids: tuple[int | str, ...] = ()
    is_done: bool = False

    @property
    def outlives_clearing(self) -> bool:
        """Whether the deletion was interrupted, so that a missing file may be one that it deleted."""
        return not self.is_done

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {"ids": list(self.ids), "is_done": self.is_done}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output.

        :raises ValueError: the values are invalid.
        """
        return cls(ids=parse_ids(values["ids"]), is_done=parse_flag(values["is_done"]))
