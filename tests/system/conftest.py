"""Tests on a complete Airflow. They take minutes, so they run only with ``--system``.

    python -m pytest tests/system --system

Requires Airflow 3.3. All tests share one Airflow in separate processes; each test has a new sandbox in this process.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "example_dags"

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.helpers.sandbox_library import SandboxLibrary
    from tests.system.helpers.airflow_system import AirflowSystem, Run
    from tests.system.helpers.gate import Gate

TIMEOUT_SECONDS = 300  # of each test; the first one starts Airflow


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--system", action="store_true", help="run the tests on a complete Airflow (tests/system)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    is_selected = config.getoption("--system", default=False)  # pytest may load this file after parsing options
    return True if HERE in collection_path.parents and not is_selected else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bypass proxies, because all servers are on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowSystem]:
    """Run Airflow with the DAGs of ``dags/`` and the examples that require a scheduler."""
    from tests.system.helpers.airflow_system import AirflowSystem

    dags = shutil.copytree(HERE / "dags", tmp_path_factory.mktemp("dags"), dirs_exist_ok=True)
    for example in ("example_media_event_driven.py", "example_media_assets.py"):
        shutil.copy(EXAMPLES / example, dags)
    shutil.copytree(EXAMPLES / "media", dags / "media")
    dag_ids = [path.stem for path in dags.glob("*.py")]
    with AirflowSystem(tmp_path_factory.mktemp("airflow"), dags, dag_ids) as system:
        yield system


@dataclass(frozen=True, kw_only=True)
class Platform:
    """An empty library behind a gate, and an Airflow connection to it.

    :param library: the library, without the gate.
    """

    airflow: AirflowSystem
    library: SandboxLibrary
    gate: Gate
    media_conn_id: str

    def upload(self, file: Path, name: str, if_exists: str = "upload") -> Run:
        """Start a DAG run that uploads a file."""
        conf = {"file": str(file), "name": name, "if_exists": if_exists, "media_conn_id": self.media_conn_id}
        return self.airflow.trigger("upload", **conf)


@pytest.fixture
def platform(airflow: AirflowSystem, request: pytest.FixtureRequest) -> Iterator[Platform]:
    from airflow_provider_media.sandbox.server import run_in_thread
    from tests.contract.helpers.sandbox_library import SandboxLibrary
    from tests.system.helpers.gate import Gate

    with run_in_thread() as sandbox, Gate(sandbox.base_url) as gate:
        conn_id = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
        airflow.connect(conn_id, gate.base_url, sandbox.api_key)
        yield Platform(airflow=airflow, library=SandboxLibrary(sandbox), gate=gate, media_conn_id=conn_id)


@pytest.fixture(scope="session")
def image_path() -> Path:
    return EXAMPLES / "media" / "banner.jpg"
