"""Remove each protection from the source, and check that a test notices: ``make prove``.

    python -m tests.faults.mutation [PART OF A MUTANT'S NAME]

mutants.toml lists the mutants. Each is applied to a copy of the package, and its tests run against that copy.
Exits 1 if they still pass, or if a mutant no longer applies to the source.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
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
    "docs/guides",
    "tests/conftest.py",
    "pyproject.toml",
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A protection to remove.

    :param name: what the protection does.
    :param file: the file, relative to the package.
    :param source: the source text of the protection; it occurs once in the file.
    :param without: the text that replaces it.
    :param tests: pytest's arguments; one of these tests must fail.
    """

    name: str
    file: str
    source: str
    without: str
    tests: str


def main() -> int:
    """Try all mutants, or those whose name contains the argument; return the exit code."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    listed = tomllib.loads(Path(__file__).with_name("mutants.toml").read_text())["protection"]
    mutants = [Mutant(**entry) for entry in listed if part in entry["name"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        killed = dict(zip(mutants, pool.map(is_killed, mutants), strict=True))
    survivors = [mutant.name for mutant, is_dead in killed.items() if not is_dead]
    for name in survivors:
        print("SURVIVED:", name)
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} protections: their tests fail without them")
    return 1 if survivors else 0


def is_killed(mutant: Mutant) -> bool:
    """Run the tests without the protection; return whether one failed."""
    with tempfile.TemporaryDirectory() as folder:
        for part in COPIED:
            (Path(folder) / part).parent.mkdir(exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, Path(folder) / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, Path(folder) / part)
        path = Path(folder) / PACKAGE / mutant.file
        text = path.read_text()
        if text.count(mutant.source) != 1:
            print(f"the mutant {mutant.name!r} does not apply to {mutant.file}")
            return False
        path.write_text(text.replace(mutant.source, mutant.without))
        # The copy comes before the installed package.
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=60", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *shlex.split(mutant.tests)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        failed = done.returncode == 1 and " failed" in done.stdout
        print(f"{'killed' if failed else 'SURVIVED'}: {mutant.name}", flush=True)
        if not failed:
            print(done.stdout[-1500:])
        return failed


if __name__ == "__main__":
    sys.exit(main())
