"""Airflow knows the provider: its schemas accept what the package says, and its commands show it."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_provider_media.provider_info import CONNECTION_FIELDS, get_provider_info
from tests.helpers.warm_python import run

AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:2])
FORM_IN_COMMANDS = pytest.mark.skipif(
    (3, 0) <= AIRFLOW < (3, 2),
    reason="before 3.2 Airflow 3 shows a form in its commands only where Flask AppBuilder is installed",
)

AIRFLOW_FOLDER = Path(str(airflow.__file__)).parent


def schema(name: str) -> dict[str, Any]:
    return dict(json.loads((AIRFLOW_FOLDER / name).read_text()))


ROWS = ("--output", "json")
COMMANDS = [
    ("providers", "list", *ROWS),
    ("providers", "get", "airflow-provider-media", "--full", *ROWS),
    ("providers", "hooks", *ROWS),
    ("providers", "behaviours", *ROWS),
    ("providers", "widgets", *ROWS),
]
RUN_COMMANDS = """
import contextlib, io, json, sys
from airflow.__main__ import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["airflow", *command]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        main()
    print(json.dumps([command, output.getvalue()]))
"""


@pytest.fixture(scope="module")
def outputs() -> dict[str, str]:
    """What Airflow's commands print; one process carries out all."""
    done = run(RUN_COMMANDS, json.dumps(COMMANDS))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[[")]
    return {" ".join(arguments[:2]): output for arguments, output in results}


def rows_of(output: str) -> list[dict[str, Any]]:
    return list(json.loads(output[output.index("[{") :]))


def test_runtime_schema_accepts_the_provider_info() -> None:
    jsonschema.validate(get_provider_info(), schema("provider_info.schema.json"))


def test_strict_schema_accepts_the_connection_type() -> None:
    """The schema of the providers' own files refuses unknown keys, which the runtime schema lets through."""
    strict = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    connection_types = get_provider_info()["connection-types"]
    if "conn-fields" not in strict["items"]["properties"]:  # Airflow 2 takes the form from the hook
        newer = {"hook-name", "ui-field-behaviour", "conn-fields"}
        connection_types = [{key: kind[key] for key in kind.keys() - newer} for kind in connection_types]
    jsonschema.validate(connection_types, strict)


def test_providers_list_shows_the_package(outputs: dict[str, str]) -> None:
    rows = rows_of(outputs["providers list"])
    ours = [row for row in rows if row["package_name"] == "airflow-provider-media"]
    assert [version("airflow-provider-media")] == [row["version"] for row in ours]


def test_providers_get_shows_the_package(outputs: dict[str, str]) -> None:
    (shown,) = rows_of(outputs["providers get"])
    ours = get_provider_info()
    for key in ("package-name", "name", "integrations", "operators", "sensors", "hooks"):
        assert ours[key] == shown[key]
    assert ours["connection-types"][0]["hook-class-name"] == shown["connection-types"][0]["hook-class-name"]


def test_providers_hooks_shows_the_connection_type(outputs: dict[str, str]) -> None:
    (ours,) = [row for row in rows_of(outputs["providers hooks"]) if row["connection_type"] == "media"]
    assert ours["class"] == "airflow_provider_media.hooks.media.MediaHook"
    assert ours["conn_id_attribute_name"] == "media_conn_id"
    assert ours["hook_name"] == "Media Library"


@FORM_IN_COMMANDS
def test_providers_behaviours_shows_the_connection_type(outputs: dict[str, str]) -> None:
    rows = rows_of(outputs["providers behaviours"])
    assert "media" in [row["field_behaviours"] for row in rows]


@FORM_IN_COMMANDS
def test_providers_widgets_shows_every_extra(outputs: dict[str, str]) -> None:
    rows = [row for row in rows_of(outputs["providers widgets"]) if "media" in json.dumps(row)]
    shown = json.dumps(rows)
    assert [field for field in CONNECTION_FIELDS if field not in shown] == []


@pytest.mark.skipif(
    AIRFLOW < (3, 1), reason="Airflow 3.0 builds the form only where Flask AppBuilder is installed; 2.11 has its own"
)
@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")
def test_the_form_that_the_ui_asks_for_has_every_field() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = [form for form in HookMetaService.hook_meta_data() if form.connection_type == "media"]
    assert form.standard_fields is not None
    assert form.extra_fields is not None
    assert form.hook_name == "Media Library"
    assert form.standard_fields.password is not None
    assert form.standard_fields.password.title == "API key"
    assert list(form.extra_fields) == list(CONNECTION_FIELDS)
