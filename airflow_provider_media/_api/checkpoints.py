"""Checkpoints: the state of an interrupted task as JSON-serializable values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from airflow_provider_media._api.protocol import normalize_media_id
from airflow_provider_media.exceptions import MediaError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Checkpoint(Protocol):
    """The interface of checkpoints.

    :cvar KIND: the prefix of the key in the task state store.
    :cvar GROWING: the value of :meth:`to_dict` that is a growing list, stored in parts; empty if there is none.
    """

    KIND: ClassVar[str]
    GROWING: ClassVar[str]

    @property
    def outlives_clearing(self) -> bool:
        """Whether it is still needed after the task was cleared."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output.

        :raises ValueError: the values are invalid; or any error of reading them.
        """


def parse_id(value: Any) -> int | str:
    """Parse the id of a file.

    :raises ValueError: the value is not an id.
    """
    try:
        return normalize_media_id(value)
    except MediaError:
        raise ValueError(f"not an id: {value!r}") from None


def parse_ids(values: Any) -> tuple[int | str, ...]:
    """Parse a list of ids.

    :raises ValueError: the value is not a list of ids.
    """
    if not isinstance(values, list):
        raise ValueError("not a list of ids")  # noqa: TRY004 - one error for all shapes
    return tuple(map(parse_id, values))


def parse_flag(value: Any) -> bool:
    """Parse a bool.

    :raises ValueError: the value is not a bool.
    """
    if not isinstance(value, bool):
        raise ValueError(f"not a bool: {value!r}")  # noqa: TRY004 - one error for all shapes
    return value
