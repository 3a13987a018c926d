"""What a sensor knows between its polls: when it first started, what it found, how many polls in a row failed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.task_state import TaskState, first_try_number
from airflow_provider_media._polling.checkpoint import WaitCheckpoint

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._polling.lookup import Found

_MAX_BYTES = 48 * 1024
"""Airflow warns of values above 64 KiB; what was found is asked for again then."""


@dataclass(slots=True)
class Wait:
    """What is known of a wait so far, in this process and, where Airflow has a task state store, beyond it.

    :param started: when the task first started, retries, reschedules and deferrals included.
    :param found: what is there.
    :param failures: how many polls in a row failed.
    """

    started: datetime
    found: Found = field(default_factory=dict)
    failures: int = 0
    _state: TaskState[WaitCheckpoint] | None = None
    _library: str | None = None

    @classmethod
    def of_task(cls, context: Context, *, task_id: str, library: str | None) -> Wait:
        """Load what earlier processes of this task knew; a cleared task starts from the beginning.

        :param task_id: the sensor's.
        :param library: its connection and base address: what was found in another library does not count.
        """
        state = TaskState(context, WaitCheckpoint, task_id=task_id)
        kept = state.load()
        if kept is None:
            wait = cls(_first_start(context) or datetime.now(UTC), _state=state, _library=library)
        elif kept.library == library:
            return cls(kept.started, dict(kept.found), kept.failures, state, library)
        else:
            wait = cls(kept.started, _state=state, _library=library)
        wait.save()
        return wait

    def save(self) -> None:
        """Keep all this beyond the life of the process, where Airflow can."""
        if self._state is None:
            return
        found = self.found
        checkpoint = WaitCheckpoint(started=self.started, library=self._library, found=found, failures=self.failures)
        if len(json.dumps(checkpoint.to_dict())) > _MAX_BYTES:
            checkpoint = WaitCheckpoint(started=self.started, library=self._library, failures=self.failures)
        self._state.save(checkpoint)

    def save_start(self) -> None:
        """Keep just when the wait began: this try failed, and a retry has the time that is left."""
        self.found.clear()
        self.failures = 0
        self.save()

    def delete(self) -> None:
        """Keep nothing: the wait is over."""
        if self._state is not None:
            self._state.delete()


def _first_start(context: Context) -> datetime | None:
    """Ask Airflow when the task first started: reschedules are noted with it, and deferrals keep its start."""
    ti: Any = context.get("ti")
    if ti is None:
        return None
    if hasattr(ti, "get_first_reschedule_date"):  # Airflow 3
        moment = ti.get_first_reschedule_date(context)
    else:
        from airflow.sensors.base import _orig_start_date  # of Airflow 2 only

        moment = _orig_start_date(ti.dag_id, ti.task_id, ti.run_id, ti.map_index, first_try_number(context))
    return next((start for start in (moment, ti.start_date) if isinstance(start, datetime)), None)
