"""Each mutant still applies to the source: a change that makes one stale is noticed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import airflow_provider_media

PACKAGE = Path(airflow_provider_media.__file__).parent
PROTECTIONS = tomllib.loads(Path(__file__).with_name("mutants.toml").read_text())["protection"]


@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda protection: protection["name"])
def test_the_source_of_a_protection_is_found_once(protection):
    assert (PACKAGE / protection["file"]).read_text().count(protection["source"]) == 1
