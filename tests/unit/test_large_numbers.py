"""Numbers that Python cannot convert, such as 10**5000, end in one short error, whichever argument has them."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._api.settings import _PARSERS, Secret, read_settings
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaFileError
from airflow_provider_media.hooks.media import MediaHook
from airflow_provider_media.sensors.media import MediaExistsSensor
from airflow_provider_media.triggers.media import MediaExistsTrigger
from tests.unit.test_none_is_refused import ARGUMENTS, ATTRIBUTES, REQUIRED, Untouched

if TYPE_CHECKING:
    from collections.abc import Callable

HUGE = 10**5000  # more digits than Python converts to a string
NUMBERS: list[Any] = [HUGE, -HUGE, 10**400, 1e300, float("inf"), float("-inf"), float("nan"), [HUGE]]
NUMERALS = ["1" * 5000, "1e999", "Infinity", "NaN"]
MAX_LENGTH = 500
PNG = "example_dags/media/card-tonic.png"


def assert_short_error(call: Callable[[], object], *also: type[Exception]) -> None:
    """Run a call, which raises an error of one short line.

    :param also: other errors that it may raise.
    """
    with pytest.raises((MediaConfigurationError, MediaFileError, *also)) as caught:
        call()
    if isinstance(caught.value, MediaError):
        assert len(str(caught.value)) <= MAX_LENGTH


@pytest.mark.parametrize(("class_", "name"), ARGUMENTS, ids=lambda value: getattr(value, "__name__", value))
def test_operators_and_sensor_refuse_large_numbers(class_: Any, name: str) -> None:
    for number in NUMBERS:
        made = class_(task_id="a", **REQUIRED[class_])
        setattr(made, ATTRIBUTES.get(name, name), number)
        if name != "media_conn_id":
            made.__dict__["hook"] = Untouched()
        assert_short_error(lambda: made.execute({}), AssertionError)  # noqa: B023 - the hook checks the rest


@pytest.mark.parametrize("name", ["timeout", "poke_interval", "warn_before"])
def test_sensor_refuses_times_of_more_than_a_century(name: str) -> None:
    for seconds in [10**12, 10**10, timedelta(days=50_000)]:
        sensor = MediaExistsSensor(task_id="a", media_id=7, deferrable=True, **{name: seconds})
        assert_short_error(lambda: sensor.execute({}))  # noqa: B023


@pytest.mark.parametrize("name", inspect.signature(MediaExistsTrigger).parameters)
def test_trigger_refuses_large_numbers(name: str) -> None:
    for number in NUMBERS:
        assert_short_error(lambda: MediaExistsTrigger(**{name: number}))  # noqa: B023


@pytest.mark.parametrize("name", ["media_conn_id", "name", "mime_type", "folder_id", "poll_interval"])
def test_event_trigger_refuses_large_numbers(name: str) -> None:
    events = pytest.importorskip("airflow_provider_media.triggers.events", reason="Airflow 2 has no event triggers",
                                 exc_type=ImportError)  # fmt: skip
    for number in NUMBERS:
        assert_short_error(lambda: events.MediaEventTrigger(**{name: number}))  # noqa: B023


@pytest.mark.parametrize("name", _PARSERS)
def test_extras_refuse_large_numbers(name: str) -> None:
    for number in [*NUMBERS, *(NUMERALS if name != "verify" else [])]:  # a string is the path of a CA bundle
        assert_short_error(lambda: read_settings(password=Secret("k"), extra={name: number}))  # noqa: B023
    for numeral in ["1" * 5000, "-" + "1" * 5000, "1e999", "Infinity", "NaN"]:
        assert_short_error(lambda: read_settings(password=Secret("k"), extra=f'{{"{name}": {numeral}}}'))  # noqa: B023


def test_port_refuses_large_numbers() -> None:
    for number in [*NUMBERS, *NUMERALS]:
        assert_short_error(lambda: read_settings(password=Secret("k"), host="a.example", port=number))  # noqa: B023


@pytest.mark.parametrize(
    "name", ["file", "name", "folder_id", "description", "mime_type", "file_name", "channels", "if_exists"]
)
def test_upload_refuses_large_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", "media://:key@127.0.0.1:9")
    hook = MediaHook()
    for number in NUMBERS:
        arguments: dict[str, Any] = {"file": PNG, name: number}
        assert_short_error(lambda: hook.upload(**arguments))  # noqa: B023


@pytest.mark.parametrize(
    "call",
    [
        lambda hook, number: hook.get_media(number),
        lambda hook, number: hook.exists(number),
        lambda hook, number: hook.delete(number),
        lambda hook, number: hook.list_page(page=number),
        lambda hook, number: hook.list_page(limit=number),
        lambda hook, number: hook.list_page(sort_by=number),
        lambda hook, number: next(hook.iter_media(page_size=number)),
    ],
)
def test_reads_refuse_large_numbers(call: Callable[[Any, Any], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", "media://:key@127.0.0.1:9")
    hook = MediaHook()
    for number in NUMBERS:
        assert_short_error(lambda: call(hook, number))  # noqa: B023
