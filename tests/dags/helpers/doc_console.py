"""Run the commands of a page's ``console`` samples in order."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.helpers.doc_samples import ROOT
from tests.helpers.warm_python import run_airflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(kw_only=True)
class Console:
    """A page's session. Its exports change this process's environment, which the caller restores.

    :param folder: its working directory.
    :param localise: replaces files and ports in a command by those of the session.
    """

    folder: Path
    localise: Callable[[str], str]
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    def close(self) -> None:
        """Stop background processes."""
        for process in self._running:
            process.terminate()
            process.communicate()

    def execute(self, transcript: str) -> None:
        """Run the commands of one sample, and compare their output with the sample."""
        for command, expected in _commands(self.localise(transcript)):
            printed = self._run(command)
            if printed is not None:
                _assert_printed(expected, printed, command)

    def _run(self, command: str) -> str | None:
        """Return the output of a command; None if it is only checked."""
        words = shlex.split(command)
        if words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), command
            return None
        if "venv" in words or "activate" in command:
            return None  # the tests already run in such an environment
        if "install" in words:
            _check_install(words[-1])
            return None
        if words[:2] == ["airflow", "standalone"]:
            # Too slow here. Instead: the database, and the connection that the page creates in the UI.
            self._run_airflow(["db", "migrate"])
            sandbox = {"conn_type": "media", "host": self.localise("http://127.0.0.1:8099"), "password": "sandbox-key"}
            os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps(sandbox)
            return None
        if words[0] == "airflow":
            return self._run_airflow(words[1:])
        if words[0] == "python":
            command = f"{shlex.quote(sys.executable)}{command.removeprefix('python')}"
        return self._start(command) if "airflow_provider_media.sandbox" in words else self._run_in_shell(command)

    def _run_in_shell(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", f"{command}\nenv -0 >&2"], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        exported = dict(line.split("=", 1) for line in done.stderr.rstrip("\0").split("\0"))
        os.environ |= {name: value for name, value in exported.items() if name.startswith("AIRFLOW")}
        return done.stdout

    def _run_airflow(self, words: list[str]) -> str:
        """Run Airflow's command line in a separate process, because its side effects break later tests."""
        done = run_airflow(*words, cwd=self.folder)
        return done.stdout + done.stderr

    def _start(self, command: str) -> str:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.rstrip('& ')}"], cwd=self.folder, stdout=subprocess.PIPE, text=True
        )
        self._running.append(process)
        assert process.stdout is not None
        return process.stdout.readline()


def _commands(transcript: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with its expected output lines."""
    for part in re.split(r"^\$ ", transcript.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, *lines = part.rstrip("\n").split("\n")
        yield command, lines


def _check_install(what: str) -> None:
    """Check that the package has the extras that a page installs."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = re.search(r"\[(.*)\]", what)
    assert set(asked[1].split(",") if asked else []) <= set(extras), what


def _assert_printed(expected: list[str], printed: str, command: str) -> None:
    """Check that the output contains the lines in order; ``...`` matches anything."""
    rest = printed
    for part in "...".join(expected).split("..."):
        expected_part = part.strip()
        assert expected_part in rest, f"{command}\nexpected\n{expected_part}\nin\n{rest}"
        rest = rest[rest.index(expected_part) + len(expected_part) :]
