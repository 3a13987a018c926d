"""Test the sandbox against its OpenAPI contract: ``python -m tests.schemathesis.run``.

Starts a sandbox with an empty library, runs all phases and checks of Schemathesis on every operation, and stops the
sandbox. The exit code is Schemathesis's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_ROOT = _FOLDER.parent.parent
_API_KEY = "schemathesis-key"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-examples", type=int, default=100, help="maximum test cases per operation and phase")
    parser.add_argument("--seed", type=int, default=20, help="seed of the test cases")
    options = parser.parse_args()
    command = shutil.which("schemathesis", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if command is None:
        sys.exit("Schemathesis is not installed: it is in the dependency group 'check'.")
    with tempfile.TemporaryDirectory() as data_dir, _start_sandbox(data_dir) as sandbox:
        try:
            base_url = _read_base_url(sandbox)
            return subprocess.run(
                [
                    command,
                    f"--config-file={_FOLDER / 'schemathesis.toml'}",
                    "run",
                    f"{base_url}/openapi.yaml",
                    f"--header=X-Api-Key: {_API_KEY}",
                    "--phases=examples,coverage,fuzzing,stateful",
                    "--checks=all",
                    "--mode=all",
                    "--continue-on-failure",
                    f"--max-examples={options.max_examples}",
                    f"--seed={options.seed}",
                    "--generation-database=none",
                ],
                check=False,
                cwd=_FOLDER,
            ).returncode
        finally:
            sandbox.terminate()


def _start_sandbox(data_dir: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "airflow_provider_media.sandbox", "--port=0"),
            *(f"--data-dir={data_dir}", f"--api-key={_API_KEY}"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )


def _read_base_url(sandbox: subprocess.Popen[str]) -> str:
    line = sandbox.stdout.readline() if sandbox.stdout else ""
    if " at " not in line:
        raise RuntimeError(f"The sandbox did not start. Its output: {line!r}")
    return line.split(" at ")[1].split()[0]


if __name__ == "__main__":
    sys.exit(main())
