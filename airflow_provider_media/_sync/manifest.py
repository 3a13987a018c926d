"""The manifest of a sync: the media in the library for each file of the folder."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.files import check_regular, read_text, resolve_target, write_text
from airflow_provider_media._api.values import plural, redact_url, redact_urls, safe_cause
from airflow_provider_media._sync.checkpoint import Receipt
from airflow_provider_media._upload.source import local_path
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_media._sync.plan import StepResult
    from airflow_provider_media._sync.scan import FoundFile
    from airflow_provider_media._upload.spec import UploadSpec

log = logging.getLogger(__name__)


def manifest_of(outcomes: Iterable[StepResult], uploads: Mapping[str, UploadSpec]) -> dict[str, dict[str, Any]]:
    """Return one entry for each file in the library, by path in the folder, sorted."""
    entries = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.step.path):
        media = outcome.media
        if media is not None:
            entries[outcome.step.path] = {
                "path": outcome.step.path,
                "id": media.id,
                "name": outcome.step.name,
                "url": media.url,
                "mime_type": outcome.step.mime_type,
                "size": outcome.step.size,
                "action": outcome.action,
                "warnings": list(outcome.step.warnings),
                **Receipt.of(uploads[outcome.step.path], media).to_dict(),
            }
    return entries


def check_can_be_mapped(operator: BaseOperator, context: Context, entries: int) -> None:
    """Refuse, before the first upload, a manifest that is too long for Airflow to map a task over."""
    from airflow.providers.common.compat.sdk import conf

    most = conf.getint("core", "max_map_length", fallback=1024)
    is_mapped = (
        getattr(context.get("ti"), "map_index", -1) >= 0
    )  # Airflow maps over the results of a mapped task as one
    if entries <= most or is_mapped or operator.get_dag() is None:
        return
    mapped = next(iter(operator.iter_mapped_dependants()), None)
    if mapped is not None:
        raise MediaConfigurationError(
            f"The folder has {entries} files, but Airflow maps a task over at most {most} ([core] max_map_length)."
            ' Raise the limit, or use output="reference" and read the manifest in the downstream tasks.'
        )


class ManifestFile:
    """The file of a manifest."""

    def __init__(self, path: Any) -> None:
        self.path = path if hasattr(path, "fs") else Path(path)
        self._is_local = not hasattr(path, "fs")

    def __str__(self) -> str:
        return str(self.path)

    def check(self, found: Iterable[FoundFile]) -> None:
        """Check, before the first upload, that it can be written.

        :param found: the files of the folder. A manifest among them would be synced by the next run.
        """
        if str(local_path(self.path)) in {str(local_path(file.path)) for file in found}:
            raise self._unwritable("it is one of the files to sync; use another folder")
        if not self._is_local:
            return
        try:
            check_regular(self.path)
            folder = resolve_target(self.path).parent
            folder.mkdir(parents=True, exist_ok=True)
            is_writable = os.access(folder, os.W_OK)
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from None
        if not is_writable:
            raise self._unwritable("no permission to write to its folder")
        if self.path.is_dir():
            raise self._unwritable("it is a folder; give the path of a file")

    def _unwritable(self, reason: str) -> MediaConfigurationError:
        return MediaConfigurationError(f"manifest_path={redact_url(str(self))!r} cannot be written: {reason}.")

    def read_receipts(self) -> dict[str, Receipt]:
        """Return the receipts in the manifest of an earlier sync, by path; none if it is missing or cannot be read."""
        try:
            manifest = json.loads(read_text(self.path))
            return {str(path): Receipt.from_dict(entry) for path, entry in manifest.items()}
        except FileNotFoundError:
            return {}
        except Exception as error:  # noqa: BLE001 - of any file system; the sync works without
            cause = f"{type(error).__name__}: {error}"
            log.warning(
                "Could not read the manifest of an earlier sync from %r; ignoring it: %s", redact_url(str(self)), cause
            )
            return {}

    def age_seconds(self) -> float:
        """Return how long ago it was written; infinity if unknown."""
        try:
            return max(0.0, time.time() - float(self.path.stat().st_mtime))
        except Exception:  # noqa: BLE001 - of any file system
            return math.inf

    def write(self, manifest: dict[str, dict[str, Any]]) -> None:
        """Write it as JSON; on a local disk, readers see either the old or the new file."""
        try:
            write_text(self.path, json.dumps(manifest, ensure_ascii=False, indent=1))
        except Exception as error:  # noqa: BLE001 - of any file system
            path, reason = redact_url(str(self)), redact_urls(str(error)) or type(error).__name__
            raise MediaError(f"Could not write the manifest to {path!r}: {reason}.") from safe_cause(error)
        log.info("Wrote the manifest of %s to %r", plural(len(manifest), "file"), redact_url(str(self.path)))
