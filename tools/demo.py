"""Run the campaign example on real Airflow against the sandbox, and print the results: ``make demo``.

Requires an environment with Airflow and the package's ``sandbox`` extra. Writes only to ``.demo``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DEMO = ROOT / ".demo"
AIRFLOW_HOME = DEMO / "airflow"
AIRFLOW_LOG = DEMO / "airflow.log"
DAG_ID = "example_media_campaign"
API_KEY = "demo-key"
SANDBOX_PORT = 8099
AIRFLOW_PORT = 8080
AIRFLOW_URL = f"http://127.0.0.1:{AIRFLOW_PORT}"

_MAX_WIDTH = 100
_LOG_TAIL_LINES = 30
_START_SECONDS = 300
_STOP_SECONDS = 10
_POLL_SECONDS = 0.5
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal was closed

# Recorded without animation.
_IS_RECORDED = "--svg" in sys.argv
out = Console(highlight=False, record=_IS_RECORDED, force_terminal=False if _IS_RECORDED else None)
out.width = min(out.width, _MAX_WIDTH) if out.is_terminal else _MAX_WIDTH


class DemoError(Exception):
    """A step failed."""


def main() -> None:
    """Run the steps; exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the sandbox and Airflow running until Ctrl-C")
    parser.add_argument("--started", type=float, default=time.time(), help="Unix time of the start, for the total")
    parser.add_argument("--svg", type=Path, help="also save the output as an image")
    arguments = parser.parse_args()
    for number in _STOP_SIGNALS:
        signal.signal(number, _exit)
    try:
        _demonstrate(keep=arguments.keep, started=arguments.started)
        if arguments.svg:
            # Without the font's address, because a page must not load it.
            svg = re.sub(r"@font-face \{.*?\}\s*", "", out.export_svg(title="make demo"), flags=re.DOTALL)
            svg = re.sub(r"<!--.*?-->\s*", "", svg)
            arguments.svg.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")
    except DemoError as error:
        sys.exit(f"\nThe demo failed: {error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped.")


def _exit(*_: object) -> NoReturn:
    """Stop all processes; ignore further signals, because a closed terminal sends several."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(1)


def _demonstrate(*, keep: bool, started: float) -> None:
    airflow = version("apache-airflow")
    DEMO.mkdir(exist_ok=True)
    if keep:
        _check_ports()
    with out.status("") as status, _sandbox(SANDBOX_PORT if keep else 0) as url:
        # Only one sandbox can use the library, so from here on only this process uses .demo.
        _step("sandbox of the Media API", f"library in {_short(DEMO / 'library')}")
        AIRFLOW_LOG.write_text("")
        status.update("creating Airflow's database (first run only)")
        _prepare_database(airflow)
        _step(f"Airflow {airflow}", f"home in {_short(AIRFLOW_HOME)}, log in {_short(AIRFLOW_LOG)}")
        status.update(f"starting {DAG_ID}")
        environment = _environment(url)
        outcome = _run_campaign(environment, status)
        status.stop()
        _show_media(outcome["media"], with_urls=keep)
        _show_messages(outcome["messages"])
        out.print(f"\nDone in {time.time() - started:.0f} s.", style="bold")
        if not keep:
            out.print("Browse the run and the library in Airflow: make demo KEEP=1")
            return
        status.update("starting Airflow's UI")
        status.start()
        with _airflow(environment):
            status.stop()
            run = f"{AIRFLOW_URL}/dags/{DAG_ID}/runs/{quote(outcome['run_id'], safe='')}"
            out.print(f"\nRun                 {run}", soft_wrap=True)
            out.print(f"Media Library page  {AIRFLOW_URL}/plugin/media-library")
            out.print(f"Sandbox             {url}/")
            out.print("\nPress Ctrl-C to stop all of them.")
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
            out.print("\nStopping (a few seconds) ...")
        out.print("Stopped.")


def _check_ports() -> None:
    for port in (SANDBOX_PORT, AIRFLOW_PORT):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise DemoError(f"port {port} is in use. Stop the program that listens on it, or run: make demo")


def _prepare_database(airflow: str) -> None:
    """Create Airflow's database once for each version of Airflow."""
    marker = AIRFLOW_HOME / "migrated-for"
    if marker.exists() and marker.read_text() == airflow:
        return
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)
    AIRFLOW_HOME.mkdir()
    with AIRFLOW_LOG.open("a") as log:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(command, env=_environment(), stdout=log, stderr=log, check=False)
    if done.returncode:
        _fail("'airflow db migrate' failed.")
    marker.write_text(airflow)


def _environment(sandbox: str = "") -> dict[str, str]:
    """Return an environment for Airflow's processes without the settings of another Airflow.

    :param sandbox: the base address of the connection.
    """
    own = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    connection = json.dumps({"conn_type": "media", "host": sandbox, "password": API_KEY})
    return {
        **own,
        "AIRFLOW_HOME": str(AIRFLOW_HOME),
        "AIRFLOW_CONN_MEDIA_DEFAULT": connection,
        "AIRFLOW__API__BASE_URL": AIRFLOW_URL,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{AIRFLOW_URL}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",  # it listens on 127.0.0.1 only
        "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"])),
        "PYTHONUNBUFFERED": "1",
    }


@contextlib.contextmanager
def _sandbox(port: int) -> Iterator[str]:
    """Run the sandbox; yield its URL."""
    command = [sys.executable, "-m", "airflow_provider_media.sandbox", "--port", str(port)]
    command += ["--data-dir", str(DEMO / "library"), "--api-key", API_KEY]
    with _terminating(
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ) as process:
        line = process.stdout.readline() if process.stdout else ""
        if " ready at " not in line:
            raise DemoError(f"the sandbox did not start: {line.strip() or 'no output'}")
        yield line.split(" ready at ")[1].split()[0]


@contextlib.contextmanager
def _airflow(environment: dict[str, str]) -> Iterator[None]:
    """Run all of Airflow, and wait until it responds."""
    commands = (
        ("api-server", "--host", "127.0.0.1", "--port", str(AIRFLOW_PORT), "--workers", "1"),
        ("scheduler", "--skip-serve-logs"),  # the log server would listen on all addresses
        ("dag-processor",),
        ("triggerer", "--skip-serve-logs"),
    )
    with AIRFLOW_LOG.open("a") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "airflow", *command],
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
            for command in commands
        ]
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _responds(f"{AIRFLOW_URL}/api/v2/version"):
            if time.monotonic() > deadline:
                _fail(f"Airflow did not start within {_START_SECONDS} s.")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        _stop(*processes)


def _responds(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_POLL_SECONDS * 4):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _terminating(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Terminate the process at the end of the context."""
    try:
        yield process
    finally:
        _stop(process)


def _stop(*processes: subprocess.Popen[str]) -> None:
    """Terminate processes, and those that they started in a session of their own; kill them if they do not end."""
    for process in processes:
        _send(process, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0, deadline - time.monotonic()))
        _send(process, signal.SIGKILL)
        process.wait()


def _send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to a process; if it leads a session, to the whole session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getsid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def _run_campaign(environment: dict[str, str], status: Any) -> dict[str, Any]:
    """Run the DAG and print each task's state; return the media and the messages from the run's XComs."""
    reading, writing = os.pipe()
    command = [sys.executable, str(Path(__file__).with_name("demo_campaign.py")), str(writing)]
    outcome: dict[str, Any] = {}
    with AIRFLOW_LOG.open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, pass_fds=[writing], text=True)
    os.close(writing)
    with _terminating(process), os.fdopen(reading) as reports:
        for line in reports:
            outcome |= json.loads(line)
            if "task" in outcome:
                task, state = outcome.pop("task"), outcome.pop("state")
                _step(task, "skipped, because keep_media is set" if state == "skipped" else state, state=state)
            if "running" in outcome:
                status.update(f"running {outcome.pop('running')}")
        process.wait()
    if outcome.get("run_state") != "success":
        _fail(f"the DAG run ended as {outcome.get('run_state', 'an error')}.")
    return outcome


def _step(what: str, note: str, state: str = "success") -> None:
    mark = {"success": "[green]✓[/]", "skipped": "[dim]-[/]"}.get(state, "[red]✗[/]")
    out.print(f"{mark} {escape(what):<26} [dim]{escape(note)}[/]")


def _show_media(media: list[dict[str, Any]], *, with_urls: bool) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    columns = ("media id", "size", "url") if with_urls else ("file", "media id", "type", "size", "result")
    for column in columns:
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for item in media:
        cells = {
            "file": item["file"],
            "media id": item["id"],
            "type": item["mime_type"],
            "size": f"{item['size'] / 1000:.1f} kB",
            "result": "uploaded" if item["created"] else "reused",
            "url": item["url"],
        }
        table.add_row(*(str(cells[column]) for column in columns))
    out.print(table)


def _show_messages(messages: dict[str, Any]) -> None:
    rcs, whatsapp = messages["rcs"], messages["whatsapp"]
    cards = ", ".join(f"{card['title']} (media {card['media']['mediaId']})" for card in rcs["carousel"]["cards"])
    out.print("Messages with these ids, ready for your own task:")
    out.print(f"  RCS rich card   {rcs['richCard']['title']} (media {rcs['richCard']['media']['mediaId']})")
    out.print(f"  RCS carousel    {cards}")
    out.print(f"  WhatsApp video  {whatsapp['video']['caption']} (media {whatsapp['video']['id']})")


def _fail(message: str) -> NoReturn:
    lines = AIRFLOW_LOG.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    print(f"\nThe end of {_short(AIRFLOW_LOG)}:")
    for line in lines:
        print(f"  {line}")
    raise DemoError(f"{message} See {_short(AIRFLOW_LOG)} for the complete log.")


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
