"""Fill the asset events of a task's outlets, in Airflow 2.11 and 3."""

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
    """Add metadata to the asset events that Airflow emits for a task's outlets when the task succeeds.

    Each instance of a mapped task emits its own events. Other keys that the DAG's author set are kept. Outlets that are
    not assets (lineage entities of Airflow 2) are skipped.

    :param context: the task's context.
    :param operator: the task; for a mapped one, the unmapped operator.
    :param extra: JSON values. With ``alias_asset``, scalars only, because Airflow 2.11 hashes the values of an alias's
        event.
    :param alias_asset: returns the asset for an outlet that is an ``AssetAlias``; without it, Airflow emits no event
        for an alias. A ValueError is logged as a warning, because the upload is done.
    """
    events: Any = context.get("outlet_events")
    if events is None:  # the context of a test
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
    """Return the types of assets, and of an alias; references by name or URI exist since Airflow 3."""
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    try:
        from airflow.sdk.definitions.asset import AssetRef
    except ImportError:
        return (Asset,), AssetAlias
    return (Asset, AssetRef), AssetAlias
