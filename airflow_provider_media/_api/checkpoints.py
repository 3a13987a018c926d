"""The state of an interrupted task, as values that turn into JSON and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from airflow_provider_media._api.protocol import normalize_media_id
from airflow_provider_media.exceptions import MediaError

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def parse_id(value: Any) -> int | str:
    """Parse the id of a file.

    :raises ValueError: it is none.
    """
    try:
        return normalize_media_id(value)
    except MediaError:
        raise ValueError(f"not an id: {value!r}") from None


def parse_ids(values: Any) -> tuple[int | str, ...]:
    """Parse a list of ids.

    :raises ValueError: it is none.
    """
    if not isinstance(values, list):
        raise ValueError("not a list of ids")  # noqa: TRY004 - one error for all shapes
    return tuple(map(parse_id, values))


def parse_flag(value: Any) -> bool:
    """Parse a bool.

    :raises ValueError: it is none.
    """
    if not isinstance(value, bool):
        raise ValueError(f"not a bool: {value!r}")  # noqa: TRY004 - one error for all shapes
    return value
