"""Prove that the tests of the upload's protections can fail: take each protection away, and see its test fail.

    python -m tests.faults.mutation [PART OF A PROTECTION'S NAME]

The protections are in mutants.toml. Each is taken out of a copy of the package, and its tests are run against that
copy. Exits 1 when they still pass, or when a change no longer fits the source.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_media"
COPIED = (
    PACKAGE,
    "tests/faults",
    "tests/contract",
    "tests/unit",
    "tests/helpers",
    "tests/__init__.py",
    "tests/conftest.py",
    "pyproject.toml",
)


@dataclass(frozen=True, slots=True)
class Protection:
    """One protection that is taken away.

    :param name: what it is.
    :param file: where it stands, below the package.
    :param source: the source text that makes it.
    :param without: the text without it.
    :param tests: what pytest is to run; one of these tests must fail then.
    """

    name: str
    file: str
    source: str
    without: str
    tests: str


def main() -> int:
    """Try all protections, or those asked for; return the exit code."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    listed = tomllib.loads(Path(__file__).with_name("mutants.toml").read_text())["protection"]
    tried = [Protection(**one) for one in listed if wanted in one["name"]]
    unproven = [protection.name for protection in tried if not is_proven(protection)]
    for name in unproven:
        print("NOT PROVEN:", name)
    print(f"{len(tried) - len(unproven)} of {len(tried)} protections: their tests fail without them")
    return 1 if unproven else 0


def is_proven(protection: Protection) -> bool:
    """Run the tests without the protection; tell whether one failed."""
    with tempfile.TemporaryDirectory() as folder:
        for part in COPIED:
            (Path(folder) / part).parent.mkdir(exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, Path(folder) / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, Path(folder) / part)
        path = Path(folder) / PACKAGE / protection.file
        text = path.read_text()
        if text.count(protection.source) != 1:
            print(f"the change of {protection.name!r} does not fit {protection.file}")
            return False
        path.write_text(text.replace(protection.source, protection.without))
        # The copy comes before the installed package.
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=60", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *shlex.split(protection.tests)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        failed = done.returncode == 1 and " failed" in done.stdout
        print(f"{'fails' if failed else 'PASSES'} without: {protection.name}", flush=True)
        if not failed:
            print(done.stdout[-1500:])
        return failed


if __name__ == "__main__":
    sys.exit(main())
