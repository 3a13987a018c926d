"""The arguments of an event trigger are validated when the DAG is parsed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import PurePath
from typing import Any

import pytest

from airflow_provider_media.exceptions import MediaConfigurationError

events = pytest.importorskip("airflow_provider_media.triggers.events", reason="Airflow 2 has no event triggers",
                             exc_type=ImportError)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(30, 30), (0.5, 0.5), (timedelta(seconds=30), 30), (timedelta(minutes=2, milliseconds=500), 120.5)],
)
def test_interval_is_a_number_or_a_timedelta(given: Any, seconds: float) -> None:
    path, arguments = json.loads(json.dumps(events.MediaEventTrigger(poll_interval=given).serialize()))
    assert path == "airflow_provider_media.triggers.events.MediaEventTrigger"
    assert arguments["poll_interval"] == seconds
    assert events.MediaEventTrigger(**arguments).serialize()[1] == arguments


@pytest.mark.parametrize(
    "interval",
    [
        0,
        -1,
        True,
        None,
        "30",
        "",
        [30],
        float("nan"),
        float("inf"),
        10**400,
        1e300,
        timedelta(0),
        timedelta(seconds=-5),
        {"seconds": 5},
    ],
    ids=repr,
)
def test_invalid_interval_is_rejected(interval: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"^poll_interval must be a positive number of seconds"):
        events.MediaEventTrigger(poll_interval=interval)


@pytest.mark.parametrize("argument", ["media_conn_id", "name", "mime_type", "folder_id"])
@pytest.mark.parametrize(
    "value", ["", " \n", "None", " None ", ["a*"], ("a", "b"), {"a"}, b"a", 1.5, True, PurePath("a"), object], ids=repr
)
def test_non_string_is_rejected(argument: str, value: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=f"^{argument} must be a non-empty string, not "):
        events.MediaEventTrigger(**{argument: value})


@pytest.mark.parametrize("argument", ["media_conn_id", "name", "mime_type", "folder_id"])
@pytest.mark.parametrize(
    "template", ["{{ ds }}", "banner-{{ds}}", "{% if x %}a{% endif %}", "{{ var.value.name }}*", "{# a #}b*"]
)
def test_template_is_rejected(argument: str, template: str) -> None:
    with pytest.raises(MediaConfigurationError, match=f"^{argument} must not be a template, because Airflow does not"):
        events.MediaEventTrigger(**{argument: template})


def test_task_output_is_rejected() -> None:
    from airflow_provider_media.operators.media import MediaGetOperator

    output = MediaGetOperator(task_id="get", media_id=17).output["name"]
    with pytest.raises(MediaConfigurationError, match=r"^name must be a non-empty string, not "):
        events.MediaEventTrigger(name=output)


@pytest.mark.parametrize(
    "arguments",
    [{"name": " banner "}, {"name": "[draft] *"}, {"name": "100% {new}"}, {"folder_id": 7}, {"folder_id": "f-1"}],
)
def test_valid_arguments_are_unchanged(arguments: dict[str, Any]) -> None:
    trigger = events.MediaEventTrigger(**arguments)
    assert trigger.serialize()[1].items() >= arguments.items()


def test_blanks_around_arguments_are_removed_but_not_around_names() -> None:
    _, arguments = events.MediaEventTrigger(
        media_conn_id=" media_other", name=" banner*", mime_type="image/* ", folder_id=" 7 "
    ).serialize()
    given = {name: arguments[name] for name in ("media_conn_id", "name", "mime_type", "folder_id")}
    assert given == {"media_conn_id": "media_other", "name": " banner*", "mime_type": "image/*", "folder_id": "7"}
