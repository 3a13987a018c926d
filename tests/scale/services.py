"""Redis and PostgreSQL from Debian's packages, on free ports and with temporary data folders."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.system.helpers.airflow_system import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {"redis-server": "redis-server", "initdb": "postgresql"}
"""Programs and their packages."""

_ROOT = 0
_STOP_SECONDS = 20


@contextmanager
def redis_server() -> Iterator[str]:
    """Run Redis; yield its URL."""
    port = free_port()
    with _folder() as folder:
        options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
        with _running([_find("redis-server"), *options], folder):
            command = ["redis-cli", "-p", str(port), "ping"]
            wait_for(lambda: _succeeds(command), "Redis")
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgresql() -> Iterator[str]:
    """Run PostgreSQL, as the user ``postgres`` if this process is root; yield its SQLAlchemy URL for psycopg2."""
    port = free_port()
    initdb = Path(_find("initdb")).resolve()  # in the folder of the other programs
    user = "postgres" if os.getuid() == _ROOT else None
    with _folder(user) as folder:
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "airflow", "--auth=trust", "--no-sync", "--encoding=UTF8"],
            cwd=folder, user=user, group=user, check=True, capture_output=True,
        )  # fmt: skip
        settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}",
                    "max_connections=200", "fsync=off"]  # fmt: skip
        options = [part for setting in settings for part in ("-c", setting)]
        with _running([initdb.with_name("postgres"), "-D", data, *options], folder, user):
            command = [initdb.with_name("pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
            wait_for(lambda: _succeeds(command), "PostgreSQL")
            yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/postgres"


def install_missing() -> None:
    """Install missing packages, as root on Debian, without starting their services.

    :raises SystemExit: a package cannot be installed.
    """
    missing = [package for program, package in PACKAGES.items() if not _where(program)]
    if not missing:
        return
    message = f"Redis and PostgreSQL are needed: apt-get install {' '.join(missing)}"
    if os.getuid() != _ROOT or not shutil.which("apt-get"):
        sys.exit(f"{message} (as root), or the equivalent on your system.")
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
    if subprocess.run(command, env=quietly, stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit(f"{message} (apt-get failed; see its output above).")


def _where(program: str) -> str | None:
    """Find a program in PATH, or in the folder of Debian's newest PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return shutil.which(program) or (str(found[-1]) if found else None)


def _find(program: str) -> str:
    found = _where(program)
    if not found:
        raise FileNotFoundError(f"{program} is missing: install {PACKAGES[program]}.")
    return found


@contextmanager
def _folder(user: str | None = None) -> Iterator[Path]:
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="media-scale-", ignore_cleanup_errors=True))
        )
        if user:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield folder


@contextmanager
def _running(command: list[str | Path], folder: Path, user: str | None = None) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, user=user, group=user, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown, which does not wait for clients
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _succeeds(command: list[str | Path]) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode
