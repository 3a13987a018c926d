"""Carry out the commands of a page's ``console`` samples, in their order, as its reader would."""

from __future__ import annotations

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
    """A page's session. What it exports goes into this process's environment; put that back afterwards.

    :param folder: where it works.
    :param localise: puts this session's files and ports into a command.
    """

    folder: Path
    localise: Callable[[str], str]
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    def close(self) -> None:
        """Stop what runs in the background."""
        for process in self._running:
            process.terminate()
            process.communicate()

    def execute(self, transcript: str) -> None:
        """Run the commands of one sample, and compare what they print with what it shows."""
        for command, expected in _commands(self.localise(transcript)):
            printed = self._run(command)
            if printed is not None:
                _assert_printed(expected, printed, command)

    def _run(self, command: str) -> str | None:
        """Return what a command printed; None for one that is only checked."""
        words = shlex.split(command)
        if words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), command
            return None
        if "venv" in words or "activate" in command:
            return None  # the tests' own environment is the one that it would make
        if "install" in words:
            _check_install(words[-1])
            return None
        if words[0] == "airflow":
            return self._run_airflow(words[1:])
        if words[0] == "python":
            command = f"{shlex.quote(sys.executable)}{command.removeprefix('python')}"
        return self._start(command) if "airflow_provider_media.sandbox" in words else self._run_in_shell(command)

    def _run_in_shell(self, command: str) -> str:
        answer = subprocess.run(
            ["bash", "-euc", f"{command}\nenv -0 >&2"], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, f"{command}\n{answer.stdout}{answer.stderr}"
        exported = dict(line.split("=", 1) for line in answer.stderr.rstrip("\0").split("\0"))
        os.environ |= {name: value for name, value in exported.items() if name.startswith("AIRFLOW")}
        return answer.stdout

    def _run_airflow(self, words: list[str]) -> str:
        """Run Airflow's command line; in a process of its own, for what it leaves behind breaks later tests."""
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
    """Give each command with the lines that it prints."""
    for part in re.split(r"^\$ ", transcript.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, *lines = part.rstrip("\n").split("\n")
        yield command, lines


def _check_install(what: str) -> None:
    """See that this package has the extras that a page has installed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = re.search(r"\[(.*)\]", what)
    assert set(asked[1].split(",") if asked else []) <= set(extras), what


def _assert_printed(expected: list[str], printed: str, command: str) -> None:
    """See that the lines stand in what was printed, in their order; ``...`` stands for anything."""
    rest = printed
    for part in "...".join(expected).split("..."):
        wanted = part.strip()
        assert wanted in rest, f"{command}\nis said to print\n{wanted}\nbut went on with\n{rest}"
        rest = rest[rest.index(wanted) + len(wanted) :]
