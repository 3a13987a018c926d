"""Upload a folder to the library with one peer; print the measurements as JSON.

    python benchmarks/sync_peers.py PEER BASE_URL FOLDER

Each run is a separate process, so that memory and imports of one peer do not affect another. Imports and one warm-up
request are not timed. Airflow logs errors only, so that terminal output does not affect the times.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

PATH = "/partner-gateway/v1/media"
KEY = "sandbox-key"


def sync(base, folder):
    """Sync the folder with eight workers; the warm-up is a plan of one file."""
    connect(base)
    from airflow_provider_media.operators.media import MediaSyncOperator

    def task(**arguments):
        MediaSyncOperator(
            task_id="sync", source=folder, output="reference", manifest_path=f"{folder}.json", **arguments
        ).execute({})

    first = min(entry.name for entry in os.scandir(folder))
    task(pattern=first, dry_run=True)
    return task


def http_hook(base, folder):
    """Upload the files one after the other with Airflow's HttpHook, without checking for existing files."""
    from airflow.providers.http.hooks.http import HttpHook

    parts = urlsplit(base)
    os.environ["AIRFLOW_CONN_HTTP_DEFAULT"] = json.dumps(
        {"conn_type": "http", "schema": parts.scheme, "host": parts.hostname, "port": parts.port}
    )
    headers = {"X-Api-Key": KEY}
    HttpHook(method="GET").run(PATH, headers=headers)
    post = HttpHook(method="POST")

    def run():
        for path in sorted(Path(folder).iterdir()):
            with path.open("rb") as stream:
                files = {"file": (path.name, stream, "image/png")}
                post.run(PATH, data={"name": path.name}, headers=headers, files=files)

    return run


def mapped(base, folder):
    """Run a DAG with one mapped upload for each file, sequentially in this process; only the tasks are timed."""
    connect(base)
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(dir=Path(folder).parent)
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    from airflow.sdk import DAG

    from airflow_provider_media.operators.media import MediaUploadOperator

    with DAG("bench_mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        paths = sorted(str(path) for path in Path(folder).iterdir())
        MediaUploadOperator.partial(task_id="upload").expand(file=paths)
    register(dag)

    def run():
        instances = dag.test().get_task_instances()
        assert len(instances) == len(paths)
        assert all(ti.state == "success" for ti in instances)
        return (max(ti.end_date for ti in instances) - min(ti.start_date for ti in instances)).total_seconds()

    return run


def register(dag):
    """Write the DAG to the database, like Airflow's DAG processor."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="bench"))
    SerializedDAG.bulk_write_to_db("bench", None, [dag])
    SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="bench")


def connect(base):
    os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps({"conn_type": "media", "host": base, "password": KEY})


def measure(peer, base, folder):
    """Run once; return seconds and the growth of resident memory (MiB)."""
    run = PEERS[peer](base, folder)
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak of resident memory
    before, started = resident("VmRSS"), time.perf_counter()
    seconds = run()
    if seconds is None:
        seconds = time.perf_counter() - started
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    return {"seconds": seconds, "memory": (resident("VmHWM") - before) / 1024, "cpu": cpu.ru_utime + cpu.ru_stime}


def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


PEERS = {"MediaSyncOperator": sync, "HttpHook in a loop": http_hook, "mapped uploads": mapped}

if __name__ == "__main__":
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"  # before a peer imports Airflow
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    sys.stdout.write("\n" + json.dumps(measure(*sys.argv[1:])) + "\n")
