"""The manifest of a sync: the media in the library for each file of the folder."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.files import as_local, check_regular, read_text, resolve_target, write_text
from airflow_provider_media._api.values import plural, redact_url, redact_urls, safe_cause
from airflow_provider_media._sync.checkpoint import Receipt, receipt_of
from airflow_provider_media._upload.source import local_path
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_media._sync.plan import PlanStep
    from airflow_provider_media._sync.scan import FoundFile

log = logging.getLogger(__name__)


def manifest_of(results: Iterable[PlanStep]) -> dict[str, dict[str, Any]]:
    """Return one entry for each file in the library, by path in the folder, sorted."""
    entries = {}
    for result in sorted(results, key=lambda result: result.file.path):
        file, media = result.file, result.media
        if media is not None and file.upload is not None:
            entries[file.path] = {
                "path": file.path,
                "id": media.id,
                "name": file.name,
                "url": media.url,
                "mime_type": file.mime_type,
                "size": file.size,
                "action": result.action,
                "warnings": list(file.warnings),
                **receipt_of(file.upload, media),
            }
    return entries


def check_can_be_mapped(operator: BaseOperator, context: Context, entries: int) -> None:
    """Refuse, before the first upload, a manifest that is too long for Airflow to map a task over."""
    from airflow.providers.common.compat.sdk import conf

    most = conf.getint("core", "max_map_length", fallback=1024)
    # Airflow maps over the results of a mapped task as one.
    is_mapped = getattr(context.get("ti"), "map_index", -1) >= 0
    if entries <= most or is_mapped or operator.get_dag() is None:
        return
    if any(True for _ in operator.iter_mapped_dependants()):
        raise MediaConfigurationError(
            f"The folder has {entries} files, but Airflow maps a task over at most {most} ([core] max_map_length)."
            ' Raise the limit, or use output="reference" and read the manifest in the downstream tasks.'
        )


def check_manifest_path(path: Any, found: Iterable[FoundFile]) -> None:
    """Check, before the first upload, that the manifest can be written.

    :param found: the files of the folder. A manifest among them would be synced by the next run.
    """
    target, reason = as_local(path), None
    if str(target) in {str(local_path(file.path)) for file in found}:
        reason = "it is one of the files to sync; use another folder"
    elif isinstance(target, Path):
        try:
            check_regular(target)
            folder = resolve_target(target).parent
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                reason = "no permission to write to its folder"
            elif target.is_dir():
                reason = "it is a folder; give the path of a file"
        except OSError as error:
            reason = error.strerror or str(error)
    if reason:
        raise MediaConfigurationError(f"manifest_path={redact_url(str(path))!r} cannot be written: {reason}.")


def read_receipts(path: Any) -> tuple[dict[str, Receipt], float]:
    """Return the receipts in the manifest of an earlier sync, by path, and its age in seconds.

    Without a manifest that can be read, there are none; an unknown age is infinite.
    """
    try:
        manifest = json.loads(read_text(path))
        receipts = {str(name): Receipt.from_dict(entry) for name, entry in manifest.items()}
    except FileNotFoundError:
        return {}, float("inf")
    except Exception as error:  # noqa: BLE001 - of any file system; the sync works without
        cause = f"{type(error).__name__}: {error}"
        log.warning(
            "Could not read the manifest of an earlier sync from %r; ignoring it: %s", redact_url(str(path)), cause
        )
        return {}, float("inf")
    try:
        return receipts, max(0.0, time.time() - float(as_local(path).stat().st_mtime))
    except Exception:  # noqa: BLE001 - of any file system
        return receipts, float("inf")


def write_manifest(path: Any, manifest: dict[str, dict[str, Any]]) -> None:
    """Write it as JSON; on a local disk, readers see either the old or the new file."""
    shown = redact_url(str(path))
    try:
        write_text(path, json.dumps(manifest, ensure_ascii=False, indent=1))
    except Exception as error:  # noqa: BLE001 - of any file system
        reason = redact_urls(str(error)) or type(error).__name__
        raise MediaError(f"Could not write the manifest to {shown!r}: {reason}.") from safe_cause(error)
    log.info("Wrote the manifest of %s to %r", plural(len(manifest), "file"), shown)
