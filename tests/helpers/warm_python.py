"""Python processes with Airflow already imported.

Importing Airflow takes 3 to 5 s of CPU time, and many tests need a separate process. Python's fork server imports it
once for each test worker; each process forked afterwards starts in milliseconds. Our package is not preloaded, so that
Airflow loads it as in production.
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
"""Below pytest's limit, so that a hanging test shows the output of its process."""


@cache
def _context() -> ForkServerContext:
    """Start the fork server with PYTHONPATH, because Python 3.11 does not pass sys.path to the preloaded modules."""
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
    """A forked process that runs code like ``python -c``; its output is in :attr:`stdout` and :attr:`stderr`.

    :param code: Python source; it runs as ``__main__``.
    :param arguments: ``sys.argv[1:]``.
    :param env: the complete environment; default: that of this process.
    :param cwd: the working directory; default: that of this process.
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
        """The standard output so far."""
        return self._outputs[0].read_text() if self._outputs[0].exists() else ""

    @property
    def stderr(self) -> str:
        """The standard error output so far."""
        return self._outputs[1].read_text() if self._outputs[1].exists() else ""

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def wait(self, timeout: float = TIMEOUT_SECONDS) -> int:
        """Wait for the end of the process; return its exit code.

        :raises subprocess.TimeoutExpired: the process did not end in time, and was killed.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
            raise subprocess.TimeoutExpired("a warm process", timeout, self.stdout, self.stderr)
        return self._process.exitcode

    def close(self) -> None:
        """Kill the process if it still runs, and delete its output."""
        if self.poll() is None:
            self.kill()
        self._process.join()
        self._process.close()
        self._folder.cleanup()


def run(
    code: str, *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code in a :class:`WarmProcess` and wait for its end."""
    with WarmProcess(code, *arguments, env=env, cwd=cwd) as process:
        status = process.wait()
        return subprocess.CompletedProcess(code, status, process.stdout, process.stderr)


def run_airflow(
    *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an Airflow command with this process's ``AIRFLOW_HOME``."""
    return run("from airflow.__main__ import main; main()", *words, env=env, cwd=cwd)


def stop() -> None:
    """Stop the fork server of this process, if there is one."""
    server = forkserver._forkserver  # type: ignore[attr-defined]
    if server._forkserver_alive_fd is not None:
        server._stop()


def _run(code: str, arguments: list[str], env: dict[str, str], cwd: str, outputs: list[str]) -> None:
    """Set up output, environment and arguments in the forked process, and run the code."""
    for number, path in enumerate(outputs, start=1):
        with open(path, "w") as output:  # noqa: PTH123
            os.dup2(output.fileno(), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["airflow" if "airflow.__main__" in code else "-c", *arguments]
    _reload_settings()
    exec(compile(code, "<test>", "exec"), {"__name__": "__main__"})  # noqa: S102


def _reload_settings() -> None:
    """Reload Airflow's settings from the environment of this process instead of the fork server's."""
    from airflow import settings

    settings.initialize()
