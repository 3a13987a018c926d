"""Measure the sync of a folder: this package's operator and handwritten alternatives.

    make bench-sync          # or: python benchmarks/sync.py --rounds 3 --files 1000

Prints two tables. First: a folder of 1,000 files of 200 KB is synced, then without changes, then with 10 changed files,
against the sandbox and against a draining server with a latency of 20 ms; medians over the rounds, each with a new
server. Second: memory growth with larger and with more files, on the draining server.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

from sync_peers import PEERS

FOLDER = Path(__file__).parent
OURS, LOOP, MAPPED = PEERS
CHANGED = 10
MAPPED_FILES = 25
"""Number of mapped uploads to measure; the result is scaled, because they are slow."""

SERVERS = {
    "sandbox": ([sys.executable, "-m", "airflow_provider_media.sandbox", "--port", "0"], "/_sandbox/requests"),
    "drain, 20 ms": ([sys.executable, str(FOLDER / "drain_server.py"), "--latency", "0.02"], "/requests"),
}
"""Command of each server, and the path that returns its requests."""

MEMORY = {"1,000 of 200 KB": (1000, 200_000), "10 of 200 MB": (10, 200_000_000), "10,000 of 200 KB": (10_000, 200_000)}


def main() -> None:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="the second table")
    arguments = parser.parse_args()
    runs = defaultdict(list)
    for number in range(arguments.rounds):
        for server in arguments.servers:
            for peer in arguments.peers:
                for step, measured in rounds_of(server, peer, arguments.files).items():
                    runs[server, peer, step].append(measured)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    print_table(runs, arguments.files)
    if arguments.memory:
        print()
        print_memory()


def rounds_of(server, peer, files):
    """Let one peer upload a folder to an empty library; then again, if the peer detects existing files."""
    count = min(files, MAPPED_FILES) if peer == MAPPED else files
    with tempfile.TemporaryDirectory() as place, serve(server) as (base, requests):
        folder = Path(place) / "media"
        make_files(folder, count, 200_000)

        def step():
            before = requests()
            measured = run(peer, base, folder)
            # The draining server counts the request for the count; all peers but the mapped one send a warm-up request.
            overhead = int(server.startswith("drain")) + int(peer != MAPPED)
            measured["requests"] = requests() - before - overhead
            return {name: value * files / count if peer == MAPPED else value for name, value in measured.items()}

        steps = {"first": step()}
        if peer == OURS:
            steps["unchanged"] = step()
            for number in range(CHANGED):
                make_file(folder / f"{number:05}.png", 200_000 + 1)
            steps["changed"] = step()
        elif peer == MAPPED:
            steps["unchanged"] = step()
    return steps


def make_files(folder, count, size):
    """Write files with a PNG signature."""
    folder.mkdir()
    for number in range(count):
        make_file(folder / f"{number:05}.png", size)


def make_file(path, size):
    """Write a sparse file with random data at its start."""
    with path.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n" + os.urandom(4000))
        stream.truncate(size)


@contextmanager
def serve(name):
    """Start a server; yield its URL and a function that returns the number of requests."""
    command, count_path = SERVERS[name]
    library = tempfile.TemporaryDirectory()  # so that the sandbox starts each round with an empty library
    if name == "sandbox":
        command = [*command, "--data-dir", library.name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        base = next(word for word in process.stdout.readline().split() if word.startswith("http"))

        def requests():
            with urllib.request.urlopen(base + count_path) as response:  # noqa: S310 - our own server
                value = json.load(response)
            return value["requests"] if isinstance(value, dict) else len(value)

        yield base, requests
    finally:
        process.terminate()
        process.wait()
        library.cleanup()


def run(peer, base, folder):
    """Run one peer once, in a separate process."""
    command = [sys.executable, str(FOLDER / "sync_peers.py"), peer, base, str(folder)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def print_table(runs, files):
    """Print medians, and the ratio of each sync to ours."""
    print("| server | peer | sync | seconds | files/s | requests | to ours | memory growth MiB |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for (server, peer, step), measured in runs.items():
        median = {name: statistics.median(one[name] for one in measured) for name in measured[0]}
        ours = runs.get((server, OURS, step))
        to_ours = f"{median['seconds'] / statistics.median(one['seconds'] for one in ours):.1f}" if ours else "-"
        done = CHANGED if step == "changed" else files
        label = f"{peer} ({MAPPED_FILES}, scaled)" if peer == MAPPED and files > MAPPED_FILES else peer
        memory = "-" if peer == MAPPED else f"{median['memory']:.1f}"
        print(
            f"| {server} | {label} | {step} | {median['seconds']:.2f} | {done / median['seconds']:,.0f} |"
            f" {median['requests']:,.0f} | {to_ours} | {memory} |"
        )


def print_memory():
    """Print the memory growth of our sync with larger and with more files."""
    print("| files | seconds | memory growth MiB |")
    print("| --- | ---: | ---: |")
    for label, (count, size) in MEMORY.items():
        with tempfile.TemporaryDirectory() as place, serve("drain, 20 ms") as (base, _):
            make_files(Path(place) / "media", count, size)
            measured = run(OURS, base, Path(place) / "media")
        print(f"| {label} | {measured['seconds']:.1f} | {measured['memory']:.1f} |")


if __name__ == "__main__":
    main()
