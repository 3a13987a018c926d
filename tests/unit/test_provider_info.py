"""The provider metadata."""

from __future__ import annotations

import dataclasses
import pkgutil
import re
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import airflow_provider_media
from airflow_provider_media._api.settings import Secret, Settings, read_settings
from airflow_provider_media.assets.media import SCHEME
from airflow_provider_media.hooks.media import MediaHook
from airflow_provider_media.links.media import MediaLink
from airflow_provider_media.provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR, get_provider_info

EXTRAS = {field.name for field in dataclasses.fields(Settings)} - {"base_url", "api_key", "max_response_bytes"}


def test_form_fields_match_the_extras_of_the_settings() -> None:
    assert set(CONNECTION_FIELDS) == EXTRAS


def test_every_extra_has_label_description_and_placeholder() -> None:
    for name, field in CONNECTION_FIELDS.items():
        assert field["label"]
        assert field["description"].endswith(".")
        assert UI_FIELD_BEHAVIOUR["placeholders"][name]


def test_defaults_in_descriptions_match_the_settings() -> None:
    settings = read_settings(password=Secret("a-key"))
    documented = {
        name: float(match[1])
        for name, field in CONNECTION_FIELDS.items()
        if (match := re.search(r"Default (\d+)\.", field["description"]))
    }
    assert documented == {name: getattr(settings, name) for name in documented}
    assert len(documented) == 5


def test_empty_form_is_valid() -> None:
    assert all("null" in field["schema"]["type"] for field in CONNECTION_FIELDS.values())


def test_proxy_field_is_masked() -> None:
    assert CONNECTION_FIELDS["proxy"]["schema"]["format"] == "password"


def test_version_matches_the_distribution() -> None:
    assert get_provider_info()["versions"][0] == airflow_provider_media.__version__
    assert version("airflow-provider-media") == airflow_provider_media.__version__


def test_entry_point_loads_the_provider_info() -> None:
    [point] = [
        point for point in entry_points(group="apache_airflow_provider") if "airflow_provider_media" in point.value
    ]
    assert point.load() is get_provider_info


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_public_module_is_listed(kind: str) -> None:
    package = Path(str(airflow_provider_media.__file__)).parent / kind
    [listed] = get_provider_info()[kind]
    assert set(listed["python-modules"]) == {
        f"airflow_provider_media.{kind}.{file.stem}" for file in package.glob("[!_]*.py")
    }


def test_all_listed_objects_exist() -> None:
    info = get_provider_info()
    [connection] = info["connection-types"]
    assert pkgutil.resolve_name(connection["hook-class-name"]) is MediaHook
    assert (connection["connection-type"], connection["hook-name"]) == (MediaHook.conn_type, MediaHook.hook_name)
    [link] = info["extra-links"]
    assert pkgutil.resolve_name(link) is MediaLink
    [uris] = info["asset-uris"]
    assert (uris["schemes"], info["dataset-uris"]) == ([SCHEME], [uris])
    assert callable(pkgutil.resolve_name(uris["handler"]))
    assert callable(pkgutil.resolve_name(uris["factory"]))


def test_airflow_2_hides_and_relabels_the_same_fields() -> None:
    behaviour = MediaHook.get_ui_field_behaviour()
    assert behaviour["hidden_fields"] == UI_FIELD_BEHAVIOUR["hidden-fields"]
    assert behaviour["relabeling"] == UI_FIELD_BEHAVIOUR["relabeling"]
    assert "hidden-fields" in UI_FIELD_BEHAVIOUR  # get_ui_field_behaviour must not modify it
