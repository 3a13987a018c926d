"""Count the requests of 1,000 deferred sensors, in libraries of 10,000 and 100,000 files.

    python benchmarks/scale_waiting.py

Prints one row for each kind of sensor and size of the library: the requests of 50 polls on a triggerer, as an average
and a maximum, and those of the workers until all sensors are deferred. A file is stored before each poll.
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

SENSORS = 1000
POLLS = 50
ROWS = [(kind, files) for kind in ("by name", "by id") for files in (10_000, 100_000)]
MAX_AVERAGE = {10_000: 2.0, 100_000: 3.0}


def main() -> None:
    """Print the table; exit with 1 if a figure is above its bound."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        rows = [(kind, files, *count(kind, files)) for kind, files in ROWS]
    print("| 1,000 sensors | files | requests of a poll, average | max | requests until all are deferred |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind, files, polls, starting in rows:
        average = sum(polls) / len(polls)
        print(f"| {kind} | {files:,} | {average:.2f} | {max(polls)} | {starting or '-'} |")
        assert average <= MAX_AVERAGE[files], f"{kind}, {files} files: {average} requests a poll"
        assert max(polls) <= files / 1000 + 1, f"{kind}, {files} files: {max(polls)} requests in a poll"


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
            if files == ROWS[0][1]:
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
    from airflow_provider_media._polling.criteria import WaitCriteria
    from airflow_provider_media.sensors._wait import Wait
    from airflow_provider_media.triggers._policy import PollPolicy

    for key in missing:
        criteria = WaitCriteria(ids=(key,)) if by_id else WaitCriteria(names=(key,))
        wait = Wait(criteria, PollPolicy(), timeout=3600, needed_by=None, started=datetime.now(UTC))
        error = wait.poll(hook, newest_only=True)
        assert error is None, error


def requests_of(base: str) -> int:
    """Return the number of requests that the server recorded."""
    return len(call("GET", f"{base}/record")["requests"])


def call(method: str, url: str):
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as response:  # noqa: S310 - our own server
        return json.load(response)


if __name__ == "__main__":
    main()
