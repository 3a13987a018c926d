"""``make release``."""

from __future__ import annotations

import runpy
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.helpers.doc_samples import ROOT

if TYPE_CHECKING:
    from pathlib import Path

release = runpy.run_path(str(ROOT / "tools" / "release.py"))["release"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "airflow_provider_media").mkdir()
    shutil.copy(ROOT / "airflow_provider_media" / "__init__.py", tmp_path / "airflow_provider_media")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 9.8.7 (unreleased)\n\n## 9.8.6 (2026-01-02)\n")
    return tmp_path


def test_release_sets_version_and_date(repository: Path) -> None:
    release(repository, "9.8.7")

    assert '\n__version__ = "9.8.7"\n' in (repository / "airflow_provider_media" / "__init__.py").read_text()
    first, second = (repository / "CHANGELOG.md").read_text().split("\n## ")[1:]
    assert first.startswith("9.8.7 (20")
    assert second == "9.8.6 (2026-01-02)\n"


def test_release_requires_an_unreleased_heading(repository: Path) -> None:
    with pytest.raises(SystemExit, match="has no heading"):
        release(repository, "9.9.0")
