"""Fetch both sides of a sync: the folder's files, checked, and the library's files with their names."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.baseline import baseline_in
from airflow_provider_media._api.flows import get_settled, list_all
from airflow_provider_media._api.values import plural
from airflow_provider_media._channels.check import check_file
from airflow_provider_media._sync.plan import LocalFile, as_table, group_by_name
from airflow_provider_media._sync.scan import library_name
from airflow_provider_media._upload.source import file_error_reason, open_source, printable
from airflow_provider_media._upload.spec import merge_details, prepare_upload, with_unknown_folder
from airflow_provider_media.exceptions import (
    MediaError,
    MediaFileError,
    MediaNotFoundError,
    TransferAbortedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from airflow_provider_media._api.baseline import Baseline
    from airflow_provider_media._deletion.delete import BackUp, References
    from airflow_provider_media._sync.manifest import Receipt
    from airflow_provider_media._sync.scan import FoundFile
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_MAX_SKIPPED_SHOWN = 50

_LIBRARY = ("The library",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """The arguments of :class:`~airflow_provider_media.operators.media.MediaSyncOperator`, parsed."""

    source: Any
    source_label: str
    pattern: str
    exclude: tuple[str, ...]
    on_unsupported: str = "fail"
    name_template: str = "{path}"
    folder_id: int | str | None = None
    description: str | None = None
    if_changed: str = "replace"
    channels: tuple[str, ...]
    check_integrity: bool
    references: References | None = None
    on_reference: str = "fail"
    max_workers: int = 1
    allow_failures: int = 0
    dry_run: bool = False
    fingerprint: bool = False
    manifest_path: Any = None
    returns_manifest: bool = True
    back_up: BackUp | None = None


def prepare_files(
    hook: MediaHook,
    found: Sequence[FoundFile],
    options: SyncOptions,
    workers: Executor,
    receipts: Mapping[str, Receipt],
) -> list[LocalFile]:
    """Check every file before the first upload; return each with its problem, if any.

    Files of unsupported types are excluded, with a warning, if ``on_unsupported`` is ``skip``.

    :param workers: check files in parallel, because reading from an object store is slow.
    """

    def prepare(file: FoundFile) -> LocalFile:
        if hook.get_conn().is_cancelled:
            raise TransferAbortedError("The task was stopped.")
        return prepare_file(file, options, receipts, accepts_converted=hook.settings.accept_converted)

    prepared = list(workers.map(prepare, found))
    skipped = [(file.path, file.problem or "") for file in prepared if file.rejected_by == _LIBRARY]
    if options.on_unsupported == "fail" or not skipped:
        return prepared
    table, files = as_table(skipped, max_rows=_MAX_SKIPPED_SHOWN), plural(len(prepared), "file")
    log.warning("Skipped %d of %s of unsupported types (on_unsupported='skip')\n%s", len(skipped), files, table)
    if len(skipped) == len(prepared):
        raise MediaFileError(
            f"The folder {options.source_label!r} cannot be synced: the library accepts none of its file types."
        )
    return [file for file in prepared if file.rejected_by != _LIBRARY]


def prepare_file(
    file: FoundFile, options: SyncOptions, receipts: Mapping[str, Receipt], *, accepts_converted: bool = False
) -> LocalFile:
    """Check one file; return it with its problem, if any."""
    path, name = printable(file.relative), printable(library_name(file.relative, options.name_template))
    try:
        # In this thread, neither the task's timeout nor its end could interrupt waiting for the writer of a pipe.
        source = open_source(file.path, info=file.info, takes_pipes=False)
        upload = prepare_upload(source, default_name=name, description=options.description, folder_id=options.folder_id)
        report = check_file(source, upload.mime_type, options.channels, check_integrity=options.check_integrity)
        if (options.fingerprint or accepts_converted) and not report.errors:
            upload = upload.with_fingerprint(accepts_converted=accepts_converted)
    except MediaError as error:
        rejected_by = _LIBRARY if isinstance(error, MediaFileError) and error.is_unsupported_type else ()
        problem = file_error_reason(error)
        return LocalFile(path=path, name=name, problem=problem, error_class=type(error), rejected_by=rejected_by)
    return LocalFile(
        path=path,
        name=name,
        upload=upload,
        fingerprint=upload.fingerprint if options.fingerprint else None,
        receipt=receipts.get(path),
        problem=". ".join(report.errors) or None,
        rejected_by=report.rejected_by,
        warnings=report.warnings,
    )


def fetch_existing_media(
    hook: MediaHook, prepared: Sequence[LocalFile], workers: Executor, *, wait_seconds: float = 0.0
) -> tuple[dict[str, list[Media]], Baseline]:
    """List the library once; return the files with the names of the folder's files, by name, and the baseline.

    Details are fetched of each file for which the list is incomplete.

    :param wait_seconds: how long to wait for files that an earlier sync stored and the library does not show yet.
    """
    library = hook.run_flow(list_all({file.name for file in prepared}.__contains__))
    listed = {str(media.id) for media in library}
    unlisted = [file.receipt.media_id for file in prepared if file.receipt and str(file.receipt.media_id) not in listed]
    if unlisted:
        log.info("Checking %s of an earlier sync that the list does not show", plural(len(unlisted), "file"))
        library += _get_all(hook, unlisted, workers, wait_seconds).values()
    by_name = group_by_name(prepared, library)
    baseline = baseline_in(library, [media for several in by_name.values() for media in several])
    unclear = [media for file in prepared for media in by_name.get(file.name, ()) if _is_unclear(file, media)]
    if unclear:
        log.info("Fetching details of %s, because the list response is incomplete", plural(len(unclear), "file"))
        found = _get_all(hook, [media.id for media in unclear], workers, hook.settings.settle_seconds)
        gone = {str(media.id) for media in unclear} - set(found)
        for name, several in by_name.items():
            still = (media for media in several if str(media.id) not in gone)
            by_name[name] = [merge_details(media, found.get(str(media.id), media)) for media in still]
    _log_unknown_fields(prepared, by_name)
    return by_name, baseline


def _get_all(
    hook: MediaHook, media_ids: Sequence[int | str], workers: Executor, wait_seconds: float
) -> dict[str, Media]:
    """Get files by their ids; wait for those that a GET does not find, because they may be new."""

    def get(media_id: int | str) -> Media | None:
        with suppress(MediaNotFoundError):
            return hook.get_media(media_id)
        return None

    pairs = zip(media_ids, workers.map(get, media_ids), strict=True)
    found = {str(media_id): media for media_id, media in pairs if media}
    missing = [media_id for media_id in media_ids if str(media_id) not in found]
    if missing and wait_seconds > 0:
        log.info("%s not found; checking again for %.1f s", plural(len(missing), "file"), wait_seconds)
        found |= hook.run_flow(get_settled(missing, wait_seconds))
    return found


def _is_unclear(file: LocalFile, media: Media) -> bool:
    upload = file.upload
    if upload is None or not upload.could_match_with_details(media):
        return False
    if upload.needs_details_for(media):
        return True
    return file.fingerprint is not None and media.description is None and upload.matches(media)


def _log_unknown_fields(prepared: Sequence[LocalFile], by_name: dict[str, list[Media]]) -> None:
    """Log how many files may be in another folder, or count as changed, because the API does not return a field."""
    unknown = undescribed = 0
    for file in prepared:
        existing = list(filter(file.upload.could_match, by_name.get(file.name, ()))) if file.upload else []
        if file.upload and existing:
            unknown += len(with_unknown_folder(file.upload, existing))
            undescribed += file.fingerprint is not None and all(media.description is None for media in existing)
    if unknown:
        files = plural(unknown, "file")
        log.info("The API does not return the folder of %s, so they may be in the folder of this sync", files)
    if undescribed:
        files = plural(undescribed, "file")
        log.warning("The API does not return the description of %s, so their content counts as changed", files)
