"""The API key stays in the connection: no log, XCom or rendered template holds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.helpers.warm_python import run_airflow

API_KEY = "d0-n0t-t3ll-4ny0ne-7f3a2b"
ROOT = Path(__file__).parent.parent.parent


def test_key_occurs_nowhere_after_a_run(connect: Any) -> None:
    from airflow_provider_media.sandbox.server import run_in_thread
    from airflow_provider_media.sandbox.settings import SandboxSettings

    home = Path(os.environ["AIRFLOW_HOME"])
    with run_in_thread(SandboxSettings(api_key=API_KEY)) as sandbox:
        connect(sandbox.base_url, API_KEY)
        done = run_airflow(
            *("dags", "test", "example_media_campaign", "2026-07-01"),
            # Not DEBUG: there Airflow 3's "dags test" writes the request to mask the key to its output, key and all.
            env={**os.environ, "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags")},
        )

    lines = (done.stdout + done.stderr).splitlines(keepends=True)
    # Airflow 3.0's "dags test" writes, at every level, the request to mask the key, key and all.
    output = "".join(line for line in lines if "msg=MaskSecret(" not in line)
    assert done.returncode == 0, output
    assert "summer-week-banner-2026-07-01" in output
    assert API_KEY not in output
    database = b"".join(path.read_bytes() for path in home.glob("airflow.db*"))  # and its write-ahead log
    assert b"summer-week-banner-2026-07-01" in database
    holders = [path for path in home.rglob("*") if path.is_file() and API_KEY.encode() in path.read_bytes()]
    assert holders == []
