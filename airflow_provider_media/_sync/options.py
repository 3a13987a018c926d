"""The parsed arguments of a sync."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_media._sync.manifest import ManifestFile
    from airflow_provider_media.models import Media


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """The arguments of :class:`~airflow_provider_media.operators.media.MediaSyncOperator`, parsed.

    :param source_label: the source as the user wrote it.
    :param back_up: writes files somewhere before they are deleted.
    """

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
    back_up: Callable[[Iterable[Media]], None] | None = None
