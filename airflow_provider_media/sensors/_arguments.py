"""Validate the arguments of a sensor."""

from __future__ import annotations

import pkgutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    parse_choice,
    parse_datetime,
    parse_interval,
    parse_list,
    parse_media_ids,
    parse_name,
    parse_names,
    parse_optional,
    parse_token,
    takes_literally,
)
from airflow_provider_media._api.values import parse_bool, parse_int, refuse_none
from airflow_provider_media._channels.rules import channels_of
from airflow_provider_media._polling.criteria import WaitCriteria
from airflow_provider_media.exceptions import MediaConfigurationError
from airflow_provider_media.sensors._gate import Gate
from airflow_provider_media.sensors._wait import Wait
from airflow_provider_media.triggers._poller import UNLIMITED_FAILURES, PollPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context


def load_wait(sensor: Any, context: Context) -> Wait:
    """Return the state of a sensor's wait.

    :raises MediaConfigurationError: an argument is invalid.
    """
    max_failures = parse_int("max_poll_failures", sensor.max_poll_failures)
    warn_before, on_warning = _parse_warning(sensor.warn_before, sensor.on_warning)
    return Wait.load(
        context,
        task_id=sensor.task_id,
        library=_library_of(sensor),
        criteria=_parse_criteria(sensor),
        policy=PollPolicy(UNLIMITED_FAILURES if sensor.silent_fail else max_failures),
        timeout=sensor.timeout,
        needed_by=parse_optional(parse_datetime, "needed_by", sensor.needed_by),
        warn_before=warn_before,
        on_warning=on_warning,
        gate=Gate(
            channels_of(parse_list("channels", sensor.channels)), check_url=parse_bool("check_url", sensor.check_url)
        ),
    )


def _library_of(sensor: Any) -> str | None:
    """Return a sensor's connection and base address; None if the connection cannot be read, which the poll reports."""
    try:
        return f"{sensor.media_conn_id} {sensor.hook.settings.base_url}"
    except Exception as error:  # noqa: BLE001 - a secrets backend may raise anything
        sensor.log.debug("Could not read the connection %r: %s", sensor.media_conn_id, error)
        return None


def _parse_criteria(sensor: Any) -> WaitCriteria:
    has_wildcards = parse_bool("wildcards", sensor.wildcards)
    refuse_none("name", sensor.name)
    refuse_none("names", sensor.names)
    options: dict[str, Any] = {
        "min_matches": parse_int("min_matches", sensor.min_matches),
        "folder_id": parse_optional(parse_token, "folder_id", sensor.folder_id),
        "mime_type": parse_optional(parse_token, "mime_type", sensor.mime_type),
        "stored_after": parse_optional(parse_datetime, "stored_after", sensor.stored_after),
        "pick": parse_choice("pick", sensor.pick, ("oldest", "newest")),
    }
    by_id = sensor.media_id is not NOT_GIVEN or sensor.media_ids is not NOT_GIVEN
    by_name = sensor.name is not NOT_GIVEN or sensor.names is not NOT_GIVEN
    if by_id == by_name:
        raise MediaConfigurationError("Set either media_id or media_ids, or else name or names.")
    if by_id:
        ids = parse_media_ids(sensor.media_id, sensor.media_ids, ignore_none=False)
        return _checked(WaitCriteria(ids=tuple(map(str, ids)), **options))
    parsed = [] if sensor.name is NOT_GIVEN else [parse_name("name", sensor.name)]
    parsed += [] if sensor.names is NOT_GIVEN else parse_names("names", sensor.names)
    exact = frozenset(str(each) for each in parsed if takes_literally(each, wildcards=has_wildcards))
    return _checked(WaitCriteria(names=tuple(dict.fromkeys(map(str, parsed))), exact=exact, **options))


def _checked(criteria: WaitCriteria) -> WaitCriteria:
    if criteria.min_matches > 1 and not any(map(criteria.is_pattern, criteria.keys)):
        raise MediaConfigurationError(
            f"min_matches={criteria.min_matches} requires a name with wildcards, such as 'banner-*', because an id or a"
            " plain name needs one file."
        )
    return criteria


def _parse_warning(warn_before: Any, on_warning: Any) -> tuple[timedelta | None, Callable[..., object]]:
    """Return how long before the deadline to warn, and the function to call."""
    if warn_before is None and on_warning is None:
        return None, _do_nothing
    if warn_before is None:
        raise MediaConfigurationError("on_warning requires warn_before, the time before the deadline.")
    call = _do_nothing if on_warning is None else on_warning
    if isinstance(on_warning, str):
        try:
            call = pkgutil.resolve_name(on_warning)
        except (ImportError, AttributeError, ValueError) as error:
            raise MediaConfigurationError(f"on_warning={on_warning!r} cannot be imported: {error}.") from error
    if not callable(call):
        raise MediaConfigurationError(f"on_warning={on_warning!r} must be a callable or the dotted path of one.")
    return timedelta(seconds=parse_interval("warn_before", warn_before)), call


def _do_nothing(*_: object) -> None:
    """Ignore the warning, which is in the log."""
