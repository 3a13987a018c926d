"""What a sync keeps for later ones: the manifest, and the checkpoint of an interrupted attempt.

Both have receipts of uploads, which recognize what the platform renamed, re-encoded or lists late.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_media._airflow.files import as_local, check_regular, read_text, resolve_target, write_text
from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.values import parse_flag, plural, redact_url, redact_urls, safe_cause
from airflow_provider_media._upload.source import is_object_path, local_path
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._sync.scan import FoundFile
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

MAX_RECEIPTS_BYTES = 24 * 1024
"""Airflow keeps 64 KiB of a value."""

_KEYS = ("id", "name", "size", "sha256", "stored")
"""The keys of a receipt in an entry of the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The receipt of one upload: what was sent, and what the platform stored."""

    media_id: int | str
    name: str
    size: int
    sha256: str | None
    stored_name: str | None
    stored_size: int | None

    def is_of(self, upload: UploadSpec, media: Media) -> bool:
        """Return whether it is the receipt of a file of the library; compare more than ids, which may be reused."""
        if self.name != upload.name or str(media.id) != str(self.media_id) or upload.is_of_another_folder(media):
            return False
        names, sizes = (media.name, self.stored_name), (media.size, self.stored_size)
        return (None in names or names[0] == names[1]) and (not all(sizes) or sizes[0] == sizes[1])

    def is_same(self, upload: UploadSpec) -> bool:
        """Return whether the local file still has the uploaded content, as far as known."""
        return self.size == upload.source.size and upload.fingerprint in {None, self.sha256}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """Read the receipt in the entry of a manifest."""
        stored = entry.get("stored") or entry
        strings = (entry["name"], entry.get("sha256") or "", stored["name"] or "")
        sizes = (entry["size"], stored["size"] or 0)
        if not all(isinstance(text, str) for text in strings) or not all(type(size) is int for size in sizes):
            raise ValueError("names must be strings, and sizes integers")
        if type(entry["id"]) not in {int, str}:
            raise ValueError("an id must be an integer or a string")
        return cls(
            media_id=entry["id"],
            name=entry["name"],
            size=entry["size"],
            sha256=entry.get("sha256"),
            stored_name=stored["name"],
            stored_size=stored["size"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCheckpoint:
    """The state of the previous attempts of a sync.

    :param sending: whether uploads were running, so that the attempt was interrupted. Also true if the attempt ended
        with more receipts than can be stored.
    :param since: before Airflow 3.3, when the run started; not stored.
    """

    KIND: ClassVar[str] = "media_sync"
    GROWING: ClassVar[str] = ""
    outlives_clearing: ClassVar[bool] = True  # a successful sync deletes it

    sending: bool = False
    baseline: Baseline | None = None
    receipts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ended_at: float = 0.0
    since: datetime | None = None

    @classmethod
    def load(cls, state: TaskState[SyncCheckpoint], context: Context) -> SyncCheckpoint:
        """Load it; before Airflow 3.3, a task's second try counts as interrupted."""
        is_retry = not state.is_kept and getattr(context.get("ti"), "try_number", 1) > 1
        since = getattr(context.get("dag_run"), "start_date", None) if is_retry else None
        return state.load() or cls(sending=is_retry, since=since)

    def ended(self, manifest: Mapping[str, Mapping[str, Any]]) -> SyncCheckpoint:
        """Return the checkpoint of an attempt that ended with failures, with the receipts of its uploads."""
        receipts = dict(self.receipts)
        for path, entry in manifest.items():
            if entry["action"] != "keep":
                receipts[path] = {key: entry[key] for key in _KEYS if key in entry}
        is_small = len(json.dumps(receipts)) <= MAX_RECEIPTS_BYTES
        return replace(self, sending=not is_small, receipts=receipts if is_small else {}, ended_at=time.time())

    def may_have_sent(self, media: Media) -> bool:
        """Return whether an attempt may have uploaded a file; False if the API does not show its age."""
        if self.baseline is not None:
            return self.baseline.is_newer(media) is True
        return self.since is not None and media.created_at is not None and media.created_at >= self.since

    def to_dict(self) -> dict[str, Any]:
        """Return a dict of JSON values."""
        return {
            "sending": self.sending,
            "baseline": self.baseline.to_dict() if self.baseline else None,
            "receipts": dict(self.receipts),
            "ended_at": self.ended_at,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output."""
        return cls(
            sending=parse_flag(values["sending"]),
            baseline=None if values["baseline"] is None else Baseline.from_dict(values["baseline"]),
            receipts={path: receipt for path, receipt in values["receipts"].items() if Receipt.from_dict(receipt)},
            ended_at=float(values["ended_at"]),
        )


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
    elif not is_object_path(target):
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
