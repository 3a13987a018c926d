"""Fill the asset events of a task's outlets, in the one way that Airflow 3 and Airflow 2.11 share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Asset, BaseOperator, Context

log = logging.getLogger(__name__)


def fill_outlet_events(
    context: Context,
    operator: BaseOperator,
    extra: Mapping[str, Any],
    *,
    alias_asset: Callable[[], Asset] | None = None,
) -> None:
    """Put metadata into the asset events that Airflow emits for a task's outlets once the task has succeeded.

    Each instance of a mapped task emits events of its own. What the DAG's author put into an event stays, but for the
    keys given here. Outlets that are no assets (lineage entities of Airflow 2) are passed over.

    :param context: the task's context.
    :param operator: the task; of a mapped one, the operator that executes.
    :param extra: JSON values; with ``alias_asset`` flat ones: Airflow 2.11 hashes the values of an alias's event, so a
        list or dict among them would fail the task after it has done its work.
    :param alias_asset: makes the asset that an outlet which is an ``AssetAlias`` stands for in this run; without it,
        Airflow emits no event for an alias. What it refuses (ValueError) is a warning: the work is done.
    """
    events: Any = context.get("outlet_events")
    if events is None:  # a context of a test, or of an older Airflow
        return
    assets, alias = _outlet_types()
    for outlet in operator.outlets or ():
        if isinstance(outlet, assets):
            events[outlet].extra.update(extra)
        elif isinstance(outlet, alias) and alias_asset is not None:
            try:
                events[outlet].add(alias_asset(), extra=dict(extra))
            except ValueError as error:
                log.warning("No asset event for the alias %s: %s", outlet.name, error)


def _outlet_types() -> tuple[Any, Any]:
    """Return the types of assets, and that of an alias; references by name or URI exist from Airflow 3 on."""
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    try:
        from airflow.sdk.definitions.asset import AssetRef
    except ImportError:
        return (Asset,), AssetAlias
    return (Asset, AssetRef), AssetAlias
