"""Run the campaign example on real Airflow against the sandbox, and print the results: ``make demo``.

Requires an environment with Airflow and the package's ``sandbox`` extra. Writes only to ``.demo``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DEMO = ROOT / ".demo"
AIRFLOW_HOME = DEMO / "airflow"
AIRFLOW_LOG = DEMO / "airflow.log"
API_KEY = "demo-key"

_LOG_TAIL_LINES = 30
_STOP_SECONDS = 10


class DemoError(Exception):
    """A step failed."""


def main() -> None:
    """Run the steps; exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the sandbox running until Ctrl-C")
    keep = parser.parse_args().keep
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        _demonstrate(keep=keep)
    except DemoError as error:
        sys.exit(f"\nThe demo failed: {error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped.")


def _demonstrate(*, keep: bool) -> None:
    started = time.monotonic()
    DEMO.mkdir(exist_ok=True)
    airflow = version("apache-airflow")
    with _sandbox() as url:
        # Only one sandbox can use the library, so from here on only this process uses .demo.
        _print(f"[1/3] Sandbox of the Media API at {url}, library in {_short(DEMO / 'library')}")
        AIRFLOW_LOG.write_text("")
        _print(f"[2/3] Airflow {airflow} in {_short(AIRFLOW_HOME)}")
        _prepare_database(airflow)
        _print(f"[3/3] DAG run of example_media_campaign, log in {_short(AIRFLOW_LOG)}")
        _print("      starting Airflow ...")
        outcome = _run_campaign(url)
        _print("")
        _show_media(outcome["media"])
        _print("")
        _show_messages(outcome["messages"])
        _print(f"\nDone in {time.monotonic() - started:.0f} s.")
        if keep:
            _print(f"Library page: {url}/\nPress Ctrl-C to stop the sandbox.")
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
            _print("\nThe sandbox is stopped.")
        else:
            _print("The sandbox is stopped. To view the library page: make demo KEEP=1")


def _prepare_database(airflow: str) -> None:
    """Create Airflow's database once for each version of Airflow."""
    marker = AIRFLOW_HOME / "migrated-for"
    if marker.exists() and marker.read_text() == airflow:
        return
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)
    AIRFLOW_HOME.mkdir()
    _print("      creating the database (first run only) ...")
    with AIRFLOW_LOG.open("a") as log:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(command, env=_environment(), stdout=log, stderr=log, check=False)
    if done.returncode:
        _fail("'airflow db migrate' failed.")
    marker.write_text(airflow)


def _environment(**more: str) -> dict[str, str]:
    """Return an environment for Airflow's processes without the settings of another Airflow."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    return {
        **own,
        "AIRFLOW_HOME": str(AIRFLOW_HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"])),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


@contextlib.contextmanager
def _sandbox() -> Iterator[str]:
    """Run the sandbox on a free port; yield its URL."""
    command = [sys.executable, "-m", "airflow_provider_media.sandbox", "--port", "0"]
    command += ["--data-dir", str(DEMO / "library"), "--api-key", API_KEY]
    with _terminating(
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ) as process:
        line = process.stdout.readline() if process.stdout else ""
        if " ready at " not in line:
            raise DemoError(f"the sandbox did not start: {line.strip() or 'no output'}")
        yield line.split(" ready at ")[1].split()[0]


@contextlib.contextmanager
def _terminating(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Terminate the process at the end of the context."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run_campaign(url: str) -> dict[str, Any]:
    """Run the DAG and print each task's state; return the media and the messages from the run's XComs."""
    connection = json.dumps({"conn_type": "media", "host": url, "password": API_KEY})
    reading, writing = os.pipe()
    command = [sys.executable, str(Path(__file__).with_name("demo_campaign.py")), str(writing)]
    outcome: dict[str, Any] = {}
    started = time.monotonic()
    with AIRFLOW_LOG.open("a") as log:
        process = subprocess.Popen(
            command,
            env=_environment(AIRFLOW_CONN_MEDIA_DEFAULT=connection),
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            text=True,
        )
    os.close(writing)
    with _terminating(process), os.fdopen(reading) as reports:
        for line in reports:
            outcome |= json.loads(line)
            if "task" in outcome:
                note = "  (keep_media is set)" if outcome["state"] == "skipped" else ""
                task, state = outcome.pop("task"), outcome.pop("state")
                _print(f"      {time.monotonic() - started:5.1f} s  {task:<24} {state}{note}")
        process.wait()
    if outcome.get("run_state") != "success":
        _fail(f"the DAG run ended as {outcome.get('run_state', 'an error')}.")
    return outcome


def _show_media(media: list[dict[str, Any]]) -> None:
    head = ("file", "media id", "type", "size", "result", "url")
    rows = [
        (
            item["file"],
            str(item["id"]),
            str(item["mime_type"]),
            f"{item['size']:,} B",
            "uploaded" if item["created"] else "reused",
            str(item["url"]),
        )
        for item in media
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, tuple("-" * width for width in widths), *rows):
        cells = [f"{cell:>{width}}" if column == "size" else f"{cell:<{width}}"
                 for column, cell, width in zip(head, row, widths, strict=True)]  # fmt: skip
        _print("  ".join(cells).rstrip())


def _show_messages(messages: dict[str, Any]) -> None:
    rcs, whatsapp = messages["rcs"], messages["whatsapp"]
    cards = ", ".join(f"{card['title']} (media {card['media']['mediaId']})" for card in rcs["carousel"]["cards"])
    _print("Messages with these ids, for your own send:")
    _print(f"  RCS rich card   {rcs['richCard']['title']} (media {rcs['richCard']['media']['mediaId']})")
    _print(f"  RCS carousel    {cards}")
    _print(f"  WhatsApp video  {whatsapp['video']['caption']} (media {whatsapp['video']['id']})")


def _fail(message: str) -> NoReturn:
    lines = AIRFLOW_LOG.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    _print(f"\nThe end of {_short(AIRFLOW_LOG)}:")
    for line in lines:
        _print(f"  {line}")
    raise DemoError(f"{message} See {_short(AIRFLOW_LOG)} for the complete log.")


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
