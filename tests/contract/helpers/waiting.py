"""Run a sensor in a worker as Airflow does: in one process, or in a new one for each poll."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from airflow_provider_media.sensors.media import MediaExistsSensor

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:  # Airflow 2
    from airflow.exceptions import AirflowRescheduleException


def wait(conn_id: str, **arguments: Any) -> Any:
    """Wait to the end; after each reschedule create a new sensor at the requested time."""
    started = datetime.now(UTC)
    ti = SimpleNamespace(
        dag_id="d",
        task_id="wait",
        run_id="r",
        map_index=-1,
        max_tries=0,
        task=SimpleNamespace(retries=0),
        start_date=started,
        get_first_reschedule_date=lambda _context: started,
    )
    with _without_database(started):
        while True:
            sensor = MediaExistsSensor(task_id="wait", media_conn_id=conn_id, **arguments)
            try:
                return sensor.execute({"ti": ti})  # type: ignore[typeddict-item]
            except AirflowRescheduleException as again:
                time.sleep(max((again.reschedule_date - datetime.now(UTC)).total_seconds(), 0))
            finally:
                sensor.hook.get_conn().close()


def _without_database(started: datetime) -> AbstractContextManager[Any]:
    """Replace the database query of Airflow 2 for the first start of a rescheduled task."""
    if version("apache-airflow").startswith("3."):
        return nullcontext()
    return patch("airflow.sensors.base._orig_start_date", lambda *_, **__: started)
