"""The workflows in ``.github``. ``make workflows`` checks their syntax and permissions."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from tests.helpers.doc_samples import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_runs_existing_make_targets(path) -> None:
    targets = set()
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        commands = [step["run"] for step in job["steps"] if step.get("run", "").startswith("make ")]
        matrix = job.get("strategy", {}).get("matrix", {}).get("target", [])
        commands += [f"make {target}" for target in matrix]
        targets |= {word for command in commands for word in shlex.split(command)[1:] if re.fullmatch(r"[\w-]+", word)}

    assert targets
    assert targets <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)), path


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_pins_actions_by_commit_and_version(path) -> None:
    uses = re.findall(r"uses: (.+)", path.read_text())

    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", use)] == []
