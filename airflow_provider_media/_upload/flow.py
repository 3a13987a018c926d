"""Upload one file exactly once, although the API has no idempotency key.

A baseline of the library is fetched before the POST. When the response is lost, a newer file in the list with the same
name, size and type shows that the upload succeeded.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.baseline import Baseline, baseline_in, fetch_baseline
from airflow_provider_media._api.deletion import delete_unchanged, is_different_file
from airflow_provider_media._api.flows import (
    Flow,
    Paginator,
    Sleep,
    get_media,
    get_settled,
    list_all,
    list_named,
    list_page,
    oldest_first,
    with_purpose,
    with_shared_retries,
)
from airflow_provider_media._api.protocol import build_upload, parse_media
from airflow_provider_media._api.values import format_ids
from airflow_provider_media._upload.checkpoint import UploadCheckpoint
from airflow_provider_media._upload.spec import (
    check_folders,
    different_file_error,
    fetch_details,
    is_credible,
    is_name_credible,
    is_renamed,
    merge_details,
    warn_of_changes,
    with_unknown_folder,
    wrong_size_error,
)
from airflow_provider_media.exceptions import (
    Delivery,
    MediaConflictError,
    MediaError,
    MediaNotFoundError,
    MediaResponseError,
)
from airflow_provider_media.models import Media, UploadResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_media._api.retry import RetryState
    from airflow_provider_media._upload.checkpoint import RecentUploads, UploadState
    from airflow_provider_media._upload.spec import UploadSpec

log = logging.getLogger(__name__)

API_ERROR_SETTLE_SECONDS = 3.0
"""How long the library is checked after the first failure that the API itself reports, unless the list lags."""

_DOCUMENTED_FAILURES = (500, 502, 503)
_LOOKUP_PAGE_SIZE = 100
_FIRST_LOOKUP_DELAY_SECONDS = 1.0
_MAX_LOOKUP_DELAY_SECONDS = 8.0


def find_new_matches(upload: UploadSpec, baseline: Baseline, *, thorough: bool = False) -> Flow[list[Media]]:
    """Find the files newer than the baseline that match the upload, or may match once their size is known.

    :param thorough: read the whole list even where ids grow, because only their order shows that the rest is older.
    :raises MediaConflictError: the library does not show whether a file is newer.
    """
    newer, undecided = yield from _list_newer(upload, baseline, thorough=thorough)
    found = [media for media in (yield from fetch_details(upload, newer)) if _may_equal(upload, media)]
    candidates = () if found else (yield from fetch_details(upload, undecided))
    if ambiguous := [media for media in candidates if upload.matches(media)]:
        raise MediaConflictError(
            f"The response to the upload of {upload.name!r} was lost, and the library does not show whether"
            f" {format_ids(ambiguous, with_sizes=True)} was stored by it or before. Compare them and delete the one"
            " that is not needed.",
        )
    return [media for media in found if upload.matches(media)] or found


def _may_equal(upload: UploadSpec, media: Media) -> bool:
    """Return whether a newer file matches the upload, or may match because it has no size while it is processed."""
    return upload.matches(media) or (upload.could_match(media) and not media.size)


def _list_newer(upload: UploadSpec, baseline: Baseline, *, thorough: bool) -> Flow[tuple[list[Media], list[Media]]]:
    """List the files that are newer than the baseline, and those that may be."""
    is_relevant = upload.name.__eq__
    if baseline.newest_id is None or thorough:
        return baseline.newer_in((yield from list_all(is_relevant)))
    newer: list[Media] = []
    pages = Paginator(page_size=_LOOKUP_PAGE_SIZE, sort_by="id", sort_order="desc", is_relevant=is_relevant)
    while pages.next_request:
        page = pages.feed((yield pages.next_request))
        above = [media for media in page if baseline.is_exceeded_by(media)]
        newer += [media for media in above if baseline.is_newer(media)]
        if page and not above:
            break
    return newer, []


def upload_media(
    upload: UploadSpec,
    *,
    if_exists: str,
    settle_seconds: float,
    retries: RetryState,
    before_delete: Callable[[Iterable[Media]], None],
    state: UploadState | None,
    on_stored: Callable[[Media], None] = lambda _: None,
    recent: RecentUploads,
) -> Flow[UploadResult]:
    """Upload one file by the policy ``if_exists``.

    :param if_exists: ``reuse``, ``upload``, ``replace`` or ``fail``.
    :param settle_seconds: how long to check the library for the file after a lost response, before a retry.
    :param retries: the attempts of the POST.
    :param before_delete: raises when any of the given files must not be deleted (``replace``).
    :param state: the checkpoint of earlier attempts of the task; None where it is not stored.
    :param on_stored: called when the library has the file, and again with more details.
    :param recent: the latest uploads of this process to the library.
    :raises MediaError: the upload failed; see :mod:`airflow_provider_media.exceptions`.
    """
    previous = state.load() if state else None
    purpose = f"upload {upload.name!r}"
    baseline, existing = yield from with_purpose(
        _fetch_baseline(upload, previous, if_exists, settle_seconds, recent), purpose
    )
    run = _Run(
        upload=upload,
        baseline=baseline,
        previous=previous,
        settle_seconds=settle_seconds,
        retries=retries,
        before_delete=before_delete,
        state=state,
        latest_id=recent.latest_id,
    )
    decision = yield from _POLICIES[if_exists](run, existing)
    if decision.reused:
        return _finish_reuse(run, decision.reused, on_stored)
    stored = decision.adopted
    if stored is None:
        run.save()
        stored = yield from _upload_once(run)
    on_stored(stored)
    media, is_gone = yield from _verify(run, stored, must_get=bool(decision.to_replace))
    recent.add(upload.name, media.id)
    if media is not stored:
        on_stored(media)
    warn_of_changes(upload, media)
    replaced = previous.replaced if previous else ()
    if decision.to_replace and not is_gone:
        replaced += yield from _delete_replaced(media, decision.to_replace, before_delete)
    # Kept, because Airflow may still reject the result or lose the worker, and then retries the task.
    run.save(stored_id=media.id, stored_name=media.name, replaced=replaced)
    return UploadResult(media=media, created=True, replaced=replaced)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One upload and what its policies need.

    :param previous: the checkpoint of an earlier attempt of the task, if any.
    :param latest_id: of the file that this process stored last; shows whether the list lags.
    """

    upload: UploadSpec
    baseline: Baseline
    settle_seconds: float
    retries: RetryState
    latest_id: int | str | None
    previous: UploadCheckpoint | None = None
    before_delete: Callable[[Iterable[Media]], None] = lambda _: None
    state: UploadState | None = None

    def save(self, **stored: Any) -> None:
        """Store the checkpoint for the next attempt of the task, with what is known of the stored file."""
        if self.state:
            self.state.save(UploadCheckpoint(baseline=self.baseline, **stored))

    def older(self, existing: Iterable[Media]) -> list[Media]:
        """Return the existing files; in a retry, only those known to be older than the first attempt."""
        return [media for media in existing if not self.previous or self.baseline.is_newer(media) is False]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decision:
    """What a policy decided before the upload.

    :param reused: the existing file to return; nothing is uploaded.
    :param adopted: the file that an earlier attempt of the task stored.
    :param to_replace: the files to delete after the upload.
    """

    reused: Media | None = None
    adopted: Media | None = None
    to_replace: Sequence[Media] = ()


def _apply_upload(run: _Run, _existing: Sequence[Media]) -> Flow[_Decision]:
    """Upload, whether or not files of the name exist."""
    return _Decision(adopted=(yield from _adopt(run)))


def _apply_fail(run: _Run, existing: Sequence[Media]) -> Flow[_Decision]:
    """Upload only if no file of the name exists.

    :raises MediaConflictError: one does.
    """
    adopted = yield from _adopt(run)
    older = run.older(existing)
    if older and not adopted:
        raise MediaConflictError(
            f"Could not upload {run.upload.name!r}: a file with this name exists (if_exists='fail'):"
            f" {format_ids(older, with_sizes=True)}. Choose another name or another if_exists.",
        )
    return _Decision(adopted=adopted)


def _apply_replace(run: _Run, existing: Sequence[Media]) -> Flow[_Decision]:
    """Upload, then delete the older files of the name.

    :raises MediaConflictError: an older file may be in another folder.
    """
    adopted = yield from _adopt(run)
    older = run.older(existing)
    check_folders(run.upload, older)
    if older and not adopted:
        run.before_delete(older)
    return _Decision(adopted=adopted, to_replace=older)


def _apply_reuse(run: _Run, existing: Sequence[Media]) -> Flow[_Decision]:
    """Return an existing file that matches the upload, or else upload."""
    upload, remaining = run.upload, list(existing)
    # A file that is known to be in the folder precedes one whose folder is unknown.
    for media in sorted(filter(upload.matches, existing), key=upload.has_unknown_folder):
        now = (yield from get_settled([media.id], run.settle_seconds)).get(str(media.id))
        if now and not is_different_file(media, now):
            return _Decision(reused=media)
        log.warning("Skipped %r: the list shows it as %r, but it no longer exists", media.id, upload.name)
        remaining.remove(media)
    adopted = yield from _adopt(run)
    if not adopted and (older := run.older(remaining)):
        log.warning("Uploading %r although files with this name exist; they have another size or type: %s",
                    upload.name, format_ids(older, with_sizes=True))  # fmt: skip
    return _Decision(adopted=adopted)


# A policy receives the files of the name and folder, oldest first, of any content.
_POLICIES: dict[str, Callable[[_Run, Sequence[Media]], Flow[_Decision]]] = {
    "reuse": _apply_reuse,
    "upload": _apply_upload,
    "replace": _apply_replace,
    "fail": _apply_fail,
}
IF_EXISTS = tuple(_POLICIES)
REFUSE_NONE = ("replace", "reuse")
"""The policies that return or delete existing files; a name or folder that is None would widen which."""


def _finish_reuse(run: _Run, media: Media, on_stored: Callable[[Media], None]) -> UploadResult:
    """Return an existing file with the upload's content as the result.

    If it is newer than the baseline of an earlier attempt of the task, that attempt stored it.
    """
    is_own = run.previous is not None and run.baseline.is_newer(media) is True
    if is_own:
        run.save(stored_id=media.id)
    elif run.state:
        run.state.delete()
    on_stored(media)
    return UploadResult(media=media, created=is_own)


def _fetch_baseline(
    upload: UploadSpec,
    previous: UploadCheckpoint | None,
    if_exists: str,
    settle_seconds: float,
    recent: RecentUploads,
) -> Flow[tuple[Baseline, list[Media]]]:
    """Return the state of the library before the upload, and the existing files of the name, oldest first.

    The existing files are read only where the policy depends on them.
    """
    existing: list[Media] = []
    baseline: Baseline | None = None
    recent_ids = recent.ids_of(upload.name)
    if if_exists != "upload":
        baseline, existing = yield from _fetch_existing(upload, recent_ids, settle_seconds)
    if previous:
        return previous.baseline, existing
    if baseline is None:
        baseline = yield from fetch_baseline(upload.name)
    return baseline.including(recent_ids), existing


def _fetch_existing(
    upload: UploadSpec, recent_ids: Sequence[int | str], settle_seconds: float
) -> Flow[tuple[Baseline, list[Media]]]:
    """Read the list for the baseline and the existing files; fetch recent files that it lacks by id."""
    # A fingerprint may identify a file of any name.
    listed = yield from list_named(upload.name, is_renamed=is_renamed, is_complete=upload.fingerprint is not None)
    ids = {str(media.id) for media in (*listed.files, *listed.newest)}
    recent = yield from get_settled([media_id for media_id in recent_ids if str(media_id) not in ids], settle_seconds)
    library = [*listed.files, *recent.values()]
    same_name = [media for media in library if upload.could_match_with_details(media)]
    existing = oldest_first((yield from fetch_details(upload, same_name, settle_seconds=settle_seconds)))
    unknown = with_unknown_folder(upload, existing)
    if unknown:
        log.info("The API does not return the folder of %s, so it may be in folder %s", format_ids(unknown),
                 upload.folder_id)  # fmt: skip
    return baseline_in([*listed.newest, *recent.values()], same_name, total=listed.total + len(recent)), existing


def _adopt(run: _Run) -> Flow[Media | None]:
    """Find the file that an earlier attempt stored: by its id if the attempt completed, else in the list."""
    upload, previous = run.upload, run.previous
    if previous is None:
        return None
    if previous.stored_id is not None:
        log.info("A previous attempt uploaded %r as id %s; checking whether it still exists", upload.name,
                 previous.stored_id)  # fmt: skip
        try:
            media = yield from get_media(previous.stored_id)
        except MediaNotFoundError:
            pass
        else:
            same_name = media.name in {None, upload.name, previous.stored_name}
            if same_name and is_credible(upload, media) and not upload.is_of_another_folder(media):
                return media
            log.warning("Skipped %r: it is another file by now (%r, %s bytes), not %r", media.id, media.name,
                        media.size, upload.name)  # fmt: skip
    else:
        log.info("A previous attempt to upload %r was interrupted; checking whether it succeeded", upload.name)
    return (yield from _await_visibility(run, run.settle_seconds))


def _delete_replaced(
    new: Media, older: Iterable[Media], before_delete: Callable[[Iterable[Media]], None]
) -> Flow[tuple[int | str, ...]]:
    """Delete the files that the new one replaces; check references again, because the upload took time."""
    # Never the new file itself, should a platform respond with the id of an equal file that existed before.
    older = [old for old in older if str(old.id) != str(new.id)]
    try:
        before_delete(older)
        return (yield from delete_unchanged(older, before_delete))
    except Exception:
        log.warning("Uploaded %r as %s, but did not delete all files that it replaces", new.name, new.id)
        raise


def upload_for_sync(
    upload: UploadSpec,
    baseline: Baseline,
    *,
    settle_seconds: float,
    retries: RetryState,
    replaces: bool,
    recent: RecentUploads,
) -> Flow[Media]:
    """Upload a file that is not in the library, and verify it.

    :param baseline: of the list that showed that the file does not exist.
    :param settle_seconds: how long to check the library for the file after a lost response.
    :param retries: the attempts of the POST.
    :param replaces: whether older files are deleted for it; then a GET must confirm it.
    :param recent: the latest uploads of this process to the library.
    :raises MediaError: the upload failed.
    """
    run = _Run(
        upload=upload, baseline=baseline, settle_seconds=settle_seconds, retries=retries, latest_id=recent.latest_id
    )
    stored = yield from _upload_once(run)
    media, is_gone = yield from _verify(run, stored, must_get=replaces)
    recent.add(upload.name, media.id)
    if is_gone:
        raise MediaConflictError(
            f"Another task replaced {upload.name!r} after it was stored as {media.id}. Let one task at a time upload"
            " files of one name.",
        )
    return media


def was_stored(delivery: Delivery) -> bool | None:
    """Return whether the server stored the file; None when only the library shows it."""
    return {Delivery.NOT_SENT: False, Delivery.CONFIRMED: True}.get(delivery)


def _upload_once(run: _Run) -> Flow[Media]:
    """Send the file until the library has it; before each retry, check whether an attempt succeeded."""
    upload = run.upload
    request = replace(build_upload(upload), retry_state=run.retries)
    is_uncertain = False
    while True:
        try:
            response = yield request
            media = parse_media(request, response)
        except MediaError as error:
            if was_stored(error.delivery) is False:
                if run.state and not run.previous and not is_uncertain:
                    run.state.delete()
                raise
            is_first, is_uncertain = not is_uncertain, True
            adopted = yield from _recover(run, error, is_first=is_first)
            if adopted:
                return adopted
            continue
        if was_stored(response.delivery) is None:
            log.warning("The server responded before all of %r was sent; verifying %r", upload.name, media.id)
            exact = replace(run, upload=replace(upload, accepts_converted=False))
            media, _ = yield from _verify(exact, media, must_get=True)
        if is_uncertain:
            yield from _warn_of_duplicates(run, media)
        return media


def _recover(run: _Run, error: MediaError, *, is_first: bool) -> Flow[Media | None]:
    """Return the file if the failed attempt stored it; else None, once the next attempt is due.

    :param is_first: whether this is the first failure after which the file may be stored.
    :raises MediaError: no attempt remains.
    """
    retries = run.retries
    delay = retries.next_delay(error)
    started = retries.clock()
    # Never for a 429, which proves that nothing was stored, so that the transport retries it.
    retry_after = delay if delay and error.retry_after else 0.0
    log.warning("%s The upload may have succeeded; checking the library%s before retrying", error,
                f" in {retry_after:.1f} s" if retry_after else "")  # fmt: skip
    timeout = yield from _visibility_timeout(run, error, is_first=is_first)
    adopted = yield from _await_visibility(run, timeout, cause=error, retry_after=retry_after)
    if adopted:
        return adopted
    remaining = 0.0 if delay is None else max(0.0, delay - (retries.clock() - started))
    if delay is None or remaining > retries.seconds_remaining:
        raise error
    log.warning("The library does not have %r; uploading it again in %.1f s (attempt %d of %d)", run.upload.name,
                remaining, retries.attempts + 1, retries.max_attempts)  # fmt: skip
    yield Sleep(remaining)
    return None


def _visibility_timeout(run: _Run, error: MediaError, *, is_first: bool) -> Flow[float]:
    """Return how long to check the library for a file after a failure, in seconds.

    After the first failure that the API documents (its storage is temporarily unavailable) the timeout is short, unless
    the list lags: it lacks a file that this process stored recently, or a failure hides whether it does.
    """
    if error.delivery is Delivery.PARTIAL:
        return 0.0  # no server has the whole file, so there is nothing to wait for
    is_documented = is_first and error.is_from_api and error.status in _DOCUMENTED_FAILURES
    long, retries = run.settle_seconds, run.retries.for_lookups()
    short = min(long, API_ERROR_SETTLE_SECONDS) if is_documented else long
    if short == long or run.latest_id is None:
        return short
    try:
        newest = yield from with_shared_retries(
            list_page(limit=_LOOKUP_PAGE_SIZE, sort_by="id", sort_order="desc"), retries
        )
        if any(str(media.id) == str(run.latest_id) for media in newest):
            return short
        yield from with_shared_retries(get_media(run.latest_id), retries)
    except MediaNotFoundError:
        return short
    except MediaError:
        return long
    return long


def _await_visibility(
    run: _Run, timeout: float, *, cause: MediaError | None = None, retry_after: float = 0.0
) -> Flow[Media | None]:
    """Check the library until it shows the file or the time is over; the last lookup starts at that moment.

    Failed lookups share their attempts. When these are used up, each further lookup is a single request, so that a
    silent server cannot extend the check beyond the time and the retry budget.

    :param timeout: how long to check, in seconds.
    :param cause: the failure after which the library is checked, if known.
    :param retry_after: seconds before the first lookup, because the server asked to wait.
    :return: the file, or None.
    :raises MediaError: the last lookup failed too, so the file must not be uploaded again.
    """
    upload, retries = run.upload, run.retries.for_lookups()
    deadline, delay = retries.clock() + timeout, _FIRST_LOOKUP_DELAY_SECONDS
    is_last = timeout <= retry_after
    if retry_after:
        yield Sleep(retry_after)
    while True:
        failed: MediaError | None = None
        try:
            found = yield from with_shared_retries(find_new_matches(upload, run.baseline, thorough=is_last), retries)
        except MediaError as lookup_error:
            found, failed = [], lookup_error
            if not lookup_error.is_transient:
                raise
        if len(found) > 1:
            raise MediaConflictError(
                f"The response to the upload of {upload.name!r} was lost, and {format_ids(found, with_sizes=True)}"
                " could both be it. Compare them and delete the one that is not needed.",
            )
        if found:
            log.warning("The response was lost, but the library has %r as id %s; using it", upload.name, found[0].id)
            return found[0]
        remaining = deadline - retries.clock()
        if is_last or (failed and remaining <= 0):
            break
        is_last = delay >= remaining
        yield Sleep(max(0.0, min(delay, remaining)))
        delay = min(delay * 2, _MAX_LOOKUP_DELAY_SECONDS)
    if failed:
        raise (cause or failed) from failed
    return None


def _warn_of_duplicates(run: _Run, media: Media) -> Flow[None]:
    try:
        found = yield from with_shared_retries(find_new_matches(run.upload, run.baseline), run.retries.for_lookups())
    except MediaError as error:
        log.warning("Could not check for duplicates of an earlier attempt: %s", error)
        return
    duplicates = [other for other in found if str(other.id) != str(media.id)]
    if duplicates:
        log.warning("Found duplicates from an earlier attempt: %s (same file as %s). Not deleted, because another task"
                    " may use them", format_ids(duplicates, with_sizes=True), media.id)  # fmt: skip


def _verify(run: _Run, media: Media, *, must_get: bool) -> Flow[tuple[Media, bool]]:
    """Return the file as the library has it, and whether another task replaced it.

    :param media: as the response to the upload describes it. With another name or size the library is checked.
    :param must_get: whether a GET must confirm the file and its size, because older files are deleted for it.
    :raises MediaResponseError: the library does not have the file.
    """
    upload = run.upload
    if must_get or not media.size or media.url is None:
        found = yield from _fetch_stored(run, media)
        if found is None:
            return media, True
        media = found
    if not is_credible(upload, media):
        log.warning("The response to the upload of %r describes %s (%r, %s bytes); checking the library", upload.name,
                    media.id, media.name, media.size)  # fmt: skip
        is_new = run.baseline.is_newer(media) is not False and is_name_credible(upload.name, media.name)
        found = yield from _await_visibility(run, 0.0 if is_new else run.settle_seconds)
        # A GET and a list that contradict each other about one file do not justify a deletion.
        if found is None or (must_get and str(found.id) == str(media.id)):
            raise different_file_error(upload, media)
        media = found
    if not media.size:
        if must_get:
            raise wrong_size_error(upload, media)
        log.warning("Could not verify %r (%r): the library does not show its size yet", upload.name, media.id)
    return media, False


def _fetch_stored(run: _Run, media: Media) -> Flow[Media | None]:
    """Get a file that was just stored; retry while it is not found or has no size yet.

    :return: None when another task replaced it.
    :raises MediaResponseError: it is not found within the settling time.
    """
    upload, clock = run.upload, run.retries.clock
    deadline, delay = clock() + run.settle_seconds, _FIRST_LOOKUP_DELAY_SECONDS
    while True:
        stored: Media | None = None
        try:
            found = yield from get_media(media.id)
            stored = replace(merge_details(media, found), size=found.size)
        except MediaNotFoundError:
            newer, _ = yield from _list_newer(upload, run.baseline, thorough=False)
            others = [other for other in newer if upload.could_match(other) and str(other.id) != str(media.id)]
            if others and str(media.id) not in {str(other.id) for other in newer}:
                log.warning("Another task replaced %r after it was stored as %r: by %s", upload.name, media.id,
                            format_ids(others, with_sizes=True))  # fmt: skip
                return None
        remaining = deadline - clock()
        if (stored and stored.size) or remaining <= 0:
            break
        yield Sleep(min(delay, remaining))
        delay = min(delay * 2, _MAX_LOOKUP_DELAY_SECONDS)
    if stored is None:
        raise MediaResponseError(
            f"{upload.name!r} was stored as {media.id}, but the library does not have it after {run.settle_seconds:g} s"
            " (the connection's extra 'settle_seconds').",
        )
    return stored
