"""The query parameters of the list, checked as openapi.yaml has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow_provider_media.sandbox.errors import ProblemError
from airflow_provider_media.sandbox.library import SORT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import QueryParams

MAX_LIMIT = 1000
_SORT_ORDERS = ("asc", "desc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """What a list call asks for; the defaults are the API's."""

    page: int = 0
    limit: int = 10
    sort_by: str = "id"
    sort_order: str = "asc"


def read_list_query(parameters: QueryParams) -> ListQuery:
    """Read the list's parameters.

    :raises ProblemError: one is malformed or unknown, or stands there twice.
    """
    values = _single_values(parameters, known=("page", "limit", "sortBy", "sortOrder"))
    return ListQuery(
        page=_whole_number("page", values.get("page", "0"), minimum=0),
        limit=_whole_number("limit", values.get("limit", "10"), minimum=1, maximum=MAX_LIMIT),
        sort_by=_choice("sortBy", values.get("sortBy", "id"), SORT_COLUMNS),
        sort_order=_choice("sortOrder", values.get("sortOrder", "asc"), _SORT_ORDERS),
    )


def refuse_query(parameters: QueryParams) -> None:
    """Refuse any parameter, where the API has none: a mistyped one must not look as if it worked.

    :raises ProblemError: there is one.
    """
    _single_values(parameters, known=())


def _single_values(parameters: QueryParams, known: Collection[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parameters.multi_items():
        if name not in known:
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"There is no query parameter {name!r} here.")
        if name in values:
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"The query parameter {name!r} must stand there only once.")
        values[name] = value
    return values


def _whole_number(name: str, text: str, minimum: int, maximum: int | None = None) -> int:
    # The bound on the digits keeps int() quick; no client counts that far.
    number = int(text) if re.fullmatch("-?[0-9]{1,100}", text) else minimum - 1
    if number < minimum or (maximum is not None and number > maximum):
        span = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number {span}.")
    return number


def _choice(name: str, text: str, choices: Collection[str]) -> str:
    if text not in choices:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{name} must be one of {', '.join(choices)}.")
    return text
