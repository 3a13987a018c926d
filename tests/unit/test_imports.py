"""DAG files are parsed all day long: importing what they import loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("requests", "requests_toolbelt", "urllib3", "httpx", "httpcore", "aiohttp", "anyio"),
    *("PIL", "filetype", "magic", "puremagic", "tenacity", "starlette", "uvicorn", "multipart", "python_multipart"),
}
ROOT = Path(__file__).parents[2]
OURS = "airflow_provider_media"


def loaded_by(*statements: str) -> set[str]:
    """Return the names of the modules that a fresh interpreter has after these statements."""
    code = "; ".join((*statements, "import json, sys", "print(); print(json.dumps(sorted(sys.modules)))"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def airflow_alone() -> set[str]:
    return loaded_by("from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator, BaseHook")


@pytest.mark.parametrize("module", ["operators.media", "sensors.media", "hooks.media", "links.media", "references"])
def test_what_dag_files_import_adds_no_heavy_package_to_what_airflow_loads(
    module: str, airflow_alone: set[str]
) -> None:
    added = loaded_by(f"import {OURS}.{module}") - airflow_alone
    assert {name.partition(".")[0] for name in added} & HEAVY == set()
    assert not any(name.startswith((f"{OURS}._transports", f"{OURS}.sandbox")) for name in added)
    assert f"{OURS}.{module}" in added


@pytest.mark.parametrize("module", [OURS, f"{OURS}.provider_info", f"{OURS}.models", f"{OURS}._api.upload_flow"])
def test_what_is_read_before_airflow_is_configured_imports_nothing_of_airflow(module: str) -> None:
    added = loaded_by(f"import {module}") - loaded_by()
    assert {name.partition(".")[0] for name in added} & {"airflow", *HEAVY} == set()
    assert module in added


def test_the_media_api_without_input_and_output_loads_the_standard_library_only() -> None:
    modules = [f"{OURS}._api.{path.stem}" for path in (ROOT / OURS / "_api").glob("[!_]*.py")]
    added = loaded_by(*(f"import {module}" for module in modules)) - loaded_by()
    assert {name.partition(".")[0] for name in added} - sys.stdlib_module_names == {OURS}
    assert added >= set(modules) != set()
    of_ours = {name for name in added if name.startswith(f"{OURS}.")}
    assert all(name.startswith((f"{OURS}._api", f"{OURS}.models")) for name in of_ours)


def test_the_package_itself_is_a_version_and_nothing_else() -> None:
    assert loaded_by(f"import {OURS}") - loaded_by("import __future__") == {OURS}
