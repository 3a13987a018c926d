"""docs/explanation/architecture.md matches the code: its files, packages and layers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()


def test_architecture_names_existing_files() -> None:
    package = ROOT / "airflow_provider_media"
    names = set(re.findall(r"`([\w/]+\.(?:py|toml)|[\w/]+/)`", PAGE))
    missing = {
        name
        for name in names
        if not ((ROOT / name).exists() or (package / name).exists() or list(package.glob(f"*/{name}")))
    }
    assert len(names) > 50
    assert missing == set()


def test_pages_name_existing_tests() -> None:
    existing = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    existing |= {path.rpartition("/")[2] for path in existing}
    pages = [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {(page.name, name) for page in pages for name in re.findall(r"[\w/]*test_\w+\.py", page.read_text())}
    assert len(named) > 20
    assert {(page, name) for page, name in named if name not in existing} == set()


def test_architecture_covers_every_package() -> None:
    packages = {path.parent.name for path in (ROOT / "airflow_provider_media").glob("*/__init__.py")}
    assert {name for name in packages if not re.search(rf"`{name}/|\b{name}\b", PAGE)} == set()


def test_architecture_shows_the_layers_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    shown = [line.strip() for line in re.findall(r"^.{16}\| (.{48}) \|", PAGE, re.MULTILINE)]
    assert shown == layers
