"""Upload many files under seeded random faults, then count the files and compare their checksums.

    python -m tests.faults.chaos [--uploads 1000] [--seed 7] [--threads 8]

Half of them go over HTTP, half over TLS, each to a library of its own. At least 30 in 100 uploads meet a fault, each
kind at least 20 times in a run of 1000, stored-then-lost and stored-late among them. Every upload has a name of its own
(one writer per name), and the sandbox stores within the settling time, so the promise is: exactly one whole file for
each. Exits 1, naming what is wrong, when it does not hold.
"""

from __future__ import annotations

import argparse
import gc
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
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
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
        return run(arguments.uploads, arguments.seed, arguments.threads, Path(home))


class Library:
    """One sandbox, the hooks of the threads that upload into it, and a look at it from outside.

    :param sandbox: the running sandbox.
    :param bundle: the certificates to trust.
    """

    def __init__(self, sandbox: Any, bundle: Path) -> None:
        import requests

        self._control = f"{sandbox.base_url}/_sandbox/faults"
        self._conn_id = f"media_{sandbox.port}"
        self._own = local()
        self._hooks: list[Any] = []
        self.session = requests.Session()
        self.session.trust_env = False  # a bundle of the environment would go before the next line
        self.session.verify = str(bundle)
        extra = {"timeout": 1.0, "settle_seconds": SETTLE_SECONDS, "max_attempts": 8, "verify": str(bundle)}
        connection = {"conn_type": "media", "host": sandbox.base_url, "password": sandbox.api_key, "extra": extra}
        os.environ[f"AIRFLOW_CONN_{self._conn_id.upper()}"] = json.dumps(connection)

    @property
    def hook(self) -> Any:
        """This thread's hook."""
        from airflow_provider_media.hooks.media import MediaHook

        if not hasattr(self._own, "hook"):
            self._own.hook = MediaHook(self._conn_id)
            self._hooks.append(self._own.hook)
        return self._own.hook

    def close(self) -> None:
        """Leave the sandbox, which waits for its clients when it stops."""
        self.session.close()
        for hook in self._hooks:
            hook.get_conn().close()
        gc.collect()  # urllib3 closes a pool's connections when the pool is collected

    def fail(self, kind: str) -> None:
        """Let a fault strike the next upload."""
        self.session.post(self._control, json={**_kinds()[kind], "method": "POST"}).raise_for_status()

    def pending(self) -> list[Any]:
        """Tell the faults that struck nothing."""
        faults: list[Any] = self.session.get(self._control).json()
        return faults


def run(uploads: int, seed: int, threads: int, folder: Path) -> int:
    """Upload under faults and check the outcome."""
    from airflow_provider_media.sandbox.server import run_in_thread
    from airflow_provider_media.sandbox.settings import SandboxSettings
    from tests.contract.helpers.certificates import write_certificate

    chance = random.Random(seed)
    kinds = list(_kinds())
    # Each kind equally often, then by chance, in an order by chance.
    struck = max(len(kinds), uploads * FAULTS_IN_100 // 100)
    plan: list[str | None] = [kinds[number % len(kinds)] for number in range(struck)]
    plan += [None] * (uploads - struck)
    chance.shuffle(plan)
    contents = [PNG_START + chance.randbytes(chance.randrange(3_000, 60_000)) for _ in range(uploads)]
    bundle, key = write_certificate(folder)
    started = time.monotonic()
    with ExitStack() as running:
        settings = SandboxSettings(), SandboxSettings(tls_certificate=bundle, tls_key=key)
        libraries = [Library(running.enter_context(run_in_thread(one)), bundle) for one in settings]
        for library in libraries:
            running.callback(library.close)

        def upload(number: int) -> int | str:
            library, kind = libraries[number % 2], plan[number]
            if kind:
                library.fail(kind)
            media_id: int | str = library.hook.upload(io.BytesIO(contents[number]), name=f"file {number}").media.id
            return media_id

        with ThreadPoolExecutor(threads) as pool:
            ids = list(pool.map(upload, range(uploads)))
        pending = [fault for library in libraries for fault in library.pending()]
        time.sleep(0.4 if any("late" in (kind or "") for kind in plan) else 0)  # what is late would be here by now
        problems = [f"{len(pending)} faults struck nothing"] if pending else []
        for protocol, library in enumerate(libraries):
            problems += check(library, {number: contents[number] for number in range(protocol, uploads, 2)}, ids)
    met = Counter(kind for kind in plan if kind)
    seconds = time.monotonic() - started
    for problem in problems[:20]:
        print("WRONG:", problem)
    print(", ".join(f"{kind}: {times}" for kind, times in met.items()))
    print(
        f"{uploads} uploads, {met.total()} faults of {len(met)} kinds (each at least {min(met.values())} times), seed"
        f" {seed}: {uploads} files expected, {len(problems)} problems, {seconds:.0f} s"
    )
    return 1 if problems else 0


def check(library: Library, contents: dict[int, bytes], ids: list[int | str]) -> list[str]:
    """Compare a library with what was sent to it; return what is wrong."""
    stored = list(library.hook.iter_media())
    problems = [f"{len(stored)} files instead of {len(contents)}"] if len(stored) != len(contents) else []
    by_id = {str(media.id): media for media in stored}
    for number, content in contents.items():
        media = by_id.get(str(ids[number]))
        if media is None or media.name != f"file {number}":
            problems.append(f"the id {ids[number]} of file {number} is that of {media}")
            continue
        served = library.session.get(media.url).content
        if hashlib.sha256(served).digest() != hashlib.sha256(content).digest():
            problems.append(f"file {number} ({media.id}) differs: {len(served)} of {len(content)} bytes")
    return problems


if __name__ == "__main__":
    sys.exit(main())
