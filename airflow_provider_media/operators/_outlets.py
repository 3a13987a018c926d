"""Tell in the asset events of a task what it made."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

log = logging.getLogger(__name__)


def fill_outlet_events(context: Context, operator: BaseOperator, extra: dict[str, Any]) -> None:
    """Add facts to the event of each outlet.

    :param extra: JSON-able values.
    """
    events: Any = context.get("outlet_events")
    for outlet in operator.outlets or () if events is not None else ():
        events[outlet].extra = {**events[outlet].extra, **extra}
