"""Measure waiting: this package's triggers and those of Airflow's deferrable HttpSensor, on one triggerer's loop.

    make bench-waiting          # or: python benchmarks/waiting.py --rounds 3 --interval 10

Prints one table: 10, 100 and 1,000 sensors, each waiting for a different file, in libraries with a final size of 100,
10,000 and 100,000 files. Each combination runs with its own server in a separate process, forked like Airflow's trigger
runner; two run at a time, because they mostly wait. A round takes about five minutes on an idle machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections import defaultdict
from multiprocessing.connection import wait
from pathlib import Path

FOLDER = Path(__file__).parent
EMPTY = "empty trigger"
OURS = ("by name", "by id", "by pattern")
ANY_SIZE = (EMPTY, "HttpSensor")
"""Independent of the library's size."""

ONE_SIZE = (*ANY_SIZE, "by pattern")
"""Measured in one library only, that of the middle size."""

COLUMNS = {
    "sensors": "sensors",
    "files": "files",
    "waiting": "waiting",
    "requests": "requests per interval",
    "first requests": "first poll",
    "median delay": "seconds to the event",
    "longest delay": "max",
    "stall": "longest stall ms",
    "first stall": "first poll",
    "stretch": "CPU time only",
    "memory": "KiB per trigger",
    "cpu": "CPU s per interval",
}
MAX_REQUESTS = 11
MAX_DELAY_SECONDS = 2.0
"""In addition to an interval, for its jitter and the poll."""
MAX_STALL_SECONDS = 0.05
"""Of CPU time, because on a busy machine the wall clock includes other processes."""

WORST = {"longest delay", "stall", "first stall", "stretch", "requests", "first requests"}
"""Columns that show the maximum of all rounds; the others show the median."""


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between polls")
    parser.add_argument("--sensors", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--files", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--at-a-time", type=int, default=2, help="how many combinations run at the same time")
    parser.add_argument("--quick", action="store_true", help="one round at 2 s, without the largest library")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.interval, arguments.files = 1, 2.0, [100, 10_000]
    combinations = [
        (peer, sensors, files)
        for sensors in arguments.sensors
        for peer in (EMPTY, *OURS, "HttpSensor")
        for files in ([sorted(arguments.files)[len(arguments.files) // 2]] if peer in ONE_SIZE else arguments.files)
    ]
    results: dict[tuple[str, int, int], list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        os.environ.setdefault("AIRFLOW__CORE__FERNET_KEY", urlsafe_b64encode(os.urandom(32)).decode())
        for number in range(arguments.rounds):
            measure_all(combinations, arguments.interval, arguments.at_a_time, results)
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    print_table(results)
    sys.exit(check_bounds(results, arguments.interval))


def measure_all(combinations, interval, at_a_time, results) -> None:
    """Measure each combination once, ``at_a_time`` of them in parallel."""
    waiting, running = list(combinations), []
    try:
        while waiting or running:
            while waiting and len(running) < at_a_time:
                running.append(Run(*waiting.pop(0), interval))
            ready = wait([run.connection for run in running])
            for run in [run for run in running if run.connection in ready]:
                results[run.combination].append(run.result())
                running.remove(run)
    finally:
        for run in running:
            run.end()


class Run:
    """One running combination: a server and a waiting process.

    :param peer: the key of ``waiting_peers.PEERS``.
    :param sensors: number of triggers.
    :param files: final number of files in the library; the initial number if there are more sensors than files.
    :param interval: seconds between polls.
    """

    def __init__(self, peer: str, sensors: int, files: int, interval: float) -> None:
        """Start both processes."""
        self.combination = peer, sensors, files
        files_at_first = files - sensors if sensors < files else files
        command = [sys.executable, str(FOLDER / "library_server.py"), str(files_at_first)]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        base = self._server.stdout.readline().strip()
        self.connection, theirs = multiprocessing.Pipe(duplex=False)
        import waiting_peers  # Airflow, imported once, before the first fork

        def work() -> None:
            theirs.send(waiting_peers.run(peer, base, sensors, files_at_first, interval))

        self._process = multiprocessing.get_context("fork").Process(target=work)
        self._process.start()
        theirs.close()

    def result(self) -> dict[str, float]:
        """Return the measurements and end both processes; EOFError if the process failed, which prints its error."""
        try:
            return self.connection.recv()
        finally:
            self.end()

    def end(self) -> None:
        """End both processes."""
        self._server.terminate()
        self._server.wait()
        self._process.terminate()
        self._process.join()


def check_bounds(results, interval) -> int:
    """Print the values above a bound, for 1,000 sensors in a library of 10,000 files; return the exit code."""
    bounds = {"requests": MAX_REQUESTS, "longest delay": interval + MAX_DELAY_SECONDS, "stretch": MAX_STALL_SECONDS}
    code = 0
    for (peer, sensors, files), measured in results.items():
        if peer not in OURS or (sensors, files) != (1000, 10_000):
            continue
        for name, bound in bounds.items():
            if (value := max(one[name] for one in measured)) > bound:
                print(f"ABOVE THE BOUND: ours, {peer}: {COLUMNS[name]}: {value:g}; at most {bound:g}")
                code = 1
    return code


def print_table(results) -> None:
    """Print medians, or maxima for ``WORST``; memory is in addition to that of empty triggers."""
    print("| " + " | ".join(COLUMNS.values()) + " |")
    print("| " + " | ".join("---" if name == "waiting" else "---:" for name in COLUMNS) + " |")
    medians = {
        combination: {
            name: (max if name in WORST else statistics.median)(one[name] for one in measured) for name in measured[0]
        }
        for combination, measured in results.items()
    }
    empty = {sensors: values["memory"] for (peer, sensors, _), values in medians.items() if peer == EMPTY}
    for (peer, sensors, files), values in medians.items():
        row = {
            "sensors": f"{sensors:,}",
            "files": "any" if peer in ANY_SIZE else f"{files:,}",
            "waiting": f"ours, {peer}" if peer in OURS else peer,
            "requests": f"{values['requests']:,}",
            "first requests": f"{values['first requests']:,}",
            "median delay": f"{values['median delay']:.1f}",
            "longest delay": f"{values['longest delay']:.1f}",
            "stall": f"{values['stall'] * 1000:.0f}",
            "first stall": f"{values['first stall'] * 1000:.0f}",
            "stretch": f"{values['stretch'] * 1000:.0f}",
            "memory": f"{(values['memory'] - empty[sensors]) / sensors:.1f}",
            "cpu": f"{values['cpu']:.2f}",
        }
        if peer == EMPTY:
            row |= dict.fromkeys(("requests", "first requests", "median delay", "longest delay", "memory"), "-")
        print("| " + " | ".join(row.values()) + " |")


if __name__ == "__main__":
    main()
