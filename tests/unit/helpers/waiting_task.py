"""The sensor as Airflow runs it, execution by execution, with a hook that has just a list in memory."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import airflow

from airflow_provider_media.sensors.media import MediaExistsSensor
from tests.unit.helpers.fake_library import FakeLibrary

if TYPE_CHECKING:
    from airflow_provider_media._api.flows import Flow
    from tests.helpers.fake_store import FakeStore


def deferral_timeout() -> str:
    """Return the installed Airflow's error for a deferral timeout."""
    sources = [Path(airflow.__file__).parent / file for file in ("models/trigger.py", "jobs/scheduler_job_runner.py")]
    found = re.findall(r'(?:TRIGGER_TIMEOUT = |"error": )"(.* timeout)"', "".join(map(Path.read_text, sources)))
    assert len(found) == 1, found
    return str(found[0])


class FakeHook:
    def __init__(self, *names: str) -> None:
        self.library = FakeLibrary()
        for name in names:
            self.library.add(name)
        self.settings = SimpleNamespace(base_url="http://h/media")
        self.cancelled = False

    @property
    def calls(self) -> list[str]:
        return self.library.calls

    def run_flow(self, flow: Flow[Any], *, seconds: float) -> Any:
        assert seconds > 0
        return self.library.run(flow)

    def cancel(self) -> None:
        self.cancelled = True


class WaitingTask:
    """One task in one run: each execution uses a new sensor, as a new process does.

    :param hook: the sensor's hook.
    :param store: the task state store; None before Airflow 3.3.
    :param arguments: the sensor's arguments.
    """

    def __init__(self, hook: FakeHook, store: FakeStore | None = None, **arguments: Any) -> None:
        self.hook = hook
        self.store = store
        self.arguments = {"task_id": "wait", **arguments}
        self.max_tries = arguments.get("retries", 0)
        self.started = datetime.now(UTC)
        self.first_reschedule: datetime | None = None
        self.last_reschedule: datetime | None = None

    def sensor(self) -> MediaExistsSensor:
        """Create the sensor."""
        sensor = MediaExistsSensor(**self.arguments)
        sensor.__dict__["hook"] = self.hook
        return sensor

    @property
    def context(self) -> Any:
        """The context of an execution."""
        ti = SimpleNamespace(
            dag_id="d",
            task_id="wait",
            run_id="r",
            map_index=-1,
            max_tries=self.max_tries,
            task=SimpleNamespace(retries=self.arguments.get("retries", 0)),
            start_date=self.started,
            get_first_reschedule_date=lambda _context: self.first_reschedule,
        )
        return {"ti": ti, **({"task_state_store": self.store} if self.store is not None else {})}

    def execute(self) -> Any:
        with self._without_database():
            return self.sensor().execute(self.context)

    def resume(self, next_method: str, next_kwargs: dict[str, Any] | None) -> Any:
        with self._without_database():
            return self.sensor().resume_execution(next_method, next_kwargs, self.context)

    def _without_database(self) -> AbstractContextManager[Any]:
        """Replace the database queries of Airflow 2 for the first start and the last poll of a rescheduled task."""
        if version("apache-airflow").startswith("3."):
            return nullcontext()
        stack = ExitStack()
        stack.enter_context(patch("airflow.sensors.base._orig_start_date", lambda *_, **__: self.first_reschedule))
        stack.enter_context(
            patch("airflow_provider_media.sensors._wait._last_reschedule", lambda _: self.last_reschedule)
        )
        return stack
