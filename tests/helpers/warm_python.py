"""Python processes that start with Airflow already imported.

Importing Airflow takes 3 to 5 s of CPU, and many tests need a process of their own. Python's own fork server imports it
once for each process that runs tests; each process it forks afterwards starts in milliseconds. Our package is not
imported beforehand, so that Airflow finds it there as it does in production.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.context import ForkServerContext

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 200.0
"""Below pytest's own limit, so that a test that hangs shows what its process printed."""


@cache
def _context() -> ForkServerContext:
    """Start the fork server. It gets its path by the environment: Python 3.11 gives it none for what it preloads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.helpers.warm_preload"])
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([path] if path else [])])
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if path is not None:
            os.environ["PYTHONPATH"] = path
    return context


class WarmProcess:
    """A forked process that runs code as ``python -c`` does.

    :param code: Python source; it runs as ``__main__``.
    :param arguments: ``sys.argv[1:]``.
    :param env: its whole environment; default: this process's, as it is now.
    :param cwd: where it runs; default: here. What it prints goes to :attr:`stdout` and :attr:`stderr`.
    """

    def __init__(
        self, code: str, *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="media-process-")
        self._outputs = Path(self._folder.name, "stdout"), Path(self._folder.name, "stderr")
        self._process = _context().Process(
            target=_run,
            args=(
                code,
                [str(argument) for argument in arguments],
                dict(os.environ if env is None else env),
                str(cwd or Path.cwd()),
                [str(path) for path in self._outputs],
            ),
        )
        self._process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stdout(self) -> str:
        """What it printed so far."""
        return self._outputs[0].read_text() if self._outputs[0].exists() else ""

    @property
    def stderr(self) -> str:
        """What it wrote to its error stream so far."""
        return self._outputs[1].read_text() if self._outputs[1].exists() else ""

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def wait(self, timeout: float = TIMEOUT_SECONDS) -> int:
        """Wait for its end; return its exit code.

        :raises subprocess.TimeoutExpired: it has not ended after so many seconds; it is killed.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
            raise subprocess.TimeoutExpired("a warm process", timeout, self.stdout, self.stderr)
        return self._process.exitcode

    def close(self) -> None:
        """End it, if it still runs, and forget what it printed."""
        if self.poll() is None:
            self.kill()
        self._process.join()
        self._process.close()
        self._folder.cleanup()


def run(
    code: str, *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code in a warm process to its end; see :class:`WarmProcess`."""
    with WarmProcess(code, *arguments, env=env, cwd=cwd) as process:
        status = process.wait()
        return subprocess.CompletedProcess(code, status, process.stdout, process.stderr)


def run_airflow(
    *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of Airflow's command line, in Airflow's home of this process."""
    return run("from airflow.__main__ import main; main()", *words, env=env, cwd=cwd)


def stop() -> None:
    """Stop the fork server of this process, if there is one."""
    server = forkserver._forkserver  # type: ignore[attr-defined]
    if server._forkserver_alive_fd is not None:
        server._stop()


def _run(code: str, arguments: list[str], env: dict[str, str], cwd: str, outputs: list[str]) -> None:
    """Become what the caller asked for; runs in the forked process."""
    for number, path in enumerate(outputs, start=1):
        with open(path, "w") as output:  # noqa: PTH123
            os.dup2(output.fileno(), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["airflow" if "airflow.__main__" in code else "-c", *arguments]
    _read_settings_again()
    exec(compile(code, "<test>", "exec"), {"__name__": "__main__"})  # noqa: S102


def _read_settings_again() -> None:
    """Have Airflow take its settings from the environment of this process, not from that of the fork server."""
    from airflow import settings

    settings.initialize()
