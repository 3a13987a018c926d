"""Measure uploads: this package's hook and its peers, against a draining server.

    make bench          # or: python benchmarks/uploads.py --rounds 9 --sizes 200KB 20MB 1GiB

Prints one table: medians over the rounds (the peers take turns within each round), over HTTP and over TLS.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

from upload_peers import PEERS

FOLDER = Path(__file__).parent
SIZES = {"200KB": (200_000, 100), "20MB": (20_000_000, 10), "1GiB": (1024**3, 1), "4GiB": (4 * 1024**3, 1)}
"""Size in bytes, and number of uploads in a run."""


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["200KB", "20MB", "1GiB"])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    arguments = parser.parse_args()
    runs: dict[tuple[str, str, str], list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as addresses:
        os.environ.setdefault("AIRFLOW_HOME", folder)
        for size in arguments.sizes:
            make_file(Path(folder) / size, SIZES[size][0])
        for number in range(arguments.rounds):
            for size in arguments.sizes:
                for protocol, (address, bundle) in addresses.items():
                    for peer in arguments.peers:
                        path, times = str(Path(folder) / size), SIZES[size][1]
                        runs[size, protocol, peer].append(run(peer, address, path, times, bundle))
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    print_table(runs, arguments.peers)


def make_file(path: Path, size: int) -> None:
    """Write a file with an MP4 header."""
    with path.open("wb") as stream:
        stream.write(b"\0\0\0\x18ftypisom" + b"\0" * 12)
        block = os.urandom(1024 * 1024)
        for start in range(stream.tell(), size, len(block)):
            stream.write(block[: size - start])


@contextmanager
def servers(folder: Path):
    """Start a draining server for each protocol; yield their URLs and the CA bundle."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    drain = [sys.executable, str(FOLDER / "drain_server.py")]
    processes = [
        subprocess.Popen(started, stdout=subprocess.PIPE, text=True)
        for started in (drain, [*drain, "--tls", str(certificate), str(key)])
    ]
    try:
        plain, secure = (process.stdout.readline().strip() for process in processes)
        yield {"HTTP": (plain, None), "TLS": (secure, str(certificate))}
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def run(peer: str, address: str, path: str, times: int, bundle: str | None) -> dict[str, float]:
    """Run one peer once, in a separate process."""
    command = [sys.executable, str(FOLDER / "upload_peers.py"), peer, address, path, str(times)]
    output = subprocess.run([*command, *([bundle] if bundle else [])], check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def print_table(runs: dict[tuple[str, str, str], list[dict[str, float]]], peers: list[str]) -> None:
    """Print medians, and the ratio to curl's time."""
    print("| size | protocol | peer | seconds per upload | to curl | CPU s per GiB | memory growth MiB |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for (size, protocol, peer), measured in runs.items():
        count, times = SIZES[size]
        median = {key: statistics.median(one[key] for one in measured) for key in measured[0]}
        ratio = "-"
        if "curl -F" in peers:
            curl = statistics.median(one["seconds"] for one in runs[size, protocol, "curl -F"])
            ratio = f"{median['seconds'] / curl:.2f}"
        cpu = median["cpu"] / (count * times / 1024**3)
        memory = "-" if peer == "curl -F" else f"{median['memory']:.1f}"
        print(f"| {size} | {protocol} | {peer} | {median['seconds'] / times:.4f} | {ratio} | {cpu:.2f} | {memory} |")


if __name__ == "__main__":
    main()
