"""The upload's flow: one whole file in the library, although a POST cannot be repeated blindly.

The API has no idempotency key, so "exactly once" is made from looking: a baseline is taken before the POST, and when an
answer stays away, the list tells whether a newer file with the same name, size and type is there.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_media._api.baseline import Baseline, baseline_in, take_baseline
from airflow_provider_media._api.deletion import delete_older, is_other
from airflow_provider_media._api.flows import (
    Flow,
    Paginator,
    Sleep,
    get_media,
    get_settled,
    list_all,
    list_page,
    oldest_first,
    with_purpose,
    with_shared_retries,
)
from airflow_provider_media._api.protocol import build_upload, parse_media
from airflow_provider_media._upload.checkpoint import NoState, UploadCheckpoint, UploadState
from airflow_provider_media._upload.existing import check_folders, fetch_details, merge_details, of_unknown_folder
from airflow_provider_media._upload.stored import is_credible, is_name_credible, not_whole, other_file, warn_of_changes
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
    from airflow_provider_media._upload.spec import UploadSpec

log = logging.getLogger(__name__)

IF_EXISTS = ("reuse", "upload", "replace", "fail")

API_ERROR_SETTLE_SECONDS = 3.0
"""How long a file is looked for after the first failure that the API itself reports, if lists are not known to lag."""

_DOCUMENTED_FAILURES = (500, 502, 503)
_LOOKUP_PAGE_SIZE = 100
_FIRST_LOOKUP_DELAY_SECONDS = 1.0
_MAX_LOOKUP_DELAY_SECONDS = 8.0


def find_new_matches(upload: UploadSpec, baseline: Baseline, *, thorough: bool = False) -> Flow[list[Media]]:
    """Find the files newer than the baseline that equal the upload, or may once their size is known.

    :param thorough: read the whole list also where ids grow, because nothing but their order says that the rest is old.
    :raises MediaConflictError: when a file may be newer or not.
    """
    newer, unsure = yield from _list_newer(upload, baseline, thorough=thorough)
    found = [media for media in (yield from fetch_details(upload, newer)) if _may_equal(upload, media)]
    candidates = () if found else (yield from fetch_details(upload, unsure))
    if in_doubt := [media for media in candidates if upload.matches(media)]:
        raise MediaConflictError(
            f"The response to the upload of {upload.name!r} was lost, and the library does not show whether"
            f" {_ids(in_doubt)} was stored by it or before: compare them, and delete what is not needed.",
        )
    return [media for media in found if upload.matches(media)] or found


def _may_equal(upload: UploadSpec, media: Media) -> bool:
    """Whether a newer file of the name equals the upload, or is still processed, so that its size is unknown."""
    return upload.matches(media) or (upload.could_match(media) and not media.size)


def _list_newer(upload: UploadSpec, baseline: Baseline, *, thorough: bool) -> Flow[tuple[list[Media], list[Media]]]:
    """List the files newer than the baseline, and those of which it cannot be known."""
    is_about = upload.name.__eq__
    if baseline.newest_id is None or thorough:
        return baseline.newer_in((yield from list_all(is_about)))
    newer: list[Media] = []
    walk = Paginator(page_size=_LOOKUP_PAGE_SIZE, sort_by="id", sort_order="desc", is_about=is_about)
    while walk.next_request:
        page = walk.feed((yield walk.next_request))
        above = [media for media in page if baseline.is_passed_by(media)]
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
    state: UploadState,
    on_stored: Callable[[Media], None] = lambda _: None,
    recent_ids: Sequence[int | str] = (),
    latest_id: int | str | None = None,
) -> Flow[UploadResult]:
    """Store one file by the rules of ``if_exists``.

    :param if_exists: ``reuse``, ``upload``, ``replace`` or ``fail``.
    :param settle_seconds: how long to look for a stored file after a lost answer before sending again.
    :param retries: the tries of the POST.
    :param before_delete: raises when any of the given files must not be deleted (``replace``).
    :param state: keeps the checkpoint of earlier attempts of the task.
    :param on_stored: called as soon as the library has the file, and again when more is known of it.
    :param recent_ids: of files that this process stored under the name, and the list may lack.
    :param latest_id: of the file that this process stored last, if that was lately: shows whether lists lag.
    :raises MediaError: the upload failed; see :mod:`airflow_provider_media.exceptions`.
    """
    earlier = state.load()
    namesakes: list[Media] = []
    # A wrong key, say, is met here first, and it is the upload that fails.
    purpose = f"upload {upload.name!r}"
    if if_exists == "upload":
        baseline = earlier.baseline if earlier else (yield from with_purpose(take_baseline(upload.name), purpose))
    else:
        baseline_now, namesakes = yield from with_purpose(
            _baseline_and_namesakes(upload, recent_ids, settle_seconds), purpose
        )
        baseline = earlier.baseline if earlier else baseline_now
    if not earlier:
        baseline = baseline.including(recent_ids)
    namesakes, reusable = yield from _find_reusable(upload, namesakes, if_exists, settle_seconds)
    if reusable:
        stored_by_earlier_try = earlier is not None and baseline.is_newer(reusable) is True
        if stored_by_earlier_try:
            state.save(UploadCheckpoint(baseline=baseline, stored_id=reusable.id))
        else:
            state.delete()
        on_stored(reusable)
        return UploadResult(media=reusable, created=stored_by_earlier_try)
    found: Media | None = None
    if earlier:
        found = yield from _find_stored(upload, earlier, settle_seconds, retries.for_lookups())
        namesakes = [media for media in namesakes if baseline.is_newer(media) is False]
    if if_exists == "replace":
        check_folders(upload, namesakes)
    if found is None:
        _check_namesakes(upload, namesakes, if_exists, before_delete)
        state.save(UploadCheckpoint(baseline=baseline))
        found = yield from _send(
            upload, baseline, retries, settle_seconds, NoState() if earlier else state, latest_id=latest_id
        )
    on_stored(found)
    must_get = if_exists == "replace" and bool(namesakes)
    media, is_gone = yield from _confirm(upload, found, baseline, settle_seconds, retries, must_get=must_get)
    if media is not found:
        on_stored(media)
    warn_of_changes(upload, media)
    # Never the new file itself, should a platform answer with the id of an equal one that was there.
    older = [old for old in namesakes if str(old.id) != str(media.id)]
    replaced = earlier.replaced if earlier else ()
    if if_exists == "replace" and not is_gone:
        replaced += yield from _delete_replaced(media, older, before_delete)
    # Not forgotten: Airflow may still not take the result, or the worker die, and then the task is tried again.
    state.save(UploadCheckpoint(baseline=baseline, stored_id=media.id, stored_name=media.name, replaced=replaced))
    return UploadResult(media=media, created=True, replaced=replaced)


def _find_reusable(
    upload: UploadSpec, namesakes: list[Media], if_exists: str, settle_seconds: float
) -> Flow[tuple[list[Media], Media | None]]:
    """Return the namesakes that are there, and the one that is used; a list may also show files that are gone."""
    if if_exists != "reuse":
        return namesakes, None
    # One that is surely in the folder comes before one that may be.
    for media in sorted(filter(upload.matches, namesakes), key=upload.lacks_folder_of):
        now = (yield from get_settled([media.id], settle_seconds)).get(str(media.id))
        if now and not is_other(media, now):
            return namesakes, media
        log.warning("The list has %r as %s, but the library does not; it is not used", upload.name, media.id)
        namesakes = [other for other in namesakes if other is not media]
    return namesakes, None


def _find_stored(
    upload: UploadSpec, earlier: UploadCheckpoint, settle_seconds: float, retries: RetryState
) -> Flow[Media | None]:
    """Find what an earlier try stored: by the id where it came to its end, else by looking."""
    if earlier.stored_id is not None:
        log.info("An earlier try stored %r as %s; it is used if it is still there", upload.name, earlier.stored_id)
        try:
            media = yield from get_media(earlier.stored_id)
        except MediaError as problem:
            if not isinstance(problem, MediaNotFoundError):
                raise
        else:
            same_name = media.name in {None, upload.name, earlier.stored_name}
            if same_name and is_credible(upload, media) and not upload.is_of_another_folder(media):
                return media
            log.warning("The file %s is %r (%s bytes) now, not %r; it is not used",
                        media.id, media.name, media.size, upload.name)  # fmt: skip
    else:
        log.info("An earlier try was cut off while it sent %r; looking for what it stored", upload.name)
    return (yield from _await_visibility(upload, earlier.baseline, settle_seconds, retries, None, 0.0))


def _check_namesakes(
    upload: UploadSpec, namesakes: list[Media], if_exists: str, before_delete: Callable[[Iterable[Media]], None]
) -> None:
    """Before sending, do with the files of the same name what ``if_exists`` says."""
    if not namesakes:
        return
    if if_exists == "fail":
        raise MediaConflictError(
            f"The name {upload.name!r} is taken by {_ids(namesakes)}, and if_exists='fail' wants it free: choose"
            " another name or another if_exists.",
        )
    if if_exists == "reuse":
        others = _ids(namesakes)
        log.warning("%r is there with another size or type (%s); the file is sent beside it", upload.name, others)
    if if_exists == "replace":
        before_delete(namesakes)


def _delete_replaced(
    new: Media, older: list[Media], before_delete: Callable[[Iterable[Media]], None]
) -> Flow[tuple[int | str, ...]]:
    """Delete the files that the new one replaces; ask again first, because the transfer took time."""
    try:
        before_delete(older)
    except Exception:
        log.warning("%r is stored as %s, and the files that it should replace are kept", new.name, new.id)
        raise
    return (yield from delete_older(older))


def _baseline_and_namesakes(
    upload: UploadSpec, recent_ids: Sequence[int | str], settle_seconds: float
) -> Flow[tuple[Baseline, list[Media]]]:
    """Read the whole list once, for both, and by their ids the recent files that it lacks."""
    library = yield from list_all(upload.name.__eq__)
    listed = {str(media.id) for media in library}
    unlisted = [media_id for media_id in recent_ids if str(media_id) not in listed]
    recent = yield from get_settled(unlisted, settle_seconds)
    library += recent.values()
    same_name = [media for media in library if upload.could_match_with_details(media)]
    namesakes = oldest_first((yield from fetch_details(upload, same_name, settle_seconds=settle_seconds)))
    unknown = of_unknown_folder(upload, namesakes)
    if unknown:
        log.info("The API does not tell the folder of %s, so it may be in folder %s", _ids(unknown), upload.folder_id)
    return baseline_in(library, same_name), namesakes


def send_for_sync(
    upload: UploadSpec,
    baseline: Baseline,
    *,
    settle_seconds: float,
    retries: RetryState,
    replaces: bool,
    latest_id: int | str | None = None,
) -> Flow[Media]:
    """Send a file of which a list told that it is not there, and make sure of it; look again only in doubt.

    :param baseline: taken from that list.
    :param replaces: whether older files are to be deleted for it: then it is surely there, by a get of its own.
    :param latest_id: of the file that this process stored last, if that was lately.
    """
    sent = yield from _send(upload, baseline, retries, settle_seconds, NoState(), latest_id=latest_id)
    media, is_gone = yield from _confirm(upload, sent, baseline, settle_seconds, retries, must_get=replaces)
    if is_gone:
        raise MediaConflictError(
            f"Another task has replaced {upload.name!r} since it was stored as {media.id}: let one task at a time"
            " upload files of one name.",
        )
    return media


def _send(
    upload: UploadSpec,
    baseline: Baseline,
    retries: RetryState,
    settle_seconds: float,
    state: UploadState,
    *,
    latest_id: int | str | None,
) -> Flow[Media]:
    """Send the file until the library surely has it.

    :param state: is deleted when a failure leaves no doubt that nothing is stored.
    """
    call = replace(build_upload(upload), retry_state=retries)
    in_doubt = False
    while True:
        try:
            reply = yield call
            media = parse_media(call, reply)
        except MediaError as problem:
            if problem.delivery is Delivery.NOT_SENT:
                if not in_doubt:
                    state.delete()
                raise
            is_first, in_doubt = not in_doubt, True
            wait = retries.next_delay(problem)
            began = retries.clock()
            asked = wait if wait and problem.retry_after else 0.0
            log.warning("%s It may be stored all the same; looking for it%s before sending again",
                        str(problem), f" in {asked:.1f} s," if asked else "")  # fmt: skip
            patience = yield from _patience(
                problem, settle_seconds, latest_id, retries.for_lookups(), is_first=is_first
            )
            adopted = yield from _await_visibility(upload, baseline, patience, retries.for_lookups(), problem, asked)
            if adopted:
                return adopted
            pause = 0.0 if wait is None else max(0.0, wait - (retries.clock() - began))
            if wait is None or pause > retries.seconds_remaining:
                raise
            log.warning("The library does not have %r; sending it again in %.1f s (attempt %d of %d)",
                        upload.name, pause, retries.attempts + 1, retries.max_attempts)  # fmt: skip
            yield Sleep(pause)
        else:
            if reply.delivery is Delivery.PARTIAL:
                log.warning("The answer came before the end of %r was sent; asking for %s", upload.name, media.id)
                media, _ = yield from _confirm(
                    replace(upload, accepts_converted=False), media, baseline, settle_seconds, retries, must_get=True
                )
            if in_doubt:
                yield from _warn_of_duplicates(upload, baseline, media, retries.for_lookups())
            return media


def _patience(
    problem: MediaError, settle_seconds: float, latest_id: int | str | None, retries: RetryState, *, is_first: bool
) -> Flow[float]:
    """Return how long to look for a file after a failure, in seconds.

    After the first one that the API documents (its storage is unavailable for the moment) that is short, unless the
    list is known to lag: it lacks a file that this process stored lately, or it cannot be known whether it does.
    """
    if problem.delivery is Delivery.PARTIAL:
        return 0.0  # no server has a whole file, so one look is enough: there is nothing to wait for
    is_documented = is_first and problem.is_from_api and problem.status in _DOCUMENTED_FAILURES
    short = min(settle_seconds, API_ERROR_SETTLE_SECONDS) if is_documented else settle_seconds
    if short == settle_seconds or latest_id is None:
        return short
    try:
        newest = yield from with_shared_retries(
            list_page(limit=_LOOKUP_PAGE_SIZE, sort_by="id", sort_order="desc"), retries
        )
        if any(str(media.id) == str(latest_id) for media in newest):
            return short
        yield from with_shared_retries(get_media(latest_id), retries)
    except MediaError as failure:
        return short if isinstance(failure, MediaNotFoundError) else settle_seconds
    return settle_seconds


def _await_visibility(
    upload: UploadSpec,
    baseline: Baseline,
    settle_seconds: float,
    retries: RetryState,
    problem: MediaError | None,
    asked: float,
) -> Flow[Media | None]:
    """Look until the file is found or had the time to show up.

    The last look begins when that time is over. Looks that fail share their tries: when these are used up, each
    further look is one request, so a server that says nothing is not asked for longer than time and budget last.

    :param retries: the tries of all looks together; their clock tells the time.
    :param problem: what led to the doubt, where that is known.
    :param asked: the seconds that the server asks to wait; they hold for looks as well.
    :raises MediaError: the last lookup failed too; without it the file must not be sent again.
    """
    until, delay = retries.clock() + settle_seconds, _FIRST_LOOKUP_DELAY_SECONDS
    is_last = settle_seconds <= asked
    if asked:
        yield Sleep(asked)
    while True:
        failed: MediaError | None = None
        try:
            found = yield from with_shared_retries(find_new_matches(upload, baseline, thorough=is_last), retries)
        except MediaError as look_problem:
            found, failed = [], look_problem
            if not look_problem.is_transient:
                raise
        if len(found) > 1:
            raise MediaConflictError(
                f"The answer to the upload of {upload.name!r} was lost, and {_ids(found)} could both be it: look at"
                " them and delete the one that is not needed.",
            )
        if found:
            log.warning("The answer was lost, but the library has %r as %s; it is used", upload.name, found[0].id)
            return found[0]
        left = until - retries.clock()
        if is_last or (failed and left <= 0):
            break
        is_last = delay >= left
        yield Sleep(max(0.0, min(delay, left)))
        delay = min(delay * 2, _MAX_LOOKUP_DELAY_SECONDS)
    if failed:
        raise (problem or failed) from failed
    return None


def _warn_of_duplicates(upload: UploadSpec, baseline: Baseline, media: Media, retries: RetryState) -> Flow[None]:
    try:
        found = yield from with_shared_retries(find_new_matches(upload, baseline), retries)
    except MediaError as problem:
        log.warning("Could not look whether an earlier attempt was stored as well: %s", str(problem))
        return
    strays = [other for other in found if str(other.id) != str(media.id)]
    if strays:
        log.warning("An earlier attempt was stored late: %s equal %s; nothing is deleted, another task may use them",
                    _ids(strays), media.id)  # fmt: skip


def _confirm(
    upload: UploadSpec, media: Media, baseline: Baseline, settle_seconds: float, retries: RetryState, *, must_get: bool
) -> Flow[tuple[Media, bool]]:
    """Return the file as the library has it, once it is surely the one that was sent, and whether it is gone again.

    :param media: as the response to the upload describes it. With another name or size the library is checked.
    :param must_get: whether older files are to be deleted for it, so that the library must have it, with its size.
    :raises MediaResponseError: when the library does not have the file.
    """
    if must_get or not media.size or media.url is None:
        found = yield from _read_stored(upload, media, baseline, settle_seconds, retries)
        if found is None:
            return media, True
        media = found
    if not is_credible(upload, media):
        log.warning("The response to the upload of %r describes %s (%r, %s bytes); checking the library", upload.name,
                    media.id, media.name, media.size)  # fmt: skip
        is_new = baseline.is_newer(media) is not False and is_name_credible(upload.name, media.name)
        patience = 0.0 if is_new else settle_seconds
        found = yield from _await_visibility(upload, baseline, patience, retries.for_lookups(), None, 0.0)
        # A get and a list that contradict each other about one file are no reason to delete others for it.
        if found is None or (must_get and str(found.id) == str(media.id)):
            raise other_file(upload, media)
        media = found
    if not media.size:
        if must_get:
            raise not_whole(upload, media)
        log.warning("The library does not have the size of %r (%s) yet, so it is not verified", upload.name, media.id)
    return media, False


def _read_stored(
    upload: UploadSpec, media: Media, baseline: Baseline, settle_seconds: float, retries: RetryState
) -> Flow[Media | None]:
    """Get a file that was just stored: it may not be found at once, and have no size while it is processed.

    :return: None when another task replaced it meanwhile.
    :raises MediaResponseError: when it is not found until the settling time is over.
    """
    until, delay = retries.clock() + settle_seconds, _FIRST_LOOKUP_DELAY_SECONDS
    while True:
        stored: Media | None = None
        try:
            found = yield from get_media(media.id)
            stored = replace(merge_details(media, found), size=found.size)
        except MediaError as problem:
            if not isinstance(problem, MediaNotFoundError):
                raise
            newer, _ = yield from _list_newer(upload, baseline, thorough=False)
            others = [other for other in newer if upload.could_match(other) and str(other.id) != str(media.id)]
            if others and str(media.id) not in {str(other.id) for other in newer}:
                log.warning("Another task has replaced %r since it was stored as %s: by %s", upload.name, media.id,
                            _ids(others))  # fmt: skip
                return None
        left = until - retries.clock()
        if (stored and stored.size) or left <= 0:
            break
        yield Sleep(min(delay, left))
        delay = min(delay * 2, _MAX_LOOKUP_DELAY_SECONDS)
    if stored is None:
        raise MediaResponseError(
            f"{upload.name!r} was stored as {media.id}, but the library does not have it after {settle_seconds:g} s"
            " (the connection's extra 'settle_seconds').",
        )
    return stored


def _ids(found: Iterable[Media]) -> str:
    return ", ".join(f"{media.id} ({media.size} bytes)" for media in found)
