"""The arguments of a sync, read and checked before anything else happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.arguments import (
    parse_bool,
    parse_choice,
    parse_int,
    parse_list,
    parse_nullable,
    parse_optional,
    parse_path,
    parse_str,
    parse_token,
)
from airflow_provider_media._sync.executor import MOST_WORKERS
from airflow_provider_media._sync.manifest import ManifestFile
from airflow_provider_media.exceptions import MediaConfigurationError, public_errors

if TYPE_CHECKING:
    from airflow_provider_media.operators._sync import MediaSyncOperator


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """The operator's arguments, each of its own type; they are described there."""

    source: Any
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


def read_options(operator: MediaSyncOperator) -> SyncOptions:
    """Read what templates and XComs may have made texts.

    :raises MediaConfigurationError: with one sentence.
    """
    from airflow_provider_media._channels.rules import channels_of
    from airflow_provider_media._sync.plan import IF_CHANGED
    from airflow_provider_media._sync.scan import check_name_template
    from airflow_provider_media._upload.spec import check_shared
    from airflow_provider_media.hooks._base import as_path

    output = parse_choice("output", operator.returned, ("manifest", "reference"))
    path = parse_optional(parse_path, "manifest_path", operator.manifest_path)
    if output == "reference" and path is None:
        raise MediaConfigurationError('output="reference" needs a manifest_path: the path that the manifest goes to.')
    with public_errors():
        description = parse_nullable(parse_str, "description", operator.description)
        folder = parse_optional(parse_token, "folder_id", operator.folder_id)
        description, folder_id = check_shared(description, folder)
        return SyncOptions(
            source=as_path(parse_path("source", operator.source)),
            pattern=parse_str("pattern", operator.pattern),
            exclude=tuple(parse_str("exclude", pattern) for pattern in parse_list("exclude", operator.exclude)),
            on_unsupported=parse_choice("on_unsupported", operator.on_unsupported, ("fail", "skip")),
            name_template=check_name_template(parse_str("name_template", operator.name_template)),
            folder_id=folder_id,
            description=description,
            if_changed=parse_choice("if_changed", operator.if_changed, IF_CHANGED),
            channels=channels_of(parse_list("channels", operator.channels)),
            check_integrity=parse_bool("check_integrity", operator.check_integrity),
            on_reference=parse_choice("on_reference", operator.on_reference, ("fail", "skip")),
            max_workers=parse_int("max_workers", operator.max_workers, most=MOST_WORKERS),
            allow_failures=parse_int("allow_failures", operator.allow_failures, least=0),
            dry_run=parse_bool("dry_run", operator.is_dry_run),
            fingerprint=parse_bool("fingerprint", operator.fingerprint),
            manifest_file=None if path is None else ManifestFile(as_path(path)),
            returns_manifest=output == "manifest",
        )
