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
    parse_media_ids,
    parse_name,
    parse_names,
    parse_optional,
    parse_token,
    takes_literally,
)
from airflow_provider_media._api.values import parse_bool, parse_int, refuse_none
from airflow_provider_media._polling.criteria import WaitCriteria
from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_media._airflow.arguments import NotGiven


def parse_criteria(
    *,
    media_id: int | str | NotGiven,
    media_ids: Any,
    name: str | NotGiven,
    names: Any,
    wildcards: bool | str,
    min_matches: int | str,
    folder_id: int | str | NotGiven,
    mime_type: str | NotGiven,
    stored_after: datetime | str | NotGiven,
    pick: str,
) -> WaitCriteria:
    """Return the ids or names that a sensor waits for.

    :raises MediaConfigurationError: an argument is invalid.
    """
    has_wildcards = parse_bool("wildcards", wildcards)
    matches = parse_int("min_matches", min_matches)
    refuse_none("name", name)
    refuse_none("names", names)
    filters: dict[str, Any] = {
        "folder_id": parse_optional(parse_token, "folder_id", folder_id),
        "mime_type": parse_optional(parse_token, "mime_type", mime_type),
        "stored_after": parse_optional(parse_datetime, "stored_after", stored_after),
        "pick": parse_choice("pick", pick, ("oldest", "newest")),
    }
    by_id = media_id is not NOT_GIVEN or media_ids is not NOT_GIVEN
    by_name = name is not NOT_GIVEN or names is not NOT_GIVEN
    if by_id == by_name:
        raise MediaConfigurationError("Set either media_id or media_ids, or else name or names.")
    if by_id:
        ids = parse_media_ids(media_id, media_ids, ignore_none=False)
        return _checked(WaitCriteria(ids=tuple(map(str, ids)), min_matches=matches, **filters))
    parsed = [] if name is NOT_GIVEN else [parse_name("name", name)]
    parsed += [] if names is NOT_GIVEN else parse_names("names", names)
    criteria = WaitCriteria(
        names=tuple(dict.fromkeys(map(str, parsed))),
        exact=frozenset(str(each) for each in parsed if takes_literally(each, wildcards=has_wildcards)),
        min_matches=matches,
        **filters,
    )
    return _checked(criteria)


def _checked(criteria: WaitCriteria) -> WaitCriteria:
    if criteria.min_matches > 1 and not any(map(criteria.is_pattern, criteria.keys)):
        raise MediaConfigurationError(
            f"min_matches={criteria.min_matches} requires a name with wildcards, such as 'banner-*', because an id or a"
            " plain name needs one file."
        )
    return criteria


def parse_warning(warn_before: Any, on_warning: Any) -> tuple[timedelta | None, Callable[..., object] | None]:
    """Return how long before the deadline to warn, and the function to call.

    :param on_warning: a callable or its dotted path, or None.
    :raises MediaConfigurationError: an argument is invalid.
    """
    if warn_before is None and on_warning is None:
        return None, None
    if warn_before is None:
        raise MediaConfigurationError("on_warning requires warn_before, the time before the deadline.")
    call = on_warning
    if isinstance(on_warning, str):
        try:
            call = pkgutil.resolve_name(on_warning)
        except (ImportError, AttributeError, ValueError) as error:
            raise MediaConfigurationError(f"on_warning={on_warning!r} cannot be imported: {error}.") from error
    if call is not None and not callable(call):
        raise MediaConfigurationError(f"on_warning={on_warning!r} must be a callable or the dotted path of one.")
    return timedelta(seconds=parse_interval("warn_before", warn_before)), call
