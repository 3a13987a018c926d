"""Serialization of the trigger as JSON, also from an older release."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any

import pytest

from airflow_provider_media.exceptions import MediaConfigurationError
from airflow_provider_media.triggers.media import MediaExistsTrigger

DEFAULTS: dict[str, Any] = {
    "media_conn_id": "media_default",
    "media_ids": [],
    "names": [],
    "exact_names": [],
    "min_matches": 1,
    "folder_id": None,
    "mime_type": None,
    "stored_after": None,
    "pick": "oldest",
    "found_before": 0,
    "poll_interval": 60.0,
    "deadline": None,
    "warn_at": None,
    "max_poll_failures": 5,
    "not_before": None,
}
OTHERS: dict[str, Any] = {
    "media_conn_id": "media_other",
    "media_ids": ["1", "med_a"],
    "names": ["a", "b*"],
    "exact_names": ["b*"],
    "min_matches": 3,
    "folder_id": "7",
    "mime_type": "image/*",
    "stored_after": "2026-06-01T00:00:00+02:00",
    "pick": "newest",
    "found_before": 2,
    "poll_interval": 0.5,
    "deadline": "2026-07-01T09:00:00+02:00",
    "warn_at": "2026-07-01T08:30:00+02:00",
    "max_poll_failures": 1,
    "not_before": "2026-07-01T08:00:00+02:00",
}


def recreated(trigger: MediaExistsTrigger) -> MediaExistsTrigger:
    """Send a trigger through JSON, and create it as a triggerer does."""
    path, arguments = json.loads(json.dumps(trigger.serialize()))
    module, _, name = path.rpartition(".")
    made: MediaExistsTrigger = getattr(importlib.import_module(module), name)(**arguments)
    return made


def test_all_arguments_are_covered() -> None:
    parameters = inspect.signature(MediaExistsTrigger).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        **DEFAULTS,
        "media_ids": (),
        "names": (),
        "exact_names": (),
    }
    assert set(OTHERS) == set(DEFAULTS)


@pytest.mark.parametrize("argument", OTHERS)
def test_each_argument_is_serialized(argument: str) -> None:
    trigger = MediaExistsTrigger(**{argument: OTHERS[argument]})
    again = recreated(trigger)
    assert again.serialize() == trigger.serialize()
    assert again.serialize()[1] == {**DEFAULTS, argument: OTHERS[argument]}
    assert getattr(again, argument) == OTHERS[argument]


def test_all_arguments_are_serialized_together() -> None:
    assert recreated(MediaExistsTrigger(**OTHERS)).serialize()[1] == OTHERS


def test_tuples_become_lists() -> None:
    trigger = MediaExistsTrigger(media_ids=("1", 2), names=("a",))
    assert trigger.serialize()[1]["media_ids"] == ["1", 2]
    assert recreated(trigger).serialize() == trigger.serialize()


@pytest.mark.parametrize("missing", DEFAULTS)
def test_trigger_of_a_release_without_a_key_loads(missing: str) -> None:
    older = {key: value for key, value in OTHERS.items() if key != missing}
    assert MediaExistsTrigger(**older).serialize()[1] == {**OTHERS, missing: DEFAULTS[missing]}


def test_class_path_is_stable() -> None:
    assert MediaExistsTrigger().serialize()[0] == "airflow_provider_media.triggers.media.MediaExistsTrigger"


def test_airflow_stores_and_loads_it() -> None:
    from airflow.models.trigger import Trigger

    row = Trigger.from_object(MediaExistsTrigger(**OTHERS))
    assert row.classpath == MediaExistsTrigger().serialize()[0]
    assert MediaExistsTrigger(**row.kwargs).serialize()[1] == OTHERS


def test_blanks_around_arguments_are_removed() -> None:
    trigger = MediaExistsTrigger(media_conn_id=" media_other ", folder_id=" 7", mime_type="image/* ")
    assert (trigger.media_conn_id, trigger.folder_id, trigger.mime_type) == ("media_other", "7", "image/*")


@pytest.mark.parametrize("value", ["", " ", "None", " None "])
@pytest.mark.parametrize("argument", sorted(set(DEFAULTS) - {"min_matches", "found_before", "max_poll_failures"}))
def test_empty_strings_and_none_in_quotes_are_refused(argument: str, value: str) -> None:
    is_list = isinstance(DEFAULTS[argument], list)
    with pytest.raises(MediaConfigurationError, match=rf"^{argument} must|is not a media id") as caught:
        MediaExistsTrigger(**{argument: [value] if is_list else value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("argument", ["min_matches", "found_before", "max_poll_failures"])
@pytest.mark.parametrize("value", ["", "None", None, "x", 1.5, -1, True])
def test_numbers_that_are_not_integers_are_refused(argument: str, value: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=f"^{argument} must "):
        MediaExistsTrigger(**{argument: value})


def test_an_interval_of_zero_is_the_minimum_interval() -> None:
    assert recreated(MediaExistsTrigger(poll_interval=0.0)).poll_interval == 0


def test_one_id_or_name_is_a_list_of_one() -> None:
    trigger = MediaExistsTrigger(media_ids="17", names="banner*", exact_names=7)  # type: ignore[arg-type]
    assert (trigger.media_ids, trigger.names, trigger.exact_names) == (["17"], ["banner*"], ["7"])
