"""Measure how close a sync comes to an API key's rate limits, and the cost of a transient 502 for an upload.

    make bench-limits        # or: python benchmarks/limits.py --files 1500 --per-minute 1000 --per-second 50

Prints two tables. First: a folder of small files is synced to the sandbox with the limits of a production key; the
ideal time results from these limits alone. Second: the sandbox returns the documented 502 once for an upload.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

KEY = "sandbox-key"
PNG = b"\x89PNG\r\n\x1a\n"


def main() -> None:
    """Run both measurements and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1500)
    parser.add_argument("--per-minute", type=int, default=1000)
    parser.add_argument("--per-second", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 8])
    arguments = parser.parse_args()
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    print("| workers | files | seconds | ideal | to ideal | requests | 429s | share |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for workers in arguments.workers:
        measure_sync(arguments, workers)
    print()
    print("| upload | seconds | POSTs |")
    print("| --- | ---: | ---: |")
    for faults in (0, 1):
        measure_upload(faults)


def measure_sync(arguments, workers):
    """Sync a folder under the limits."""
    limits = ["--requests-per-minute", str(arguments.per_minute), "--burst-per-second", str(arguments.per_second)]
    with tempfile.TemporaryDirectory() as place, sandbox(*limits) as base:
        folder = Path(place) / "media"
        folder.mkdir()
        for number in range(arguments.files):
            (folder / f"{number:05}.png").write_bytes(PNG + str(number).encode())
        from airflow_provider_media.operators.media import MediaSyncOperator

        output = {"output": "reference", "manifest_path": f"{place}/manifest.json"}
        operator = MediaSyncOperator(task_id="sync", source=str(folder), max_workers=workers, **output)
        started = time.perf_counter()
        operator.execute({})
        seconds = time.perf_counter() - started
        statuses = [request["status"] for request in control(base, "requests")]
    full_minutes, rest = divmod(arguments.files, arguments.per_minute)
    ideal = 60 * full_minutes + rest / arguments.per_second
    rejected = statuses.count(HTTPStatus.TOO_MANY_REQUESTS)
    print(
        f"| {workers} | {arguments.files} | {seconds:.1f} | {ideal:.1f} | {seconds / ideal:.3f} | {len(statuses)} |"
        f" {rejected} | {rejected / len(statuses):.2%} |",
        flush=True,
    )


def measure_upload(faults):
    """Upload one file; the sandbox returns 502 for the first ``faults`` POSTs."""
    with tempfile.TemporaryDirectory() as place, sandbox() as base:
        path = Path(place) / "banner.png"
        path.write_bytes(PNG)
        from airflow_provider_media.hooks.media import MediaHook

        hook = MediaHook()
        hook.list_page()
        for _ in range(faults):
            control(base, "faults", {"fault": "status", "method": "POST", "status": 502})
        started = time.perf_counter()
        hook.upload(path)
        seconds = time.perf_counter() - started
        posts = sum(request["method"] == "POST" for request in control(base, "requests"))
        hook.close()
    label = "one 502" if faults else "no fault"
    print(f"| {label} | {seconds:.2f} | {posts} |", flush=True)


@contextmanager
def sandbox(*options):
    """Start a sandbox and define a connection to it; yield its URL."""
    with tempfile.TemporaryDirectory() as library:
        command = [
            sys.executable,
            "-m",
            "airflow_provider_media.sandbox",
            "--port",
            "0",
            "--data-dir",
            library,
            *options,
        ]
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        try:
            base = next(word for word in process.stdout.readline().split() if word.startswith("http"))
            connection = {"conn_type": "media", "host": base, "password": KEY}
            os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps(connection)
            yield base
        finally:
            process.terminate()
            process.wait()


def control(base, path, value=None):
    """Send a request to the sandbox's control routes."""
    body = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(f"{base}/_sandbox/{path}", body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310 - our own server
        return json.load(response)


if __name__ == "__main__":
    main()
