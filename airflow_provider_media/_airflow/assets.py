"""Fill the asset events of a task's outlets, and report uploads to Airflow's lineage collector."""

from __future__ import annotations

import logging
import string
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_media.assets.media import media_extra, media_uri

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Asset, BaseOperator, Context

    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)


def fill_outlet_events(
    context: Context,
    operator: BaseOperator,
    extra: Mapping[str, Any],
    *,
    alias_asset: Callable[[], Asset] | None = None,
) -> None:
    """Add metadata to the asset events that Airflow emits for a task's outlets when the task succeeds.

    Other keys that the DAG's author set are kept. Outlets that are not assets are skipped.

    :param extra: JSON values. With ``alias_asset``, scalars only, because Airflow 2.11 hashes the values of an alias's
        event.
    :param alias_asset: returns the asset for an outlet that is an ``AssetAlias``; without it, an alias has no event.
    """
    events: Any = context.get("outlet_events")
    if events is None:  # the context of a test
        return
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    assets: tuple[Any, ...] = (Asset,)
    with suppress(ImportError):  # Airflow 2 has no references by name or URI
        from airflow.sdk.definitions.asset import AssetRef

        assets += (AssetRef,)
    for outlet in operator.outlets or ():
        if isinstance(outlet, assets):
            events[outlet].extra.update(extra)
        elif isinstance(outlet, AssetAlias) and alias_asset is not None:
            try:
                events[outlet].add(alias_asset(), extra=dict(extra))
            except ValueError as error:
                log.warning("No asset event for the alias %s: %s", outlet.name, error)


def report_upload(hook: Any, file: Any, media: Media, name: str) -> None:
    """Report the file as an input and the media as an output; errors are logged and do not fail the upload."""
    try:
        from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

        collector: Any = get_hook_lineage_collector()  # type: ignore[no-untyped-call]
        if source := file_uri(file):
            collector.add_input_asset(context=hook, uri=source)
        target = media_uri(hook.media_conn_id, media.name or name)
        collector.add_output_asset(context=hook, uri=target, asset_extra=media_extra(media))
    except Exception:  # any plugin may run in there
        log.warning("Could not report the lineage of the upload %r", media.id, exc_info=True)


def file_uri(file: Any) -> str | None:
    """Return the URI of a file; None for an open file that has no path."""
    if hasattr(file, "read"):
        file = getattr(file, "name", None)
        return _local(file) if isinstance(file, str) and Path(file).is_file() else None
    scheme, is_uri, rest = str(file).partition("://")
    if is_uri:
        if scheme in {"http", "https"}:  # the query may hold a signature
            rest = rest.partition("?")[0].partition("#")[0]
        store, slash, key = rest.partition("/")
        # As Airflow itself reports it, but without the connection's id; Airflow 2.11 accepts ASCII only.
        return quote(f"{scheme}://{store.rpartition('@')[2]}{slash}{key}", safe=string.printable)
    return _local(file)


def _local(path: str | os.PathLike[str]) -> str:
    return Path(path).absolute().as_uri()
