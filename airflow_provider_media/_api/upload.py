"""The upload: what is sent, and the flow that makes one whole file of it although a POST cannot be repeated blindly.

The API has no idempotency key, so "exactly once" is made from looking: a mark is taken before the POST, and when an
answer stays away, the list tells whether a newer file with the same name, size and type is there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.checks import EXTENSIONS, extension_disagrees
from airflow_provider_media._api.flows import (
    Flow,
    PageWalk,
    Pause,
    delete_media,
    find_media,
    get_media,
    id_number,
    list_all,
    oldest_first,
)
from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.protocol import build_list, build_upload, parse_media, parse_page
from airflow_provider_media._api.source import Source, file_problem, sniff
from airflow_provider_media.models import Media, UploadResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_media._api.retry import Retries

log = logging.getLogger(__name__)

IF_EXISTS = ("reuse", "upload", "replace", "fail")

_LOOK_PAGE = 100
_FIRST_LOOK_WAIT_SECONDS = 1.0
_LONGEST_LOOK_WAIT_SECONDS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file as it is to be stored.

    :param source: its bytes.
    :param name: the human-readable name.
    :param file_name: the file name in the part's header; a base name.
    :param mime_type: the type, found from the bytes.
    :param description: free text, or None.
    :param folder_id: the folder, or None for the library's default.
    """

    source: Source
    name: str
    file_name: str
    mime_type: str
    description: str | None = None
    folder_id: int | str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The text parts of the body."""
        given = {"name": self.name, "description": self.description, "folderId": self.folder_id}
        return {key: str(value) for key, value in given.items() if value is not None}

    def may_be(self, media: Media) -> bool:
        """Whether a file of the library bears this name, in this folder where both folders are known."""
        folders_differ = (
            self.folder_id is not None and media.folder_id is not None and str(self.folder_id) != str(media.folder_id)
        )
        return media.name == self.name and not folders_differ

    def equals(self, media: Media) -> bool:
        """Whether a file of the library has this name, size and type; what is unknown equals nothing."""
        return self.may_be(media) and media.size == self.source.size and _same_type(media.mime_type, self.mime_type)


def _same_type(stored: str | None, sent: str) -> bool:
    plain = (stored or "").partition(";")[0].strip().lower()
    return plain == sent or (plain == "image/jpg" and sent == "image/jpeg")


def prepare_upload(
    source: Source,
    *,
    name: str | None = None,
    description: str | None = None,
    folder_id: int | str | None = None,
    mime_type: str | None = None,
    file_name: str | None = None,
) -> Upload:
    """Check all that is to be sent, before anything is.

    :param name: by default the file's base name.
    :param mime_type: wins where the bytes say nothing; must not contradict them.
    :param file_name: by default the file's base name; only the last component of a path is used.
    :raises Problem: of kind FILE or CONFIGURATION, with one sentence.
    """
    name = _text("name", name) or source.base_name
    file_name = (_text("file_name", file_name) or source.base_name or name or "").replace("\\", "/").rpartition("/")[2]
    if not name:
        raise _wrong(f"The file {source.label} has no name of its own: give it one with name=...")
    for field, text in {"name": name, "description": description, "file_name": file_name}.items():
        _check_sendable(field, text)
    if any(not letter.isprintable() or letter in '"\\' for letter in file_name):
        raise _wrong(f"The file name {file_name!r} holds a quote or a control character: give another as file_name=...")
    return Upload(
        source=source,
        name=name,
        file_name=file_name or name,
        mime_type=_mime_type(source, mime_type, file_name),
        description=description,
        folder_id=_folder_id(folder_id),
    )


def _wrong(sentence: str) -> Problem:
    return Problem(Kind.CONFIGURATION, sentence)


def _text(field: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or value.strip() in {"", "None"}:
        raise _wrong(f"{field} must be a text, not {value!r}; did a template come out empty?")
    return value


def _check_sendable(field: str, text: object) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise _wrong(f"{field} must be a text, not {type(text).__name__}.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _wrong(f"{field} {text!r} holds half a character (a lone surrogate), which cannot be sent.") from None


def _folder_id(folder_id: object) -> int | str | None:
    if folder_id is None:
        return None
    if isinstance(folder_id, str):
        folder_id = folder_id.strip()
        folder_id = int(folder_id) if folder_id.isdecimal() else folder_id
    if isinstance(folder_id, bool) or not isinstance(folder_id, (int, str)) or folder_id in {"", "None"}:
        raise _wrong(f"folder_id must be a folder's number, not {folder_id!r}; did a template come out empty?")
    if isinstance(folder_id, int) and folder_id < 1:
        raise _wrong(f"folder_id must be at least 1, not {folder_id}.")
    return folder_id


def _mime_type(source: Source, given: str | None, file_name: str) -> str:
    given = _text("mime_type", given)
    if given is not None and given not in EXTENSIONS:
        raise _wrong(f"mime_type must be one of {', '.join(EXTENSIONS)}, not {given!r}.")
    try:
        found = sniff(source)
    except Problem:
        if given is None:
            raise
        found = given
    if given not in {None, found}:
        raise file_problem(source.label, f"its content is {found}, but mime_type says {given}")
    if extension_disagrees(file_name, found):
        log.warning("The content of %s is %s, although its extension says otherwise; it is sent as %s", source.label,
                    found, found)  # fmt: skip
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the library held before an upload: enough to tell later what is newer.

    :param newest_id: the newest id, where ids are numbers and so grow.
    :param namesakes: else, the ids that already bore the name.
    """

    newest_id: int | None = None
    namesakes: tuple[str, ...] = ()

    def is_older_than(self, media: Media) -> bool:
        """Whether the file came after the mark."""
        number = id_number(media.id)
        if self.newest_id is not None and number is not None:
            return number > self.newest_id
        return str(media.id) not in self.namesakes

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"newest_id": self.newest_id, "namesakes": list(self.namesakes)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Mark:
        """Make it again of what :meth:`to_dict` returned."""
        return cls(newest_id=values["newest_id"], namesakes=tuple(values["namesakes"]))


def take_mark(name: str) -> Flow[Mark]:
    """Ask for the newest id: one request at any size of the library. It also meets a rejected key before a large body.

    Two items are asked for, not one: only that shows whether the server sorts as told. Where it does not, or where
    ids have no order, the whole list is read for the ids that bear the name.
    """
    call = build_list(limit=2, sort_by="id", sort_order="desc")
    page = parse_page(call, (yield call))
    numbers = [id_number(media.id) for media in page.items]
    match numbers:
        case [int(newest), int(older)] if newest > older:
            return Mark(newest_id=newest)
        case [int(newest)] if page.total == 1:
            return Mark(newest_id=newest)
        case [] if not page.total:
            return Mark()
    return Mark(namesakes=tuple(str(media.id) for media in (yield from find_media(name))))


def look_for(upload: Upload, mark: Mark) -> Flow[list[Media]]:
    """Find the files newer than the mark that equal the upload."""
    newer: list[Media] = []
    if mark.newest_id is None:
        newer = [media for media in (yield from list_all()) if mark.is_older_than(media)]
    else:
        walk = PageWalk(page_size=_LOOK_PAGE, sort_by="id", sort_order="desc")
        while walk.next_call:
            page = walk.feed((yield walk.next_call))
            newer += [media for media in page if mark.is_older_than(media)]
            if page and not any(mark.is_older_than(media) for media in page):
                break
    candidates = yield from _in_full([media for media in newer if upload.may_be(media)])
    return [media for media in candidates if upload.equals(media)]


def upload_media(
    upload: Upload,
    *,
    if_exists: str,
    settle_seconds: float,
    retries: Retries,
    before_delete: Callable[[Iterable[Media]], None],
) -> Flow[UploadResult]:
    """Store one file by the rules of ``if_exists``.

    :param if_exists: ``reuse``, ``upload``, ``replace`` or ``fail``.
    :param settle_seconds: how long to look for a stored file after a lost answer before sending again.
    :param retries: the tries of the POST.
    :param before_delete: raises when any of the given files must not be deleted (``replace``).
    :raises Problem: see :class:`Kind`.
    """
    namesakes: list[Media] = []
    if if_exists == "upload":
        mark = yield from take_mark(upload.name)
    else:
        mark, namesakes = yield from _mark_and_namesakes(upload)
    if if_exists == "fail" and namesakes:
        raise Problem(
            Kind.CONFLICT,
            f"The name {upload.name!r} is taken by {_ids(namesakes)}, and if_exists='fail' wants it free: choose"
            " another name or another if_exists.",
        )
    if if_exists == "reuse":
        reusable = next((media for media in namesakes if upload.equals(media)), None)
        if reusable:
            return UploadResult(media=reusable, created=False)
        if namesakes:
            log.warning("The library holds %r with another size or type (%s); the file is sent beside it", upload.name,
                        _ids(namesakes))  # fmt: skip
    if if_exists == "replace" and namesakes:
        before_delete(namesakes)
    media = yield from _send(upload, mark, retries, settle_seconds)
    media = yield from _verify(upload, media, must_get=if_exists == "replace" and bool(namesakes))
    replaced: list[int | str] = []
    if if_exists == "replace" and namesakes:
        before_delete(namesakes)  # asked again: the transfer took time
        for old in namesakes:
            yield from _delete_if_there(old.id)
            replaced.append(old.id)
    return UploadResult(media=media, created=True, replaced=tuple(replaced))


def _mark_and_namesakes(upload: Upload) -> Flow[tuple[Mark, list[Media]]]:
    """Read the whole list once, for both."""
    library = yield from list_all()
    numbers = [id_number(media.id) for media in library]
    known = [number for number in numbers if number is not None]
    same_name = [media for media in library if media.name == upload.name]
    ordered = len(known) == len(numbers)
    mark = (
        Mark(newest_id=max(known, default=0))
        if ordered and known
        else Mark(namesakes=tuple(str(media.id) for media in same_name))
    )
    full = yield from _in_full(same_name)
    return mark, [media for media in oldest_first(full) if upload.may_be(media)]


def _in_full(found: list[Media]) -> Flow[list[Media]]:
    """Ask for the size and type of each file where the list left them out."""
    full: list[Media] = []
    for media in found:
        known = media.size is not None and media.mime_type is not None
        full.append(media if known else (yield from get_media(media.id)))
    return full


def _send(upload: Upload, mark: Mark, retries: Retries, settle_seconds: float) -> Flow[Media]:
    """Send the file until the library surely has it."""
    call = replace(build_upload(upload), retries=retries)
    in_doubt = False
    while True:
        try:
            media = parse_media(call, (yield call))
        except Problem as problem:
            if not problem.maybe_acted:
                raise
            in_doubt = True
            wait = retries.next_wait(problem)
            log.warning("%s It may be stored all the same; looking for it before sending again", problem.message)
            # Without the body's end no server has a whole file, so one look is enough: there is nothing to wait for.
            patience = 0.0 if problem.body_cut_short else settle_seconds
            adopted, waited = yield from _settle(upload, mark, patience, problem)
            if adopted:
                log.warning("The answer was lost, but the library has %r as %s; it is used", upload.name, adopted.id)
                return adopted
            if wait is None:
                raise
            log.warning("The library does not have %r; sending it again", upload.name)
            yield Pause(max(0.0, wait - waited))
        else:
            if in_doubt:
                yield from _warn_of_strays(upload, mark, media)
            return media


def _settle(upload: Upload, mark: Mark, settle_seconds: float, problem: Problem) -> Flow[tuple[Media | None, float]]:
    """Look until the file is found or had the time to show up; return it and the seconds waited.

    :raises Problem: the one in doubt, when the last look fails too: unseen, the file must not be sent again.
    """
    waited, delay = 0.0, _FIRST_LOOK_WAIT_SECONDS
    while True:
        failed: Problem | None = None
        try:
            found = yield from look_for(upload, mark)
        except Problem as look_problem:
            found, failed = [], look_problem
            if not look_problem.transient:
                raise
        if len(found) > 1:
            raise Problem(
                Kind.CONFLICT,
                f"The answer to the upload of {upload.name!r} was lost, and {_ids(found)} could both be it: look at"
                " them and delete the one that is not needed.",
            )
        if found:
            return found[0], waited
        if waited >= settle_seconds:
            break
        delay = min(delay, settle_seconds - waited)
        yield Pause(delay)
        waited += delay
        delay = min(delay * 2, _LONGEST_LOOK_WAIT_SECONDS)
    if failed:
        raise problem from failed
    return None, waited


def _warn_of_strays(upload: Upload, mark: Mark, media: Media) -> Flow[None]:
    try:
        found = yield from look_for(upload, mark)
    except Problem as problem:
        log.warning("Could not look whether an earlier attempt was stored as well: %s", problem.message)
        return
    strays = [other for other in found if str(other.id) != str(media.id)]
    if strays:
        log.warning("An earlier attempt was stored late: %s equal %s; nothing is deleted, another task may use them",
                    _ids(strays), media.id)  # fmt: skip


def _verify(upload: Upload, media: Media, *, must_get: bool) -> Flow[Media]:
    """Make sure that what the library holds is what was sent."""
    if must_get or media.size is None or media.url is None:
        stored = yield from get_media(media.id)
        if must_get and stored.size is None:
            raise _not_whole(upload, stored)
        media = stored
    if media.size is not None and media.size != upload.source.size:
        raise _not_whole(upload, media)
    if media.name is not None and media.name != upload.name:
        log.warning("The platform stored %r under another name: %r", upload.name, media.name)
    return media


def _not_whole(upload: Upload, media: Media) -> Problem:
    return Problem(
        Kind.RESPONSE,
        f"{upload.name!r} was stored as {media.id}, but the library says {media.size} bytes where"
        f" {upload.source.size} were sent: do not use it; delete it and upload again.",
    )


def _delete_if_there(media_id: int | str) -> Flow[None]:
    try:
        yield from delete_media(media_id)
    except Problem as problem:
        if problem.kind is not Kind.NOT_FOUND:
            raise


def _ids(found: Iterable[Media]) -> str:
    return ", ".join(f"{media.id} ({media.size} bytes)" for media in found)
