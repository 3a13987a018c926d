"""Upload many files under seeded random faults, then count the files and compare their checksums.

    python tests/faults/run.py [--uploads 1000] [--seed 7] [--threads 8]

At least 30 in 100 uploads meet a fault, each kind at least 20 times in a run of 1000, stored-then-lost and stored-late
among them. Every upload has a name of its own (one writer per name), and the sandbox stores within the settling time,
so the promise is: exactly one whole file for each. Exits 1, naming what is wrong, when it does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import local
from typing import Any

SETTLE_SECONDS = 3.0
LATE_SECONDS = 0.5
FAULTS_IN_100 = 48
PNG_START = b"\x89PNG\r\n\x1a\n"


def _soon() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)


def _kinds() -> dict[str, dict[str, Any]]:
    """Describe each kind of fault as the sandbox wants it."""
    too_many = {"fault": "status", "status": 429}
    plain_429 = {"status": 429, "error": "Too Many Requests", "message": "slow down"}
    return {
        "429 Retry-After seconds": {**too_many, "headers": {"Retry-After": "0.2"}, "body": plain_429},
        "429 Retry-After date": {**too_many, "headers": {"Retry-After": _soon()}, "body": plain_429},
        "429 retryAfter in the body": {**too_many, "body": {**plain_429, "retryAfter": 0.2}},
        "429 without a wait": {**too_many, "body": plain_429},
        "500": {"fault": "status", "status": 500},
        "502": {"fault": "status", "status": 502},
        "503": {"fault": "status", "status": 503},
        "504": {"fault": "status", "status": 504},
        "reset before the body": {"fault": "reset_before_body"},
        "reset in the body": {"fault": "reset_mid_body", "after_bytes": 2000},
        "reset before the answer": {"fault": "reset_before_answer"},
        "no answer in time": {"fault": "slow", "delay_seconds": 1.6},
        "stored, answer lost": {"fault": "store_then_drop"},
        "stored late": {"fault": "store_late", "delay_seconds": LATE_SECONDS},
        "answer cut off": {"fault": "cut_answer"},
    }


def main() -> int:
    """Run, check, print one closing line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=8)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")  # a thousand uploads say a lot
        return run(arguments.uploads, arguments.seed, arguments.threads)


def run(uploads: int, seed: int, threads: int) -> int:
    """Upload under faults and check the outcome."""
    import requests

    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.sandbox.server import run_in_thread

    chance = random.Random(seed)
    kinds = list(_kinds())
    # Each kind equally often, then by chance, in an order by chance.
    struck = max(len(kinds), uploads * FAULTS_IN_100 // 100)
    plan: list[str | None] = [kinds[number % len(kinds)] for number in range(struck)]
    plan += [None] * (uploads - struck)
    chance.shuffle(plan)
    contents = [PNG_START + chance.randbytes(chance.randrange(3_000, 60_000)) for _ in range(uploads)]
    started = time.monotonic()
    with run_in_thread() as sandbox:
        extra = {"timeout": 1.0, "settle_seconds": SETTLE_SECONDS, "max_attempts": 8}
        connection = {"conn_type": "media", "host": sandbox.base_url, "password": sandbox.api_key, "extra": extra}
        os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps(connection)
        control, own = requests.Session(), local()

        def upload(number: int) -> int | str:
            kind = plan[number]
            if kind:
                fault = {**_kinds()[kind], "method": "POST"}
                control.post(f"{sandbox.base_url}/_sandbox/faults", json=fault).raise_for_status()
            if not hasattr(own, "hook"):
                own.hook = MediaHook()
            return own.hook.upload(io.BytesIO(contents[number]), name=f"file {number}").media.id

        with ThreadPoolExecutor(threads) as pool:
            ids = list(pool.map(upload, range(uploads)))
        pending = control.get(f"{sandbox.base_url}/_sandbox/faults").json()
        time.sleep(0.4 if any("late" in (kind or "") for kind in plan) else 0)  # what is late would be here by now
        problems = check(MediaHook(), contents, ids) + ([f"{len(pending)} faults struck nothing"] if pending else [])
    met = Counter(kind for kind in plan if kind)
    seconds = time.monotonic() - started
    for problem in problems[:20]:
        print("WRONG:", problem)
    print(", ".join(f"{kind}: {times}" for kind, times in met.items()))
    print(
        f"{uploads} uploads, {met.total()} faults of {len(met)} kinds (each at least {min(met.values())} times), seed"
        f" {seed}: {uploads} files expected, {len(problems)} things wrong, {seconds:.0f} s"
    )
    return 1 if problems else 0


def check(hook: Any, contents: list[bytes], ids: list[int | str]) -> list[str]:
    """Compare the library with what was sent; return what is wrong."""
    import requests

    session = requests.Session()
    library = list(hook.iter_media())
    problems = [f"{len(library)} files instead of {len(contents)}"] if len(library) != len(contents) else []
    by_id = {str(media.id): media for media in library}
    for number, (content, media_id) in enumerate(zip(contents, ids, strict=True)):
        media = by_id.get(str(media_id))
        if media is None or media.name != f"file {number}":
            problems.append(f"the id {media_id} of file {number} is that of {media}")
            continue
        stored = session.get(media.url).content
        if hashlib.sha256(stored).digest() != hashlib.sha256(content).digest():
            problems.append(f"file {number} ({media_id}) differs: {len(stored)} of {len(content)} bytes")
    return problems


if __name__ == "__main__":
    sys.exit(main())
