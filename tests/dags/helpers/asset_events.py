"""Asset events in Airflow's database, which Airflow 2 calls dataset events."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

IS_AIRFLOW_3 = version("apache-airflow").startswith("3.")


def event_model() -> Any:
    """Return the table."""
    if IS_AIRFLOW_3:
        from airflow.models.asset import AssetEvent

        return AssetEvent
    from airflow.models.dataset import DatasetEvent

    return DatasetEvent


def forget_events() -> None:
    """Delete all; deleting a DAG leaves its."""
    from airflow.utils.session import create_session

    with create_session() as session:
        for event in session.query(event_model()):
            session.delete(event)


def read_events() -> list[tuple[str, dict[str, Any], int]]:
    """Tell them, oldest first: URI, extra, and the map index of the task that each came from."""
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(event_model()).order_by(event_model().id)
        return [(event.uri, event.extra, event.source_map_index) for event in found]


def write(*dags: Any) -> None:
    """Write DAGs with their assets into the database, as the DAG processor does; on Airflow 3, run_dag does it."""
    if not IS_AIRFLOW_3:
        dags[0].bulk_write_to_db(dags)


def give_all_events_to_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have dag.test() make runs that all events so far started."""
    if IS_AIRFLOW_3:
        from airflow.models import dag, dagrun

        consumed = "consumed_asset_events"
        module, name = (dagrun, "get_or_create_dagrun")
        if not hasattr(dagrun, name):  # before Airflow 3.1
            module, name = (dag, f"_{name}")
    else:
        from airflow.models import dag as module

        name, consumed = "_get_or_create_dagrun", "consumed_dataset_events"
    make = getattr(module, name)

    def make_with_events(**arguments: Any) -> Any:
        run = make(**arguments)
        getattr(run, consumed).extend(arguments["session"].query(event_model()))
        arguments["session"].commit()
        return run

    monkeypatch.setattr(module, name, make_with_events)
