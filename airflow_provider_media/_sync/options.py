"""The arguments of a sync, read and checked before anything else happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_media._sync.manifest import ManifestFile


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """The operator's arguments, each of its own type; they are described there."""

    source: Any
    source_label: str
    pattern: str
    exclude: tuple[str, ...]
    on_unsupported: str
    name_template: str
    folder_id: int | str | None
    description: str | None
    if_changed: str
    channels: tuple[str, ...]
    check_integrity: bool
    on_reference: str
    max_workers: int
    allow_failures: int
    dry_run: bool
    fingerprint: bool
    manifest_file: ManifestFile | None
    returns_manifest: bool
