"""Count the requests of 1,000 deferred sensors: part of ``make bench-scale``.

The rows are the requests of 50 polls on a triggerer, as an average and a maximum, and those of the workers until all
sensors are deferred. A file is stored before each poll.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SENSORS = 1000
POLLS = 50
KINDS = ("by name", "by id")
SIZES = (10_000, 100_000)
STARTING_SIZE = 10_000
"""The size of the library in which the requests of the workers are counted too."""


def measure_sensors(_sizes: list[int]) -> Iterator[tuple[str, str, str]]:
    """Yield the requests of a poll, and those until all sensors are deferred."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        for kind in KINDS:
            for files in SIZES:
                polls, starting = count(kind, files)
                average = sum(polls) / len(polls)
                work = f"requests of a poll, {SENSORS:,} deferred sensors {kind}, {files:,} files"
                yield work, f"{average:.2f} on average (at most {max(polls)})", f"{-(-files // 1000):,}"
                if starting:
                    work = f"requests until {SENSORS:,} sensors {kind} are deferred, {files:,} files"
                    yield work, f"{starting:,}", f"{SENSORS * -(-files // 1000):,}"


def count(kind: str, files: int) -> tuple[list[int], int]:
    """Return the requests of each poll, and those until all sensors are deferred (for 10,000 files)."""
    from airflow_provider_media._polling.criteria import LookupResult
    from airflow_provider_media._polling.lookup import SharedLookup
    from airflow_provider_media.hooks.media import MediaHook

    command = [sys.executable, str(Path(__file__).with_name("library_server.py")), str(files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            base = server.stdout.readline().strip()
            os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps({"conn_type": "media", "host": base, "password": "k"})
            hook = MediaHook()
            missing = [f"missing-{n}" if kind == "by name" else str(10**9 + n) for n in range(SENSORS)]
            by_id = kind == "by id"
            starting = 0
            if files == STARTING_SIZE:
                defer_all(hook, missing, by_id=by_id)
                starting = requests_of(base)
            shared, counts = SharedLookup(), []
            for _ in range(POLLS):
                call("POST", f"{base}/appear?count=1&seconds=0")
                before = requests_of(base)
                hook.run_flow(shared.run(missing if by_id else [], [] if by_id else missing, result=LookupResult()))
                counts.append(requests_of(base) - before)
            return counts, starting + counts[0] if starting else 0
        finally:
            server.terminate()


def defer_all(hook, missing, *, by_id: bool) -> None:
    """Poll in each sensor's worker, as a deferrable sensor does before it defers."""
    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._polling.criteria import WaitCheckpoint, WaitCriteria
    from airflow_provider_media.sensors._wait import Wait
    from airflow_provider_media.triggers._poller import PollPolicy

    for key in missing:
        criteria = WaitCriteria(ids=(key,)) if by_id else WaitCriteria(names=(key,))
        state = TaskState({}, WaitCheckpoint, task_id="wait")
        wait = Wait(criteria=criteria, policy=PollPolicy(), state=state, timeout=3600, started=datetime.now(UTC))
        error = wait.poll(hook, newest_only=True)
        assert error is None, error


def requests_of(base: str) -> int:
    """Return the number of requests that the server recorded."""
    return len(call("GET", f"{base}/record")["requests"])


def call(method: str, url: str):
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as response:  # noqa: S310 - our own server
        return json.load(response)
