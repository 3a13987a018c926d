"""Run pytest in several environments in parallel: ``make test``.

    python tools/run_tests.py airflow3 airflow2 [-- PYTEST ARGUMENTS]

An environment is a folder below ``.venv``. Without arguments, the environments after the first run only the tests that
depend on Airflow. Prints the output of the first environment live, the others' when they have ended, and then a
summary. Exits 1 if a run failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
WORKERS = (os.cpu_count() or 1) + 2
"""In each environment: the tests wait more than they compute, so the environments share the cores."""

PYTEST = ("-m", "pytest", f"--numprocesses={WORKERS}", "--dist=worksteal", "--durations=5", "--durations-min=0.5")

_VERSION = "from importlib.metadata import version; print(version('apache-airflow'))"
_OUTCOME = re.compile(r"^=*\s*(?P<counts>[^=]*\d+ (?:passed|failed|error).*?) in (?P<seconds>[\d.]+)s")


@dataclass(kw_only=True)
class Run:
    """The test run of one environment.

    :param name: the folder below ``.venv``.
    :param process: pytest.
    :param log: the file of its output; None if this program reads the output.
    :param lines: its output.
    """

    name: str
    process: subprocess.Popen[str]
    log: Path | None
    lines: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The result in one line."""
        version = subprocess.run(
            [_python(self.name), "-c", _VERSION], capture_output=True, text=True, check=False
        ).stdout.strip()
        outcomes = [found for line in self.lines if (found := _OUTCOME.match(line))]
        result = (
            f"{outcomes[-1]['counts']} in {_minutes(float(outcomes[-1]['seconds']))}" if outcomes else "did not run"
        )
        return f"{'FAILED' if self.process.returncode else 'passed'}  Airflow {version}: {result}"


def main() -> int:
    """Run the tests, print the output, and return the exit code."""
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    first, *others = sys.argv[1:split]
    arguments = sys.argv[split + 1 :]
    started = time.monotonic()
    if others:
        print(f"Running the tests in {first} and {', '.join(others)} in parallel; output of {first}:", flush=True)
    for_others = arguments or ["--depends-on-airflow"]
    runs = [_start(name, for_others, ROOT / ".venv" / name / "tests.log") for name in others]
    try:
        runs.insert(0, _start(first, arguments, None))
        for line in runs[0].process.stdout or ():
            print(line, end="", flush=True)
            runs[0].lines.append(line)
        for run in runs:
            run.process.wait()
            if run.log is not None:
                run.lines = run.log.read_text().splitlines(keepends=True)
                print(f"\nOutput of {run.name}:\n{''.join(run.lines)}", flush=True)
    except KeyboardInterrupt:
        return 130  # pytest received the signal, too
    print("\n== Tests", *(run.summary for run in runs), f"total {_minutes(time.monotonic() - started)}", sep="\n   ")
    return 1 if any(run.process.returncode for run in runs) else 0


def _start(name: str, arguments: list[str], log: Path | None) -> Run:
    command = [_python(name), *PYTEST, *arguments]
    if log is None:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    else:
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True)
    return Run(name=name, process=process, log=log)


def _python(name: str) -> str:
    return str(ROOT / ".venv" / name / "bin" / "python")


def _minutes(seconds: float) -> str:
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


if __name__ == "__main__":
    sys.exit(main())
