"""Give Airflow a home of its own before it is imported, and take the plugin of the media provider."""

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest_plugins = ["airflow_provider_media.testing"]

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="spring-campaign-")
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).parents[1] / "dags")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["HTTP_PROXY"] = "http://127.0.0.1:9"  # as on a company's machine; the sandbox is reached past it


@pytest.fixture(scope="session", autouse=True)
def airflow_database():
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The campaign's folder, with a banner."""
    (tmp_path / "banner.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    monkeypatch.setenv("CAMPAIGN_FOLDER", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(folder, media_connection):
    """Run the DAG in this process; gives the state of the run, and of its tasks."""

    def run():
        from airflow.dag_processing.dagbag import DagBag

        dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["spring_campaign"]
        dag_run = dag.test(logical_date=datetime(2026, 3, 20, tzinfo=UTC))
        return str(dag_run.state), {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()}

    return run
