"""Query parameters of the list, validated according to openapi.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_media.sandbox.errors import ApiError
from airflow_provider_media.sandbox.library import SORT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import QueryParams

MAX_LIMIT = 1000
_SORT_ORDERS = ("asc", "desc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """Parameters of a list request, with the API's defaults."""

    page: int = 0
    limit: int = 10
    sort_by: str = "id"
    sort_order: str = "asc"


def parse_list_query(parameters: QueryParams) -> ListQuery:
    """Parse the list's parameters.

    :raises ApiError: a parameter is invalid, unknown or repeated.
    """
    values = _single_values(parameters, known=("page", "limit", "sortBy", "sortOrder"))
    return ListQuery(
        page=_integer("page", values.get("page", "0"), minimum=0),
        limit=_integer("limit", values.get("limit", "10"), minimum=1, maximum=MAX_LIMIT),
        sort_by=_choice("sortBy", values.get("sortBy", "id"), SORT_COLUMNS),
        sort_order=_choice("sortOrder", values.get("sortOrder", "asc"), _SORT_ORDERS),
    )


def reject_query(parameters: QueryParams) -> None:
    """Reject all parameters, so that a mistyped parameter does not go unnoticed.

    :raises ApiError: there is a parameter.
    """
    _single_values(parameters, known=())


def _single_values(parameters: QueryParams, known: Collection[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parameters.multi_items():
        if name not in known:
            raise ApiError(HTTPStatus.BAD_REQUEST, f"Unknown query parameter {name!r}.")
        if name in values:
            raise ApiError(HTTPStatus.BAD_REQUEST, f"The query parameter {name!r} must not be repeated.")
        values[name] = value
    return values


def _integer(name: str, text: str, minimum: int, maximum: int | None = None) -> int:
    # At most 100 digits, because int() is slow for long strings.
    number = int(text) if re.fullmatch("-?[0-9]{1,100}", text) else minimum - 1
    if number < minimum or (maximum is not None and number > maximum):
        span = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ApiError(HTTPStatus.BAD_REQUEST, f"{name} must be an integer {span}.")
    return number


def _choice(name: str, text: str, choices: Collection[str]) -> str:
    if text not in choices:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"{name} must be one of {', '.join(choices)}.")
    return text
