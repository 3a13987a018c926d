"""A campaign on Celery at the platform's rate limits, with one worker killed during the run: ``make test-celery``.

    python -m tests.scale.run [--files 200]

Starts Redis, PostgreSQL, Airflow 3.3 with the CeleryExecutor, two workers and a triggerer, and a sandbox that rejects
more than 1,000 requests per minute or 50 per second. Uploads the files with mapped tasks while a deferred sensor waits
for all of them, kills one worker with SIGKILL, sends, and cleans up. Prints figures. Exits 1 and prints the problems if
the run failed, a file is missing, duplicated or corrupt, too many requests were rejected, or only one worker ran tasks.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent

if TYPE_CHECKING:
    from tests.contract.helpers.sandbox_library import SandboxLibrary
    from tests.system.helpers.airflow_system import AirflowSystem, Run

WORKERS = ("first", "second")
KILLED = WORKERS[0]
SLOTS = 8
"""Slots of the pool of all tasks that send requests to the platform; two workers have as many."""

REQUESTS_PER_MINUTE, REQUESTS_PER_SECOND = 1000, 50
MINUTES = 30
MAX_REJECTED_SHARE = 0.05

SETTINGS = {
    "CELERY__OPERATION_TIMEOUT": "10",
    "CORE__EXECUTOR": "CeleryExecutor",
    "CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
    "CORE__PARALLELISM": "16",
    # Running tasks of a dead worker are detected by the heartbeat timeout, queued tasks by the queue timeout.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
}


@dataclass(frozen=True, kw_only=True)
class Kill:
    """The kill of a worker.

    :param at: Unix time in seconds.
    :param uploads: the map indexes of the interrupted uploads.
    """

    at: float
    uploads: set[int]


def main() -> int:
    """Run the campaign, check it and print the figures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200, help="number of files (default: %(default)s)")
    files = parser.parse_args().files
    os.environ["NO_PROXY"] = "127.0.0.1"
    from tests.scale.services import install_missing

    install_missing()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="media-scale-")))
        return _run(files, home, stack)


def _run(files: int, home: Path, stack: ExitStack) -> int:
    from airflow_provider_media.sandbox.server import run_in_thread
    from airflow_provider_media.sandbox.settings import SandboxSettings
    from tests.contract.helpers.sandbox_library import SandboxLibrary
    from tests.scale.services import postgresql, redis_server
    from tests.system.helpers.airflow_system import AirflowSystem

    contents = make_files(home / "files", files)
    size = sum(map(len, contents.values()))
    print(f"{files} files, {size / 2**20:.0f} MiB; starting Redis, PostgreSQL, Airflow, two workers ...", flush=True)
    limits = SandboxSettings(requests_per_minute=REQUESTS_PER_MINUTE, burst_per_second=REQUESTS_PER_SECOND)
    library = SandboxLibrary(stack.enter_context(run_in_thread(limits)))
    database = stack.enter_context(postgresql())
    settings = SETTINGS | {
        "CELERY__BROKER_URL": stack.enter_context(redis_server()),
        "CELERY__RESULT_BACKEND": f"db+{database}",  # without +psycopg2 SQLAlchemy selects another driver
        "DATABASE__SQL_ALCHEMY_CONN": database,
    }
    environment = {f"AIRFLOW__{name}": value for name, value in settings.items()}
    (home / "airflow").mkdir()
    system = AirflowSystem(home / "airflow", HERE / "dags", ["campaign"], environment=environment, workers=WORKERS)
    airflow = stack.enter_context(system)
    airflow.connect("media_default", library.sandbox.base_url, library.sandbox.api_key)
    airflow.call("POST", "pools", {"name": "media_library", "slots": SLOTS})
    run = airflow.trigger("campaign", folder=str(home / "files"), checked=str(home / "checked"))
    kill = _kill_a_worker(airflow, run, library, files)
    problems = _check_library(run, library, contents)
    (home / "checked").touch()
    problems += _check_run(run, library, files, kill)
    _print_figures(run, library, files, size, kill)
    print("\n".join(f"FAILED: {problem}" for problem in problems) or "All checks passed.")
    return 1 if problems else 0


def make_files(folder: Path, count: int) -> dict[str, bytes]:
    """Write images, animations and videos from a few KB to a few MB, the same in each run; return them by name."""
    from PIL import Image

    chance = random.Random(7)
    folder.mkdir()
    video = (HERE.parents[1] / "example_dags" / "media" / "pour.mp4").read_bytes()
    contents = {}
    for number in range(count):
        kind = ("jpg", "png", "gif", "mp4")[number % 4]
        side = chance.choice([40, 120, 300, 500, 900])
        noise = chance.randbytes(3 * side * side)
        if kind == "mp4":  # a padding box makes each file different
            content = video + (8 + len(noise)).to_bytes(4, "big") + b"free" + noise
        else:
            output = io.BytesIO()
            Image.frombytes("RGB", (side, side), noise).save(output, "JPEG" if kind == "jpg" else kind.upper())
            content = output.getvalue()
        contents[f"autumn {number:03}.{kind}"] = content
        (folder / f"{number:03}.{kind}").write_bytes(content)
    return contents


def _kill_a_worker(airflow: AirflowSystem, run: Run, library: SandboxLibrary, files: int) -> Kill:
    """Kill a worker when a quarter of the files is stored, both workers upload, and the sensor is deferred."""
    from tests.system.helpers.airflow_system import wait_for

    def running_uploads() -> list[dict[str, Any]]:
        return [ti for ti in run.instances("upload") if ti["state"] == "running"]

    def ready() -> list[dict[str, Any]] | None:
        if library.count("POST") < files // 4:
            return None
        running = running_uploads()
        both = {ti["hostname"] for ti in running} == set(WORKERS)
        return running if both and run.task("wait")["state"] == "deferred" else None

    running = wait_for(ready, "uploads on both workers, and the deferred sensor", 60 * MINUTES)
    airflow.kill_worker(KILLED)
    killed_at = time.time()
    victims = {ti["map_index"]: ti["id"] for ti in running if ti["hostname"] == KILLED}
    interrupted = {ti["map_index"] for ti in running_uploads() if ti["id"] == victims.get(ti["map_index"])}
    print(f"Killed the worker {KILLED!r} during {len(interrupted)} uploads.", flush=True)
    return Kill(at=killed_at, uploads=interrupted)


def _check_library(run: Run, library: SandboxLibrary, contents: dict[str, bytes]) -> list[str]:
    """Wait for the sends, then compare the library with the expected files."""
    from tests.contract.helpers.sandbox_library import sha256_of
    from tests.system.helpers.airflow_system import wait_for

    def over() -> bool:
        return run.state in {"success", "failed"} or bool(run.task("checked")["start_date"])

    wait_for(over, "the sends", 60 * MINUTES)
    stored = library.files()
    problems = [] if len(stored) == len(contents) else [f"{len(stored)} files, not {len(contents)}"]
    if unlike := Counter(media["name"] for media in stored) - Counter(list(contents)):
        problems.append(f"duplicated or unexpected: {', '.join(unlike)}")
    return problems + [
        f"{media['name']} differs from its file"
        for media in stored
        if sha256_of(media["url"]) != sha256_of(contents.get(media["name"], b""))
    ]


def _check_run(run: Run, library: SandboxLibrary, files: int, kill: Kill) -> list[str]:
    end = run.wait_for_end(60 * MINUTES)
    uploads = run.instances("upload")
    calls = library.journal()
    rejected = sum(call["status"] == HTTPStatus.TOO_MANY_REQUESTS for call in calls)
    workers = {ti["hostname"] for ti in uploads}
    retried = {ti["map_index"] for ti in uploads if ti["try_number"] > 1}
    checks = {
        f"the run ended as {end}": end == "success",
        f"{len(uploads)} uploads, not {files}": len(uploads) == files,
        f"only {', '.join(workers)} ran tasks": workers == set(WORKERS),
        "the killed worker had no running upload": bool(kill.uploads),
        f"not retried after the kill: uploads {sorted(kill.uploads - retried)}": kill.uploads <= retried,
        f"{rejected} of {len(calls)} requests were rejected": rejected <= MAX_REJECTED_SHARE * len(calls),
        f"{len(library.files())} files were not deleted": library.files() == [],
    }
    return [problem for problem, right in checks.items() if not right]


def _print_figures(run: Run, library: SandboxLibrary, files: int, size: int, kill: Kill) -> None:
    uploads = run.instances("upload")
    seconds = _span(uploads)
    calls = library.journal()
    per_second = Counter(int(call["started_at"]) for call in calls)
    per_minute = Counter(int(call["started_at"] // 60) for call in calls)
    kinds = Counter(_kind(call) for call in calls)
    back = [_timestamp(ti["end_date"]) for ti in uploads if ti["map_index"] in kill.uploads]
    rows = {
        "uploads": f"{files} files, {size / 2**20:.0f} MiB in {seconds:.0f} s: {60 * files / seconds:.0f} a minute",
        "by worker": ", ".join(f"{name} {times}" for name, times in Counter(ti["hostname"] for ti in uploads).items()),
        "attempts": ", ".join(f"{times} in {attempts}" for attempts, times in sorted(_attempts(uploads).items())),
        "killed uploads": f"{len(back)}, the last {max(back, default=kill.at) - kill.at:.0f} s after the kill",
        "send": f"{len(run.instances('send'))} tasks in {_span(run.instances('send')):.0f} s",
        "cleanup": f"{_span(run.instances('clean_up')):.0f} s",
        "whole run": f"{_span([ti for name in ('list_files', 'clean_up') for ti in run.instances(name)]):.0f} s",
        "requests": f"{len(calls)}: " + ", ".join(f"{times} {kind}" for kind, times in kinds.most_common()),
        "busiest": f"{max(per_second.values())} in a second, {max(per_minute.values())} in a minute",
    }
    for name, value in rows.items():
        print(f"{name:<24} {value}")


def _kind(call: dict[str, Any]) -> str:
    """Return a label of a request, such as "GET list 200"."""
    target = {"POST": "", "DELETE": ""}.get(call["method"], " list" if call["path"].endswith("/media") else " file")
    return f"{call['method']}{target} {call['status']}"


def _attempts(instances: list[dict[str, Any]]) -> Counter[int]:
    return Counter(ti["try_number"] for ti in instances)


def _span(instances: list[dict[str, Any]]) -> float:
    starts = [_timestamp(ti["start_date"]) for ti in instances if ti["start_date"]]
    return max(_timestamp(ti["end_date"]) for ti in instances if ti["end_date"]) - min(starts)


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    sys.exit(main())
