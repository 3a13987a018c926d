"""Fixtures for DAG tests: real Airflow with a separate database, against a sandbox."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sqlite3
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_media.sandbox.server import Sandbox, run_in_thread
from tests.dags.helpers.asset_events import forget_events
from tests.helpers.warm_python import run_airflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
HOME = Path(os.environ["AIRFLOW_HOME"])  # set by tests/conftest.py
ROOT = HERE.parent.parent
IS_AIRFLOW_3 = version("apache-airflow").startswith("3.")


@pytest.fixture(scope="session", autouse=True)
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Copy the database that the first test process migrates to this process's Airflow home."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # shared by all workers of this test run
    migrated = folder / "airflow.db"
    with (folder / "airflow.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not migrated.exists():
            done = run_airflow("db", "migrate")
            assert done.returncode == 0, done.stderr
            with sqlite3.connect(HOME / "airflow.db") as made, sqlite3.connect(migrated) as copy:
                made.backup(copy)
            return
    # Not a copy of the file, because another connection of this process may have started a write-ahead log.
    with sqlite3.connect(migrated) as source, sqlite3.connect(HOME / "airflow.db") as target:
        source.backup(target)


@pytest.fixture(scope="session", autouse=True)
def users_are_known() -> None:
    """Import the users table on Airflow 2, because deleting a run needs it for the authors of notes."""
    if not IS_AIRFLOW_3:
        with warnings.catch_warnings(action="ignore"):
            import airflow.providers.fab.auth_manager.models  # noqa: F401


@pytest.fixture(autouse=True)
def delete_dags() -> Iterator[None]:
    """Delete the DAGs after each test, because Airflow 3 stores each variant of a DAG as a version; and the events."""
    yield
    forget_events()
    from airflow.api.common.delete_dag import delete_dag
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        dag_ids = [dag.dag_id for dag in session.query(DagModel)]
    for dag_id in dag_ids:
        delete_dag(dag_id)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Restore the signal handlers that Airflow replaces when it runs a task in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@dataclass(frozen=True, kw_only=True)
class Platform:
    """Direct access to the sandbox."""

    sandbox: Sandbox
    connect: Callable[..., None]

    def items(self) -> list[dict[str, Any]]:
        """Return the files in the library, oldest first."""
        response = requests.get(
            self.sandbox.media_url,
            params={"limit": 1000, "sortBy": "id", "sortOrder": "asc"},
            headers={"X-Api-Key": self.sandbox.api_key},
            timeout=10,
        )
        response.raise_for_status()
        return list(response.json()["content"])

    def names(self) -> list[str]:
        """Return the names of the files, sorted."""
        return sorted(item["name"] for item in self.items())

    def store(self, file: Path, name: str) -> int:
        """Store a file without Airflow; return its id."""
        response = requests.post(
            self.sandbox.media_url,
            files={"file": (file.name, file.read_bytes())},
            data={"name": name},
            headers={"X-Api-Key": self.sandbox.api_key},
            timeout=10,
        )
        response.raise_for_status()
        return int(response.json()["id"])

    def delete(self, media_id: int) -> None:
        """Delete a file without Airflow."""
        url = f"{self.sandbox.media_url}/{media_id}"
        requests.delete(url, headers={"X-Api-Key": self.sandbox.api_key}, timeout=10).raise_for_status()

    def add_fault(self, **fault: Any) -> None:
        """Queue a fault for the next matching requests."""
        url = f"{self.sandbox.base_url}/_sandbox/faults"
        requests.post(url, json=fault, timeout=10).raise_for_status()

    def calls(self, method: str) -> int:
        """Return the number of requests with a method."""
        logged = requests.get(f"{self.sandbox.base_url}/_sandbox/requests", timeout=10).json()
        return sum(1 for call in logged if call["method"] == method)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define the Airflow connection ``media_default``; the keyword arguments are its extras."""

    def define(host: str, api_key: str, **extras: Any) -> None:
        connection = {"conn_type": "media", "host": host, "password": api_key, "extra": extras}
        monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", json.dumps(connection))

    return define


@pytest.fixture
def platform(connect: Callable[..., None]) -> Iterator[Platform]:
    """Run a sandbox with an empty library, and connect to it."""
    with run_in_thread() as sandbox:
        connect(sandbox.base_url, sandbox.api_key)
        yield Platform(sandbox=sandbox, connect=connect)


@dataclass(kw_only=True)
class Run:
    """The result of a DAG run, read from Airflow's database."""

    state: str
    states: dict[str, str] = field(default_factory=dict)  # by task id, or "task_id[map_index]" for mapped tasks
    tries: dict[str, int] = field(default_factory=dict)
    _instances: dict[str, Any] = field(default_factory=dict)

    def xcom(self, task: str, key: str = "return_value") -> Any:
        """Return an XCom of a task instance."""
        ti = self._instances[task]
        return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)


@pytest.fixture
def run_dag() -> Callable[..., Run]:
    """Run a DAG in this process with real Airflow."""
    return _run_dag


def _run_dag(
    dag: Any,
    *,
    day: datetime = datetime(2026, 7, 1, tzinfo=UTC),
    conf: dict[str, Any] | None = None,
    has_date: bool = True,
) -> Run:
    """Run a DAG.

    :param has_date: whether the run has a logical date; otherwise ``day`` is the time of the trigger, as for manual and
        asset-triggered runs on Airflow 3.
    """
    for task in dag.tasks:
        if not hasattr(task, "partial_kwargs"):  # cannot be set on mapped tasks
            task.retry_delay = timedelta(0)
    _register(dag)
    date_argument = "logical_date" if IS_AIRFLOW_3 else "execution_date"
    dates: dict[str, Any] = {date_argument: day} if has_date else {"logical_date": None, "run_after": day}
    with contextlib.suppress(*_ends_of_a_task()):
        dag.test(**dates, run_conf=conf)
    return _read_run(dag, {date_argument: day} if has_date else {})


def _ends_of_a_task() -> tuple[type[BaseException], ...]:
    """Return the BaseExceptions that dag.test() raises on Airflow 2 after it has recorded the task's state."""
    if IS_AIRFLOW_3:
        return ()
    from airflow.exceptions import AirflowTaskTerminated, AirflowTaskTimeout

    return AirflowTaskTerminated, AirflowTaskTimeout


def _register(dag: Any) -> None:
    """Write the DAG to the database like the DAG processor, because Airflow 3's dag.test() requires it."""
    if not IS_AIRFLOW_3:
        return
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    try:
        from airflow.serialization.definitions.dag import SerializedDAG
    except ImportError:  # before Airflow 3.2
        from airflow.serialization.serialized_objects import SerializedDAG

    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
    if hasattr(LazyDeserializedDAG, "from_dag"):
        model = as_stored = LazyDeserializedDAG.from_dag(dag)
    else:  # before Airflow 3.1
        model, as_stored = SerializedDAG.from_dict(SerializedDAG.to_dict(dag)), dag
    SerializedDAG.bulk_write_to_db("tests", None, [model])
    SerializedDagModel.write_dag(as_stored, bundle_name="tests")


def _read_run(dag: Any, dates: dict[str, Any]) -> Run:
    from airflow.models.dagrun import DagRun

    dag_run = max(DagRun.find(dag_id=dag.dag_id, **dates), key=lambda found: found.id)
    run = Run(state=str(dag_run.state))
    for ti in dag_run.get_task_instances():
        task = ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"
        run.states[task] = str(ti.state)
        run.tries[task] = ti.try_number
        run._instances[task] = ti
    return run


@pytest.fixture
def load_dags() -> Callable[[Path], dict[str, Any]]:
    """Load the DAGs of a file or a folder with Airflow's DagBag."""

    def load(path: Path) -> dict[str, Any]:
        try:
            from airflow.dag_processing.dagbag import DagBag
        except ImportError:  # before Airflow 3.2
            from airflow.models.dagbag import DagBag
        bag = DagBag(path)
        assert bag.import_errors == {}
        return dict(bag.dags)

    return load


@pytest.fixture
def load_dag(load_dags: Callable[[Path], dict[str, Any]]) -> Callable[[Path, str], Any]:
    """Load a DAG from its file."""
    return lambda file, dag_id: load_dags(file)[dag_id]


@pytest.fixture
def load_example(load_dags: Callable[[Path], dict[str, Any]]) -> Callable[[str], Any]:
    """Load a new copy of an example DAG, so that a test can change its tasks."""
    return lambda dag_id: load_dags(ROOT / "example_dags" / f"{dag_id}.py")[dag_id]


@pytest.fixture
def is_airflow_3() -> bool:
    """Whether Airflow 3 is installed."""
    return IS_AIRFLOW_3


@pytest.fixture
def media_folder() -> Path:
    """The folder of the example media."""
    return ROOT / "example_dags" / "media"
