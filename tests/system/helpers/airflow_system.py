"""A complete Airflow 3.3 on this machine: API server, scheduler, DAG processor, triggerer, optionally Celery workers.

It does not use `airflow standalone`, which listens on all addresses and leaves child processes running when stopped.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import psutil
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HEARTBEAT_TIMEOUT_SECONDS = 8
"""Heartbeat timeout of tasks and triggerers, which send a heartbeat every second."""

_LOCAL_SETTINGS = """
import os
import sys

def worker_name():
    return os.environ.get("WORKER_NAME", "127.0.0.1")

if {"scheduler", "worker"} & set(sys.argv):
    import airflow.sdk.execution_time.task_runner
    import airflow_provider_media._transports.sync
    import airflow_provider_media.hooks.media
    import airflow_provider_media.sensors.media
"""
"""Imports in the scheduler and the workers, so that the tasks, which are forked from them, start faster."""

# Without the log server, which would listen on all addresses.
_WORKER = ("celery", "worker", "--skip-serve-logs", "--concurrency", "4", "--celery-hostname")

_POLL_SECONDS = 0.2
_WAIT_SECONDS = 120
_REQUEST_SECONDS = 90
_START_SECONDS = 300  # with two workers, on a busy machine
_STOP_SECONDS = 20
_LOG_TAIL_BYTES = 3000


def wait_for(condition: Callable[[], Any], description: str, seconds: float = _WAIT_SECONDS) -> Any:
    """Poll until the condition returns a true value, and return that value.

    :raises TimeoutError: the condition was not met; the message contains the description.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Timed out after {seconds:g} s waiting for {description}.")
        time.sleep(_POLL_SECONDS)
    return value


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class AirflowSystem:
    """A running Airflow; a context manager that starts and stops it.

    :param home: an empty folder for the database and the logs.
    :param dags: the folder of the DAG files; all DAGs in it are active.
    :param dag_ids: the DAGs to wait for at the start.
    :param passwords: passwords by role, which is also the user's name; if empty, every user is admin.
    :param environment: additional environment variables, such as ``AIRFLOW__CORE__TEST_CONNECTION``.
    :param workers: the names of the Celery workers; empty for the LocalExecutor.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        dag_ids: list[str],
        *,
        passwords: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
        workers: Sequence[str] = (),
    ) -> None:
        self._home = home
        self._dag_ids = dag_ids
        self.database = home / "airflow.db"
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._days = count()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxies
        self._passwords = passwords or {}
        self._environment = _environment(home, dags, self.url) | (environment or {})
        self._workers = {name: home / f"worker-{name}.log" for name in workers}

    def __enter__(self) -> Self:
        (self._home / "config").mkdir()
        if self._passwords:
            passwords = self._home / "passwords.json"
            passwords.write_text(json.dumps(self._passwords))
            self._environment |= {
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{role}:{role}" for role in self._passwords),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            }
        (self._home / "config" / "airflow_local_settings.py").write_text(_LOCAL_SETTINGS)
        try:
            self._create_database()
            self._start("api-server", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1")
            self._start("scheduler", "--skip-serve-logs")  # the log server would listen on all addresses
            self._start("dag-processor")
            for name, log in self._workers.items():
                self._start(*_WORKER, f"{name}@127.0.0.1", log=log, WORKER_NAME=name)
            self.start_triggerer()
            wait_for(self._is_healthy, "Airflow", _START_SECONDS)
            self._session.headers["Authorization"] = f"Bearer {self.token('admin')}"
            wait_for(lambda: set(self._dag_ids) <= self._known_dags(), f"the DAGs {self._dag_ids}")
        except BaseException as error:
            self._end()
            error.add_note(self._log_tails())
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def call(self, method: str, path: str, value: Any = None, **params: Any) -> Any:
        """Call the public REST API; return None for 404."""
        for delay in (1, 2, 4, 0):
            response = self._session.request(
                method, f"{self.url}/api/v2/{path}", json=value, params=params, timeout=_REQUEST_SECONDS
            )
            # SQLite fails and rolls back when all of Airflow writes at the same time on a busy machine.
            if not (
                response.status_code == requests.codes.server_error and "Database error" in response.text and delay
            ):
                break
            time.sleep(delay)
        if response.status_code == requests.codes.not_found:
            return None
        if not response.ok:
            raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json() if response.content else None

    def start_triggerer(self) -> None:
        """Start the triggerer, initially or after :meth:`kill_triggerer`."""
        self._start("triggerer", "--skip-serve-logs")

    def kill_triggerer(self) -> None:
        """Kill the triggerer and its child processes; there is no other triggerer."""
        self._kill("triggerer")

    def kill_worker(self, name: str) -> None:
        """Kill a Celery worker and its tasks."""
        self._kill(f"{name}@127.0.0.1")

    def runs(self, dag_id: str) -> list[Run]:
        """Return all runs of a DAG, oldest first."""
        runs = self.call("GET", f"dags/{dag_id}/dagRuns", order_by="id", limit=100)["dag_runs"]
        return [Run(self, dag_id, run["dag_run_id"]) for run in runs]

    def asset_state(self, name: str) -> dict[str, Any]:
        """Return the asset state store's entries of an asset."""
        (asset,) = [asset for asset in self.call("GET", "assets")["assets"] if asset["name"] == name]
        entries = self.call("GET", f"assets/{asset['id']}/state-store")
        return {entry["key"]: entry["value"] for entry in entries["asset_state_store"]}

    def connect(self, conn_id: str, host: str, password: str, **extra: Any) -> None:
        """Define a connection of the type media."""
        connection = {"connection_id": conn_id, "conn_type": "media", "host": host, "password": password}
        self.call("POST", "connections", {**connection, "extra": json.dumps(extra) if extra else None})

    def trigger(self, dag_id: str, **conf: Any) -> Run:
        """Start a run with a new logical date, because templates need it for ``ds``."""
        day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=next(self._days))
        run = self.call("POST", f"dags/{dag_id}/dagRuns", {"logical_date": day.isoformat(), "conf": conf})
        return Run(self, dag_id, run["dag_run_id"])

    def _start(self, *command: str, log: Path | None = None, **environment: str) -> None:
        with (log or self._home / f"{command[0]}.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                cwd=self._home, env=self._environment | environment, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)

    def _create_database(self) -> None:
        self._start("db", "migrate")
        if self._processes.pop().wait():
            raise RuntimeError("Could not create Airflow's database.")

    def _kill(self, argument: str) -> None:
        """Kill the process that was started with this argument, and its child processes."""
        (process,) = [process for process in self._processes if argument in process.args]
        self._processes.remove(process)
        _signal(_members({process.pid}), signal.SIGKILL)
        process.wait()

    def _is_healthy(self) -> bool:
        for process in self._processes:
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(map(str, process.args))} ended.")
        try:
            health = self.call("GET", "monitor/health")
        except requests.ConnectionError:
            return False
        parts = [health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor", "triggerer")]
        return all(parts) and all("ready." in log.read_text() for log in self._workers.values())

    def token(self, user: str) -> str:
        """Return an API token of a user."""
        if self._passwords:
            login = {"username": user, "password": self._passwords[user]}
            response = self._session.post(f"{self.url}/auth/token", json=login, timeout=_REQUEST_SECONDS)
        else:
            response = self._session.get(f"{self.url}/auth/token", timeout=_REQUEST_SECONDS)  # every user is admin
        response.raise_for_status()
        return str(response.json()["access_token"])

    def _known_dags(self) -> set[str]:
        if errors := self.call("GET", "importErrors")["import_errors"]:
            raise RuntimeError(f"Could not import a DAG file:\n{errors[0]['stack_trace']}")
        return {dag["dag_id"] for dag in self.call("GET", "dags")["dags"]}

    def _log_tails(self) -> str:
        """Return the end of each process's log."""
        tails = [f"== {path.name}\n{path.read_text()[-_LOG_TAIL_BYTES:]}" for path in self._home.glob("*.log")]
        return "\n".join(tails)

    def _end(self) -> None:
        """Stop all processes and their children; the API server last, because the others use it until they end.

        Tasks have separate process groups but no separate sessions. The session leaders are reaped at the end, so that
        their ids are not reused before.
        """
        for group in (self._processes[1:], self._processes[:1]):
            leaders = {process.pid for process in group}
            _signal(leaders, signal.SIGTERM)
            with suppress(TimeoutError):
                wait_for(lambda leaders=leaders: not _members(leaders), "the end of Airflow", _STOP_SECONDS)
            _signal(_members(leaders), signal.SIGKILL)
        for process in self._processes:
            process.wait()


class Run:
    """One DAG run.

    :param airflow: the Airflow that runs it.
    """

    def __init__(self, airflow: AirflowSystem, dag_id: str, run_id: str) -> None:
        self._airflow = airflow
        self._dag_id = dag_id
        self._run_id = run_id
        self._path = f"dags/{dag_id}/dagRuns/{run_id}"

    @property
    def state(self) -> str:
        """The run's state."""
        return str(self._airflow.call("GET", self._path)["state"])

    def task(self, task_id: str) -> dict[str, Any]:
        """Return a task instance: ``state``, ``try_number``, ``pid`` and more."""
        instance: dict[str, Any] = self._airflow.call("GET", f"{self._path}/taskInstances/{task_id}")
        return instance

    def wait_for_end(self, seconds: float = _WAIT_SECONDS) -> str:
        """Wait until the run has ended; return its state.

        :raises TimeoutError: the run did not end in time.
        """
        end = wait_for(lambda: (state := self.state) in {"success", "failed"} and state, f"the end of {self}", seconds)
        return str(end)

    def count(self, state: str) -> int:
        """Count the task instances in a state."""
        return int(self._airflow.call("GET", f"{self._path}/taskInstances", state=state, limit=1)["total_entries"])

    def xcom(self, task_id: str, key: str = "return_value", *, map_index: int = -1) -> Any:
        """Return an XCom of a task or a mapped task instance; None if there is none."""
        path = f"{self._path}/taskInstances/{task_id}/xcomEntries/{key}"
        entry = self._airflow.call("GET", path, map_index=map_index)
        return entry and entry["value"]

    def instances(self, task_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a task."""
        path, params = f"{self._path}/taskInstances", {"task_id": task_id, "limit": 100}
        found: list[dict[str, Any]] = []
        while page := self._airflow.call("GET", path, **params, offset=len(found))["task_instances"]:
            found += page
        return found

    def task_log(self, task_id: str, try_number: int = 1) -> str:
        """Return a task's log as lines of JSON."""
        path = f"{self._path}/taskInstances/{task_id}/logs/{try_number}"
        lines = self._airflow.call("GET", path, full_content=True)["content"]
        return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)

    def task_state(self, task_id: str) -> dict[str, Any]:
        """Return the task state store's entries of a task."""
        entries = self._airflow.call("GET", f"{self._path}/taskInstances/{task_id}/state-store")
        return {entry["key"]: entry["value"] for entry in entries["task_state_store"]}

    def events(self, event: str) -> int:
        """Return the number of audit log entries with this name."""
        params = {"dag_id": self._dag_id, "run_id": self._run_id, "event": event}
        return int(self._airflow.call("GET", "eventLogs", **params)["total_entries"])

    def mark(self, task_id: str, state: str) -> None:
        """Set a task's state, like the UI."""
        self._airflow.call("PATCH", f"{self._path}/taskInstances/{task_id}", {"new_state": state})

    def clear(self, task_id: str) -> None:
        """Clear a task, like the UI."""
        body = {"dag_run_id": self._run_id, "task_ids": [task_id], "only_failed": False, "dry_run": False}
        self._airflow.call("POST", f"dags/{self._dag_id}/clearTaskInstances", body)

    def __str__(self) -> str:
        return f"{self._dag_id} {self._run_id}"


def _members(leaders: set[int]) -> set[int]:
    """Return the running processes of these leaders' sessions."""
    members = set()
    for pid in psutil.pids():
        with suppress(ProcessLookupError):
            if os.getsid(pid) in leaders and is_alive(pid):
                members.add(pid)
    return members


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _environment(home: Path, dags: Path, url: str) -> dict[str, str]:
    """Return the environment of Airflow's processes, without the settings of another Airflow."""
    settings = {
        "API__BASE_URL": url,
        "API__SECRET_KEY": secrets.token_hex(24),
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__HOSTNAME_CALLABLE": "airflow_local_settings.worker_name",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "4",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # Tasks of a killed worker are detected by the missing heartbeat; Airflow's default is five minutes.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT_SECONDS),
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
        "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(HEARTBEAT_TIMEOUT_SECONDS),
        # The first task waits until the API server has built its routes for workers, which is slow on a busy machine.
        "WORKERS__EXECUTION_API_TIMEOUT": str(_REQUEST_SECONDS),
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }
    own = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    return {
        **own,
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        "AIRFLOW_HOME": str(home),
        "NO_PROXY": "127.0.0.1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
