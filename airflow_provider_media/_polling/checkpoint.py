"""The state of a wait, for later attempts of its task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_media._polling.lookup import Found, found_from_dicts, found_to_dicts

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCheckpoint:
    """The state of a wait.

    :param started: the first start of the task, before any retry, reschedule or deferral.
    :param library: the connection and base address of the library.
    :param found: the files found so far.
    :param failures: the number of consecutive failed polls.
    """

    KIND: ClassVar[str] = "media_wait"

    started: datetime
    library: str | None = None
    found: Found = field(default_factory=dict)
    failures: int = 0

    @property
    def outlives_clearing(self) -> bool:
        """Whether it stays valid when the task is cleared; it does not, because the wait starts over."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values."""
        return {
            "started": self.started.isoformat(),
            "library": self.library,
            "found": found_to_dicts(self.found),
            "failures": self.failures,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output.

        :raises ValueError: the values are malformed.
        """
        started, library, failures = datetime.fromisoformat(values["started"]), values["library"], values["failures"]
        if started.tzinfo is None or type(failures) is not int or not isinstance(library, (str, type(None))):
            raise ValueError("the state of a wait needs an aware start, a library and a number of failures")
        found = found_from_dicts(values["found"])
        return cls(started=started.astimezone(UTC), library=library, found=found, failures=failures)
