"""Run the tests on each supported Airflow and Python, and write the results to the documentation: ``make test-matrix``.

    python tools/test_matrix.py [--jobs 1] [AIRFLOW[:PYTHON] ...]

Without arguments it runs all pairs (about an hour on two cores); ``3.0`` or ``3.3:3.13`` runs a selection and leaves
the other rows of the table unchanged. Each pair has its own environment under ``.venv``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent.parent
UV = ROOT / ".venv" / "bootstrap" / "bin" / "uv"
PAGE = ROOT / "docs" / "reference" / "versions.md"
HEAD = "| Airflow | Python | unit | contract | example DAGs | registration | other DAGs | skipped | minutes | run on |"

_PYTHONS = {
    "2.11": ["3.11", "3.12"],
    "3.0": ["3.12"],
    "3.1": ["3.12"],
    "3.2": ["3.12"],
    "3.3": ["3.11", "3.12", "3.13"],
    "3.4": ["3.13"],
}
_MAY_FAIL = {"3.4"}
"""Pre-releases: a failure is reported, but does not fail the command."""
_CONSTRAINTS = {"2.11": "airflow2.txt", "3.3": "airflow3.txt"}  # the constraints of `make test`
_SUITE_FOLDERS = ("tests/unit", "tests/contract", "tests/dags")
_SUITES = {
    "unit": "tests.unit.",
    "contract": "tests.contract.",
    "example DAGs": "tests.dags.test_example_dags",
    "registration": "tests.dags.test_registration",
    "other DAGs": "tests.dags.",
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One Airflow on one Python.

    :param airflow: the major and minor version, such as "3.0".
    """

    airflow: str
    python: str

    @property
    def folder(self) -> Path:
        """The pair's environment."""
        return ROOT / ".venv" / f"airflow{self.airflow}-python{self.python}"

    @property
    def constraints(self) -> Path:
        """The constraints file."""
        return ROOT / "constraints" / _CONSTRAINTS.get(self.airflow, f"airflow{self.airflow}.txt")

    @property
    def version(self) -> str:
        """The pinned Airflow release."""
        (version,) = re.findall(r"^apache-airflow==(\S+)", self.constraints.read_text(), re.MULTILINE)
        return str(version)

    def __str__(self) -> str:
        return f"Airflow {self.version} on Python {self.python}"


@dataclass(kw_only=True)
class TestCounts:
    """The test results of one pair."""

    __test__ = False

    passed: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)  # the suite and the test
    skipped: Counter[str] = field(default_factory=Counter)  # by reason
    minutes: float = 0

    def row(self, pair: Pair) -> str:
        """Return the row of the table."""
        failed = Counter(suite for suite, _ in self.failed)
        suites = [
            f"{self.passed[name]:,}" + (f", **{failed[name]} failed**" if failed[name] else "") for name in _SUITES
        ]
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        cells = [pair.version, pair.python, *suites, str(self.skipped.total()), f"{self.minutes:.0f}", day]
        return f"| {' | '.join(cells)} |"


def main() -> int:
    """Run the pairs; return 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", metavar="AIRFLOW[:PYTHON]", help="such as 3.0, or 3.3:3.13; default: all")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel runs (default: %(default)s)")
    arguments = parser.parse_args()
    pairs = [Pair(airflow=airflow, python=python) for airflow, pythons in _PYTHONS.items() for python in pythons]
    if unknown := set(arguments.pairs) - {name for pair in pairs for name in _names(pair)}:
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(_names(pair)[1] for pair in pairs)}")
    chosen = [pair for pair in pairs if not arguments.pairs or set(_names(pair)) & set(arguments.pairs)]
    failed = False
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for pair, outcome in zip(chosen, pool.map(_run, chosen), strict=True):
            _write(pair, outcome.row(pair), pairs)
            failed = failed or (bool(outcome.failed) and pair.airflow not in _MAY_FAIL)
    print(f"The table is in {PAGE.relative_to(ROOT)}.")
    return 1 if failed else 0


def _names(pair: Pair) -> tuple[str, str]:
    return pair.airflow, f"{pair.airflow}:{pair.python}"


def _run(pair: Pair) -> TestCounts:
    """Set up the pair's environment, run the tests, and print the failed tests and the reasons of skipped ones.

    :raises SystemExit: the environment cannot be created, or pytest did not run to completion.
    """
    started = time.monotonic()
    _set_up(pair)
    report = pair.folder / "tests.xml"
    report.unlink(missing_ok=True)
    log = pair.folder / "tests.log"
    python: str | Path = pair.folder / "bin" / "python"
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-n",
        "auto",
        "--dist=worksteal",
        "tests/unit",
        "tests/contract",
        "tests/dags",
    ]
    with log.open("w") as output:
        done = subprocess.run(
            [*command, f"--junitxml={report}"], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode not in {0, 1} or not report.exists():
        sys.exit(f"{pair}: pytest did not run to completion; see {log.relative_to(ROOT)}.")
    outcome = _read(report)
    outcome.minutes = (time.monotonic() - started) / 60
    lines = [f"{pair}: {outcome.passed.total()} passed, {len(outcome.failed)} failed, {outcome.minutes:.0f} minutes"]
    lines += [f"    FAILED {test}" for _, test in outcome.failed]
    lines += [f"    skipped {times}: {reason}" for reason, times in outcome.skipped.items()]
    print("\n".join(lines), flush=True)
    return outcome


def _set_up(pair: Pair) -> None:
    commands: tuple[list[str | Path], ...] = (
        ["venv", "--quiet", "--allow-existing", "--python", pair.python, pair.folder],
        ["pip", "install", "--quiet", "--python", pair.folder / "bin" / "python", "--constraint", pair.constraints,
         "--editable", ".[sandbox]", "--group", "test", "--group", "s3"],
    )  # fmt: skip
    for command in commands:
        if subprocess.run([UV, *command], cwd=ROOT, env=_environment(), check=False).returncode:
            sys.exit(f"{pair}: the environment cannot be created; see the output of uv above.")


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}


def _read(report: Path) -> TestCounts:
    """Parse pytest's report."""
    outcome = TestCounts()
    for test in ET.parse(report).iter("testcase"):  # noqa: S314, pytest's own file
        name = test.get("classname") or test.get("name", "")  # a skipped module has only a name
        suite = next(suite for suite, start in _SUITES.items() if f"{name}.".startswith(start))
        skipped = test.find("skipped")
        if test.find("failure") is not None or test.find("error") is not None:
            outcome.failed.append((suite, f"{name}::{test.get('name')}"))
        elif skipped is not None:
            outcome.skipped[skipped.get("message", "")] += 1
        else:
            outcome.passed[suite] += 1
    return outcome


def _write(pair: Pair, row: str, pairs: list[Pair]) -> None:
    """Replace a pair's row in the page's table."""
    before, head, after = PAGE.read_text().partition(HEAD + "\n")
    if not head:
        sys.exit(f"{PAGE.relative_to(ROOT)} has no table that starts with: {HEAD}")
    table, gap, rest = after.partition("\n\n")
    rule, *old = table.splitlines()
    rows = {tuple(cell.strip() for cell in line.split("|")[1:3]): line for line in old}
    rows[pair.version, pair.python] = row
    order = [(each.version, each.python) for each in pairs]
    table = "\n".join([rule, *(rows[key] for key in order if key in rows)])
    PAGE.write_text(f"{before}{head}{table}{gap}{rest}")


if __name__ == "__main__":
    sys.exit(main())
