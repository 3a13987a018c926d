"""Measure waiting: this package's triggers beside those of Airflow's deferrable HttpSensor, on one triggerer's loop.

    make bench-waiting          # or: python benchmarks/waiting.py --rounds 3 --interval 10

Prints one table: 10, 100 and 1,000 sensors, each waiting for a file of its own, in libraries of 100, 10,000 and 100,000
files in the end. Each combination runs with a server of its own in a process of its own, forked as Airflow forks its
trigger runner; two at a time, for most of the time they wait. A round takes about five minutes on an idle machine.
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
"""What these do is the same in every library."""

ONE_SIZE = (*ANY_SIZE, "by pattern")
"""These are measured in a library of one size, the middle one."""

COLUMNS = {
    "sensors": "sensors",
    "files": "files",
    "waiting": "waiting",
    "requests": "requests an interval",
    "first requests": "first look",
    "median delay": "seconds to the event",
    "longest delay": "at most",
    "stall": "longest stall ms",
    "first stall": "first look",
    "stretch": "of CPU alone",
    "memory": "KiB a trigger",
    "cpu": "CPU s an interval",
}
MAX_REQUESTS = 11
MAX_DELAY_SECONDS = 2.0
"""After an interval: its jitter, and the look."""
MAX_STALL_SECONDS = 0.05
"""Of CPU alone, for on a busy machine the clock tells what others do."""

WORST = {"longest delay", "stall", "first stall", "stretch", "requests", "first requests"}
"""Of these the highest of all rounds is printed; of the others the median."""


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between looks")
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
    """Measure every combination once, some at the same time."""
    waiting, running = list(combinations), []
    try:
        while waiting or running:
            while waiting and len(running) < at_a_time:
                running.append(Run(*waiting.pop(0), interval))
            ready = wait([run.answer for run in running])
            for run in [run for run in running if run.answer in ready]:
                results[run.combination].append(run.result())
                running.remove(run)
    finally:
        for run in running:
            run.end()


class Run:
    """One combination under way: a server and a process that waits.

    :param peer: who waits.
    :param sensors: how many triggers.
    :param files: how many files the library holds at last; where fewer are there than sensors, at first.
    :param interval: seconds between looks.
    """

    def __init__(self, peer: str, sensors: int, files: int, interval: float) -> None:
        """Start both."""
        self.combination = peer, sensors, files
        files_at_first = files - sensors if sensors < files else files
        command = [sys.executable, str(FOLDER / "library_server.py"), str(files_at_first)]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        base = self._server.stdout.readline().strip()
        self.answer, theirs = multiprocessing.Pipe(duplex=False)
        import waiting_peers  # Airflow, imported once, before the first fork

        def work() -> None:
            theirs.send(waiting_peers.run(peer, base, sensors, files_at_first, interval))

        self._process = multiprocessing.get_context("fork").Process(target=work)
        self._process.start()
        theirs.close()

    def result(self) -> dict[str, float]:
        """Take the answer and end both; EOFError when the process broke down, which says why by itself."""
        try:
            return self.answer.recv()
        finally:
            self.end()

    def end(self) -> None:
        """End both."""
        self._server.terminate()
        self._server.wait()
        self._process.terminate()
        self._process.join()


def check_bounds(results, interval) -> int:
    """Print what is beyond a bound, for a thousand sensors in a library of 10,000 files; return the exit code."""
    bounds = {"requests": MAX_REQUESTS, "longest delay": interval + MAX_DELAY_SECONDS, "stretch": MAX_STALL_SECONDS}
    code = 0
    for (peer, sensors, files), measured in results.items():
        if peer not in OURS or (sensors, files) != (1000, 10_000):
            continue
        for name, bound in bounds.items():
            if (value := max(one[name] for one in measured)) > bound:
                print(f"BEYOND ITS BOUND: ours, {peer}: {COLUMNS[name]}: {value:g}; at most {bound:g}")
                code = 1
    return code


def print_table(results) -> None:
    """Print medians, or the highest where the name says so; memory is that beyond empty triggers."""
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
