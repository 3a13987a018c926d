"""What a sensor keeps between its looks: when it first started, what it found, how many looks failed in a row.

Within one process that is memory; between the tries and reschedules of a task it is Airflow's task state store, which
Airflow has from 3.3 on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.waiting import Found, found_from_dicts, found_to_dicts
from airflow_provider_media.operators._memory import first_try_number

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

KEY = "media_wait"
"""The name under which the task state store keeps it."""

_LARGEST_BYTES = 48 * 1024
"""Airflow warns of values above 64 KiB; what was found is asked for again then."""


@dataclass(slots=True)
class WaitMemory:
    """What is known of a wait so far.

    :param started: when the task first started, retries, reschedules and deferrals included.
    :param found: what is there.
    :param failures: how many looks in a row failed.
    """

    started: datetime
    found: Found = field(default_factory=dict)
    failures: int = 0
    _store: Any = None
    _first_try: int | None = None

    @classmethod
    def of_task(cls, context: Context) -> WaitMemory:
        """Recall what earlier processes of this task knew; a cleared task starts afresh."""
        store: Any = context.get("task_state_store")
        first_try = first_try_number(context)
        kept = store.get(KEY) if store is not None else None
        if kept and kept["first_try"] == first_try:
            return cls(
                datetime.fromisoformat(kept["started"]),
                found_from_dicts(kept["found"]),
                kept["failures"],
                store,
                first_try,
            )
        memory = cls(_first_start(context) or datetime.now(UTC), _store=store, _first_try=first_try)
        memory.keep()
        return memory

    def keep(self) -> None:
        """Remember all this beyond the life of the process, where Airflow can."""
        if self._store is None:
            return
        kept = {
            "first_try": self._first_try,
            "started": self.started.isoformat(),
            "found": found_to_dicts(self.found),
            "failures": self.failures,
        }
        if len(json.dumps(kept)) > _LARGEST_BYTES:
            kept["found"] = {}
        self._store.set(KEY, kept)

    def keep_start(self) -> None:
        """Remember just when the wait began: this try failed, and a retry has the time that is left."""
        self.found.clear()
        self.failures = 0
        self.keep()

    def forget(self) -> None:
        """Remember nothing: the wait is over."""
        if self._store is not None:
            self._store.delete(KEY)


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
