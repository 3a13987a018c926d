"""The reference in docs/ lists exactly what exists."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest

from airflow_provider_media import exceptions
from airflow_provider_media._api.settings import Settings
from airflow_provider_media.provider_info import CONNECTION_FIELDS, get_provider_info
from airflow_provider_media.sandbox import __main__ as sandbox
from airflow_provider_media.sandbox.faults import OPTIONS
from tests.helpers.doc_samples import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
INDEX = (DOCS / "index.md").read_text()
SANDBOX = (DOCS / "reference" / "sandbox.md").read_text()


def test_page_lists_all_options_of_the_sandbox(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        sandbox.main(["--help"])
    table = SANDBOX.partition("| option | meaning | default |\n")[2].partition("\n\n")[0]

    documented = set(re.findall(r"`(--[\w-]+)`", table))

    assert documented == set(re.findall(r"^  (--[\w-]+)", capsys.readouterr().out, re.MULTILINE))


def test_page_lists_all_faults_with_their_options() -> None:
    table = SANDBOX.partition("| `fault` | effect | options |\n")[2].partition("\n\n")[0]

    rows = [line.split("|") for line in table.splitlines()[1:]]

    documented = {row[1].strip().strip("`"): set(re.findall(r"`(\w+)`", row[3])) for row in rows}
    assert documented == {fault: set(options) for fault, options in OPTIONS.items()}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem) for folder in ("guides", "reference") for page in (DOCS / folder).glob("*.md")],
)
def test_index_leads_to_each_page(page: Path) -> None:
    listed = INDEX + (DOCS / "reference" / "index.md").read_text()

    assert f"/{page.name})" in INDEX or f"({page.name})" in listed


def test_page_lists_all_options_of_airflow_cfg() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text()
    table = page.partition("| `[media]` | meaning | default |\n")[2].partition("\n\n")[0]

    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(get_provider_info()["config"]["media"]["options"])


def test_page_has_the_label_and_the_default_of_each_extra() -> None:
    page = (DOCS / "reference" / "connection.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \(extra `(\w+)`\) \|.*\| ([^|]*) ?\|$", page, re.MULTILINE)
    labels = {key: field["label"].removesuffix(" (seconds)") for key, field in CONNECTION_FIELDS.items()}
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}

    def shown(default: object) -> set[str]:
        return {"", "no limit"} if default is None else {f"{default:g}" if isinstance(default, float) else str(default)}

    assert {key: label for label, key, _ in rows} == labels
    assert {
        key for _, key, default in rows if default.strip() not in {each.lower() for each in shown(defaults[key])}
    } == set()


def test_page_names_each_error_and_the_transient_ones() -> None:
    page = (DOCS / "reference" / "errors.md").read_text()
    classes = {
        name: each
        for name, each in vars(exceptions).items()
        if isinstance(each, type) and issubclass(each, exceptions.MediaError) and not name.startswith("_")
    }
    transient = page.partition("Every error is")[2].partition("are transient")[0]

    assert {name for name in classes if f"`{name}`" not in page} == set()
    assert set(re.findall(r"`((?:Media|Transfer)\w+)`", transient)) == {
        name for name, each in classes.items() if each.retryable
    }
