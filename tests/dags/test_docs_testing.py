"""Run the sample tests of docs/guides/testing.md."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.helpers.doc_samples import ROOT, samples_of

if TYPE_CHECKING:
    from pathlib import Path


def test_sample_tests_pass(tmp_path: Path) -> None:
    page = ROOT / "docs" / "guides" / "testing.md"
    conftest, tests = (sample for sample in samples_of(page) if sample.tested_by)
    (tmp_path / "conftest.py").write_text(conftest.code)
    (tmp_path / "test_copied.py").write_text(tests.code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
