"""DAG files are parsed all day long: importing what they import loads nothing heavy."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAVY = {
    *("requests", "requests_toolbelt", "urllib3", "httpx", "httpcore", "aiohttp", "anyio"),
    *("PIL", "filetype", "magic", "puremagic", "tenacity", "starlette", "uvicorn", "multipart", "python_multipart"),
}
ROOT = Path(__file__).parents[2]
OURS = "airflow_provider_media"


def loaded_by_each(*statements: str) -> list[set[str]]:
    """Return the names of the modules that each of these adds, one after the other, in a fresh interpreter."""
    note = "before.append(sorted(sys.modules))"
    code = "; ".join(("import json, sys", "before = []", note, *(f"{each}; {note}" for each in statements)))
    command = [sys.executable, "-c", f"{code}; print(); print(json.dumps(before))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    loaded = [set(names) for names in json.loads(done.stdout.splitlines()[-1])]
    return [after - before for before, after in pairwise(loaded)]


def loaded_by(*statements: str) -> set[str]:
    """Return the names of the modules that these add to a fresh interpreter."""
    return set().union(*loaded_by_each(*statements))


def is_of(name: str, packages: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def test_what_airflow_loads_of_ours_adds_no_heavy_package_to_its_own() -> None:
    """What DAG files import, and the plugin, which each of Airflow's components loads."""
    of_dag_files = ("links.media", "references", "operators.media", "sensors.media", "hooks.media")
    modules = [f"{OURS}.{name}" for name in (*of_dag_files, "plugins.media_library")]
    steps = [f"import {module}" for module in modules]
    of_airflow = "from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator, BaseHook"
    for_plugins = "import airflow.plugins_manager; from airflow.providers.common.compat.sdk import XCom, conf"
    _, *added, _, of_plugin = loaded_by_each(of_airflow, *steps[:-1], for_plugins, steps[-1])
    by_module = dict(zip(modules, [*added, of_plugin], strict=True))
    heavy = (*HEAVY, "fastapi", f"{OURS}._transports", f"{OURS}.sandbox")
    assert [(module, name) for module, names in by_module.items() for name in names if is_of(name, heavy)] == []
    assert set(modules) <= set().union(*by_module.values())


@pytest.mark.parametrize("module", [OURS, f"{OURS}.provider_info", f"{OURS}.models"])
def test_what_is_read_before_airflow_is_configured_imports_nothing_of_airflow(module: str) -> None:
    added = loaded_by(f"import {module}")
    assert {name.partition(".")[0] for name in added} & {"airflow", *HEAVY} == set()
    assert module in added


def test_packages_without_io_load_nothing_but_the_errors() -> None:
    packages = ("_api", "_upload", "_polling")
    modules = [f"{OURS}.{name}.{path.stem}" for name in packages for path in (ROOT / OURS / name).glob("[!_]*.py")]
    _, *added = loaded_by_each(f"import {OURS}.exceptions", *(f"import {module}" for module in modules))
    names = set().union(*added)
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {OURS}
    assert names >= set(modules) != set()
    of_ours = {name.split(".")[1] for name in names if name.startswith(f"{OURS}.")}
    assert of_ours == {*packages, "models"}


def test_the_package_itself_is_a_version_and_nothing_else() -> None:
    assert loaded_by_each("import __future__", f"import {OURS}")[1] == {OURS}


def test_the_package_has_one_http_client() -> None:
    """One place decides on proxies, certificates, redirects and what a failure means."""
    clients = {"aiohttp", "httpcore", "httpx", "httpx2", "niquests", "pycurl", "requests"}
    imported = set()
    for path in (ROOT / OURS).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    assert imported & clients == {"requests"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {re.split(r"[^\w.-]", name)[0] for name in project["dependencies"]}
    assert required & (clients | {"certifi"}) == {"requests"}
