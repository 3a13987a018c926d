"""How far a wait came, for the next attempt of its task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_media._polling.lookup import Found, found_from_dicts, found_to_dicts

if TYPE_CHECKING:
    from collections.abc import Mapping


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
