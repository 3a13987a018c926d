"""Look at both sides of a sync: the folder's files, each checked, and the library's files that bear their names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_media._api.formatting import plural
from airflow_provider_media.exceptions import (
    MediaError,
    MediaFileError,
    MediaNotFoundError,
    TransferAbortedError,
    UnsupportedTypeError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor

    from airflow_provider_media._api.baseline import Baseline
    from airflow_provider_media._sync.options import SyncOptions
    from airflow_provider_media._sync.plan import LocalFile
    from airflow_provider_media._sync.receipts import Receipt
    from airflow_provider_media._sync.scan import FoundFile
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_MAX_SKIPPED_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingMedia:
    """What one listing of the library told.

    :param namesakes: by name, the files that bear it, oldest first.
    :param baseline: judges what is newer than the listing, of the files that bear these names.
    """

    namesakes: dict[str, list[Media]]
    baseline: Baseline


def prepare_files(
    hook: MediaHook,
    found: Sequence[FoundFile],
    options: SyncOptions,
    workers: Executor,
    receipts: Mapping[str, Receipt],
) -> list[LocalFile]:
    """Check every file before anything is sent; what is wrong with a file is kept with it.

    :param receipts: what an earlier sync noted, by path.
    :param workers: reading the first bytes of an object store's files takes long, one after the other.
    :raises TransferAbortedError: the task was stopped.
    """
    return list(workers.map(partial(_prepare, hook, options, receipts), found))


def skip_unsupported(prepared: Sequence[LocalFile], options: SyncOptions) -> list[LocalFile]:
    """Leave out files of types that the library does not accept, with a warning, if ``on_unsupported`` says so.

    :raises MediaFileError: when no file remains.
    """
    if options.on_unsupported == "fail":
        return list(prepared)
    skipped = [file for file in prepared if file.kind is UnsupportedTypeError]
    if skipped:
        lines = "\n".join(f"{file.path}  {file.problem}" for file in skipped[:_MAX_SKIPPED_SHOWN])
        more = len(skipped) - _MAX_SKIPPED_SHOWN
        log.warning("Skipped %d of %d files (on_unsupported='skip'):\n%s%s", len(skipped), len(prepared), lines,
                    f"\nand {more} more" if more > 0 else "")  # fmt: skip
    if len(skipped) == len(prepared):
        raise MediaFileError(
            f"The folder {options.source!s} cannot be synced: the library accepts none of its file types."
        )
    return [file for file in prepared if file.kind is not UnsupportedTypeError]


def _prepare(hook: MediaHook, options: SyncOptions, receipts: Mapping[str, Receipt], file: FoundFile) -> LocalFile:
    from airflow_provider_media._channels.check import check_file
    from airflow_provider_media._sync.plan import LocalFile
    from airflow_provider_media._sync.scan import library_name
    from airflow_provider_media._upload.open_source import open_source
    from airflow_provider_media._upload.source import file_error_reason, printable
    from airflow_provider_media._upload.spec import prepare_upload

    if hook.get_conn().is_cancelled:
        raise TransferAbortedError("The task was stopped.")
    path, name = printable(file.relative), printable(library_name(file.relative, options.name_template))
    try:
        # In this thread neither the task's time-out nor its end could break off waiting for a pipe's writer.
        source = open_source(file.path, info=file.info, takes_pipes=False)
        upload = prepare_upload(source, default_name=name, description=options.description, folder_id=options.folder_id)
        report = check_file(source, upload.mime_type, options.channels, check_integrity=options.check_integrity)
        accepts_converted = hook.settings.accept_converted
        if (options.fingerprint or accepts_converted) and not report.errors:
            upload = upload.with_fingerprint(accepts_converted=accepts_converted)
    except MediaError as problem:
        return LocalFile(path=path, name=name, problem=file_error_reason(problem), kind=type(problem))
    return LocalFile(
        path=path,
        name=name,
        upload=upload,
        fingerprint=upload.fingerprint if options.fingerprint else None,
        receipt=receipts.get(path),
        problem=". ".join(report.errors) or None,
        warnings=report.warnings,
    )


def fetch_existing_media(
    hook: MediaHook, prepared: Sequence[LocalFile], workers: Executor, *, wait_seconds: float = 0.0
) -> ExistingMedia:
    """List the library once, and ask for each file of which the list does not tell what decides.

    :param workers: ask in parallel.
    :param wait_seconds: how long to wait at most for what an earlier sync noted and the library does not show.
    """
    from airflow_provider_media._api.baseline import baseline_in
    from airflow_provider_media._api.flows import list_all
    from airflow_provider_media._sync.plan import namesakes_of

    library = hook.run_flow(list_all({file.name for file in prepared}.__contains__))
    library += _read_unlisted(hook, prepared, library, workers, wait_seconds)
    namesakes = namesakes_of(prepared, library)
    baseline = baseline_in(library, [media for several in namesakes.values() for media in several])
    unclear = [media for file in prepared for media in namesakes.get(file.name, ()) if _is_unclear(file, media)]
    if unclear:
        log.info("The list does not tell all of %s; asking for each", plural(len(unclear), "file"))
        answers = workers.map(partial(_in_full, hook), unclear)
        full = {str(media.id): answer for media, answer in zip(unclear, answers, strict=True)}
        full |= _wait_for(hook, [media for media in unclear if full[str(media.id)] is None])
        for name, several in namesakes.items():
            told = (full.get(str(media.id), media) for media in several)
            namesakes[name] = [media for media in told if media is not None]
    _tell_of_unknown_folders(prepared, namesakes)
    _warn_of_hidden_descriptions(prepared, namesakes)
    return ExistingMedia(namesakes=namesakes, baseline=baseline)


def _read_unlisted(
    hook: MediaHook, prepared: Sequence[LocalFile], library: Sequence[Media], workers: Executor, wait_seconds: float
) -> list[Media]:
    """Get the files by their ids that an earlier sync noted, and the list lacks: it may lag, and so may a get."""
    from airflow_provider_media._api.flows import sleep

    listed = {str(media.id) for media in library}
    noted = [file.receipt.media_id for file in prepared if file.receipt and str(file.receipt.media_id) not in listed]
    if not noted:
        return []
    log.info("The list lacks %d files that an earlier sync stored; asking for each", len(noted))
    found = [*workers.map(partial(_get, hook), noted)]
    missing = [media_id for media_id, media in zip(noted, found, strict=True) if media is None]
    if missing and wait_seconds > 0:
        log.info("%d of them are not there (yet); asking again in %.1f s", len(missing), wait_seconds)
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


def _in_full(hook: MediaHook, listed: Media) -> Media | None:
    """Ask for one file; None when it is gone meanwhile."""
    from airflow_provider_media._upload.existing import merge_details

    try:
        return merge_details(listed, hook.get_media(listed.id))
    except MediaNotFoundError:
        return None


def _wait_for(hook: MediaHook, listed: Sequence[Media]) -> dict[str, Media]:
    """Get files by their ids that the list shows, and a get did not find: they may be new, or gone."""
    from airflow_provider_media._api.flows import get_settled
    from airflow_provider_media._upload.existing import merge_details

    settle_seconds = hook.settings.settle_seconds
    found = hook.run_flow(get_settled([media.id for media in listed], settle_seconds)) if listed else {}
    return {str(media.id): merge_details(media, found[str(media.id)]) for media in listed if str(media.id) in found}


def _tell_of_unknown_folders(prepared: Sequence[LocalFile], namesakes: dict[str, list[Media]]) -> None:
    from airflow_provider_media._upload.existing import with_unknown_folder

    unknown = sum(
        len(with_unknown_folder(file.upload, filter(file.upload.could_match, namesakes.get(file.name, ()))))
        for file in prepared
        if file.upload
    )
    if unknown:
        files = plural(unknown, "file")
        log.info("The API does not tell the folder of %s, so they may be in the folder of this sync", files)


def _warn_of_hidden_descriptions(prepared: Sequence[LocalFile], namesakes: dict[str, list[Media]]) -> None:
    hidden = sum(
        all(media.description is None for media in bearing_the_name)
        for file in prepared
        if file.fingerprint
        and file.upload
        and (bearing_the_name := [*filter(file.upload.could_match, namesakes.get(file.name, ()))])
    )
    if hidden:
        files = plural(hidden, "file")
        log.warning("The library tells no description of %s, so their content is unknown: they count as changed", files)
