"""Validate the arguments of a sensor that select media."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    parse_media_ids,
    parse_name,
    parse_names,
    takes_literally,
)
from airflow_provider_media._api.values import parse_bool, parse_int, refuse_none
from airflow_provider_media._polling.criteria import WaitCriteria
from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from airflow_provider_media._airflow.arguments import NotGiven


def parse_criteria(
    *,
    media_id: int | str | NotGiven,
    media_ids: Any,
    name: str | NotGiven,
    names: Any,
    wildcards: bool | str,
    min_matches: int | str,
) -> WaitCriteria:
    """Return the ids or names that a sensor waits for.

    :raises MediaConfigurationError: an argument is invalid.
    """
    has_wildcards = parse_bool("wildcards", wildcards)
    matches = parse_int("min_matches", min_matches)
    refuse_none("name", name)
    refuse_none("names", names)
    by_id = media_id is not NOT_GIVEN or media_ids is not NOT_GIVEN
    by_name = name is not NOT_GIVEN or names is not NOT_GIVEN
    if by_id == by_name:
        raise MediaConfigurationError("Set either media_id or media_ids, or else name or names.")
    if by_id:
        ids = parse_media_ids(media_id, media_ids, ignore_none=False)
        return WaitCriteria(ids=tuple(map(str, ids)))
    parsed = [] if name is NOT_GIVEN else [parse_name("name", name)]
    parsed += [] if names is NOT_GIVEN else parse_names("names", names)
    return WaitCriteria(
        names=tuple(dict.fromkeys(map(str, parsed))),
        exact=frozenset(str(each) for each in parsed if takes_literally(each, wildcards=has_wildcards)),
        min_matches=matches,
    )
