"""Fetch both sides of a sync: the folder's files, checked, and the library's files with their names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.baseline import baseline_in
from airflow_provider_media._api.flows import get_settled, list_all, sleep
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
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from airflow_provider_media._api.baseline import Baseline
    from airflow_provider_media._sync.checkpoint import Receipt
    from airflow_provider_media._sync.manifest import ManifestFile
    from airflow_provider_media._sync.scan import FoundFile
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_MAX_SKIPPED_SHOWN = 50


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
    on_reference: str = "fail"
    max_workers: int = 1
    allow_failures: int = 0
    dry_run: bool = False
    fingerprint: bool = False
    manifest_file: ManifestFile | None = None
    returns_manifest: bool = True
    back_up: Callable[[Iterable[Media]], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingMedia:
    """The library's files with the names of a folder's files."""

    by_name: dict[str, list[Media]]
    baseline: Baseline


def prepare_files(
    hook: MediaHook,
    found: Sequence[FoundFile],
    options: SyncOptions,
    workers: Executor,
    receipts: Mapping[str, Receipt],
) -> list[LocalFile]:
    """Check every file before the first upload; return each with its problem, if any.

    :param workers: check files in parallel, because reading from an object store is slow.
    """

    def prepare(file: FoundFile) -> LocalFile:
        if hook.get_conn().is_cancelled:
            raise TransferAbortedError("The task was stopped.")
        return prepare_file(file, options, receipts, accepts_converted=hook.settings.accept_converted)

    return list(workers.map(prepare, found))


def skip_unsupported(prepared: Sequence[LocalFile], options: SyncOptions) -> list[LocalFile]:
    """Exclude files of unsupported types, with a warning, if ``on_unsupported`` is ``skip``."""
    if options.on_unsupported == "fail":
        return list(prepared)
    skipped = [file for file in prepared if file.is_unsupported_type]
    if skipped:
        table = as_table([(file.path, file.problem or "") for file in skipped[:_MAX_SKIPPED_SHOWN]])
        more = len(skipped) - _MAX_SKIPPED_SHOWN
        files = plural(len(prepared), "file")
        log.warning("Skipped %d of %s of unsupported types (on_unsupported='skip')\n%s%s", len(skipped), files, table,
                    f"\nand {more} more" if more > 0 else "")  # fmt: skip
    if len(skipped) == len(prepared):
        raise MediaFileError(
            f"The folder {options.source_label!r} cannot be synced: the library accepts none of its file types."
        )
    return [file for file in prepared if not file.is_unsupported_type]


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
        is_unsupported_type = isinstance(error, MediaFileError) and error.is_unsupported_type
        return LocalFile(
            path=path,
            name=name,
            problem=file_error_reason(error),
            error_class=type(error),
            rejected_by=("The library",) if is_unsupported_type else (),
            is_unsupported_type=is_unsupported_type,
        )
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
) -> ExistingMedia:
    """List the library once; fetch details of each file for which the list is incomplete.

    :param wait_seconds: how long to wait for files that an earlier sync stored and the library does not show yet.
    """
    library = hook.run_flow(list_all({file.name for file in prepared}.__contains__))
    library += _read_unlisted(hook, prepared, library, workers, wait_seconds)
    by_name = group_by_name(prepared, library)
    baseline = baseline_in(library, [media for several in by_name.values() for media in several])
    unclear = [media for file in prepared for media in by_name.get(file.name, ()) if _is_unclear(file, media)]
    if unclear:
        log.info("Fetching details of %s, because the list response is incomplete", plural(len(unclear), "file"))
        found = workers.map(partial(_fetch_details, hook), unclear)
        full = {str(media.id): details for media, details in zip(unclear, found, strict=True)}
        full |= _wait_for(hook, [media for media in unclear if full[str(media.id)] is None])
        for name, several in by_name.items():
            details = (full.get(str(media.id), media) for media in several)
            by_name[name] = [media for media in details if media is not None]
    _log_unknown_folders(prepared, by_name)
    _warn_about_descriptions(prepared, by_name)
    return ExistingMedia(by_name=by_name, baseline=baseline)


def _read_unlisted(
    hook: MediaHook, prepared: Sequence[LocalFile], library: Sequence[Media], workers: Executor, wait_seconds: float
) -> list[Media]:
    """Get by their ids the files with a receipt that the list lacks, because lists and gets may lag."""
    listed = {str(media.id) for media in library}
    ids = [file.receipt.media_id for file in prepared if file.receipt and str(file.receipt.media_id) not in listed]
    if not ids:
        return []
    log.info("Checking %s of an earlier sync that the list does not show", plural(len(ids), "file"))
    found = [*workers.map(partial(_get, hook), ids)]
    missing = [media_id for media_id, media in zip(ids, found, strict=True) if media is None]
    if missing and wait_seconds > 0:
        log.info("%s not found; checking again in %.1f s", plural(len(missing), "file"), wait_seconds)
        hook.run_flow(sleep(wait_seconds))
        found += workers.map(partial(_get, hook), missing)
    return [media for media in found if media]


def _get(hook: MediaHook, media_id: int | str) -> Media | None:
    try:
        return hook.get_media(media_id)
    except MediaNotFoundError:
        return None


def _is_unclear(file: LocalFile, media: Media) -> bool:
    upload = file.upload
    if upload is None or not upload.could_match_with_details(media):
        return False
    if upload.needs_details_for(media):
        return True
    return file.fingerprint is not None and media.description is None and upload.matches(media)


def _fetch_details(hook: MediaHook, listed: Media) -> Media | None:
    """Get one file by its id; return None if it no longer exists."""
    found = _get(hook, listed.id)
    return merge_details(listed, found) if found else None


def _wait_for(hook: MediaHook, listed: Sequence[Media]) -> dict[str, Media]:
    """Get again the listed files that a get did not find: they may be new, or deleted."""
    found = hook.run_flow(get_settled([media.id for media in listed], hook.settings.settle_seconds)) if listed else {}
    return {str(media.id): merge_details(media, found[str(media.id)]) for media in listed if str(media.id) in found}


def _log_unknown_folders(prepared: Sequence[LocalFile], by_name: dict[str, list[Media]]) -> None:

    unknown = sum(
        len(with_unknown_folder(file.upload, filter(file.upload.could_match, by_name.get(file.name, ()))))
        for file in prepared
        if file.upload
    )
    if unknown:
        files = plural(unknown, "file")
        log.info("The API does not return the folder of %s, so they may be in the folder of this sync", files)


def _warn_about_descriptions(prepared: Sequence[LocalFile], by_name: dict[str, list[Media]]) -> None:
    hidden = sum(
        all(media.description is None for media in existing)
        for file in prepared
        if file.fingerprint
        and file.upload
        and (existing := [*filter(file.upload.could_match, by_name.get(file.name, ()))])
    )
    if hidden:
        files = plural(hidden, "file")
        log.warning("The API does not return the description of %s, so their content counts as changed", files)
