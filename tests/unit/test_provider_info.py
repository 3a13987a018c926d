"""What Airflow is told about the package."""

from __future__ import annotations

import dataclasses
import pkgutil
import re
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import airflow_provider_media
from airflow_provider_media._api.secret import Secret
from airflow_provider_media._api.settings import Settings, read_settings
from airflow_provider_media.assets.media import SCHEME
from airflow_provider_media.hooks.media import MediaHook
from airflow_provider_media.links.media import MediaLink
from airflow_provider_media.provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR, get_provider_info

EXTRAS = {field.name for field in dataclasses.fields(Settings)} - {"base_url", "api_key", "largest_reply_bytes"}


def test_every_extra_that_the_settings_read_has_a_form_field_and_every_field_is_read() -> None:
    assert set(CONNECTION_FIELDS) == EXTRAS


def test_every_extra_has_a_label_a_help_text_and_a_placeholder() -> None:
    for name, field in CONNECTION_FIELDS.items():
        assert field["label"]
        assert field["description"].endswith(".")
        assert UI_FIELD_BEHAVIOUR["placeholders"][name]


def test_the_defaults_in_the_help_texts_are_those_of_the_settings() -> None:
    settings = read_settings(password=Secret("a-key"))
    told = {
        name: float(match[1])
        for name, field in CONNECTION_FIELDS.items()
        if (match := re.search(r"Default (\d+)\.", field["description"]))
    }
    assert told == {name: getattr(settings, name) for name in told}
    assert len(told) == 5


def test_an_empty_form_is_a_valid_one() -> None:
    assert all("null" in field["schema"]["type"] for field in CONNECTION_FIELDS.values())


def test_what_may_hold_a_password_is_hidden_while_it_is_typed() -> None:
    assert CONNECTION_FIELDS["proxy"]["schema"]["format"] == "password"


def test_the_version_is_the_packages_and_the_distributions() -> None:
    assert get_provider_info()["versions"][0] == airflow_provider_media.__version__
    assert version("airflow-provider-media") == airflow_provider_media.__version__


def test_the_entry_point_leads_to_the_provider_info() -> None:
    [point] = [
        point for point in entry_points(group="apache_airflow_provider") if "airflow_provider_media" in point.value
    ]
    assert point.load() is get_provider_info


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_public_module_is_named_and_nothing_else(kind: str) -> None:
    package = Path(str(airflow_provider_media.__file__)).parent / kind
    [named] = get_provider_info()[kind]
    assert set(named["python-modules"]) == {
        f"airflow_provider_media.{kind}.{file.stem}" for file in package.glob("[!_]*.py")
    }


def test_all_that_is_named_is_there() -> None:
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


def test_airflow_2_hides_and_labels_the_same_fields() -> None:
    behaviour = MediaHook.get_ui_field_behaviour()
    assert behaviour["hidden_fields"] == UI_FIELD_BEHAVIOUR["hidden-fields"]
    assert behaviour["relabeling"] == UI_FIELD_BEHAVIOUR["relabeling"]
    assert "hidden-fields" in UI_FIELD_BEHAVIOUR  # reading it must not change it
