"""Measure the import time of the operators and sensors in a DAG file, in addition to Airflow's SDK.

    python benchmarks/imports.py [--rounds 15]

Each import runs in a new interpreter that has already imported ``airflow.sdk`` and common-compat, like any DAG file.
Prints medians in milliseconds, also for Airflow's HTTP operators.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

BASE = "import airflow.sdk; from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator, DAG"
BASE += ", AirflowException, AirflowFailException, PokeReturnValue"
IMPORTS = {
    "our operators and sensors": "import airflow_provider_media.operators.media, airflow_provider_media.sensors.media",
    "Airflow's HTTP operators": "import airflow.providers.http.operators.http, airflow.providers.http.sensors.http",
}


def main() -> None:
    """Measure in alternation and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in IMPORTS}
    with tempfile.TemporaryDirectory() as home:
        environment = {"AIRFLOW_HOME": home, **os.environ}
        for _ in range(rounds):
            for name, statement in IMPORTS.items():
                code = f"import time; {BASE}; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
                command = [sys.executable, "-c", code]
                output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
                seconds[name].append(float(output.splitlines()[-1]))
    print("| import | ms (median) | lowest | highest |")
    print("| --- | ---: | ---: | ---: |")
    for name, values in seconds.items():
        low, high = min(values) * 1000, max(values) * 1000
        print(f"| {name} | {statistics.median(values) * 1000:.1f} | {low:.1f} | {high:.1f} |")


if __name__ == "__main__":
    main()
