"""Compare files of the library with an upload: what it stored, and existing files before they are reused or deleted.

Platforms shorten names or turn them into slugs, label types in their own way, and re-encode files.
"""

from __future__ import annotations

import html
import logging
import unicodedata
from contextlib import suppress
from dataclasses import fields, replace
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from airflow_provider_media._api.flows import Flow, get_settled
from airflow_provider_media._api.values import format_ids
from airflow_provider_media._upload.spec import fingerprint_in
from airflow_provider_media.exceptions import MediaConflictError, MediaError, MediaResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)


def is_credible(upload: UploadSpec, media: Media) -> bool:
    """Return whether a stored file may result from an upload, by its name and size where known.

    Used only to check a response. Files of the library are never matched by it.
    """
    if proves_content(upload, media):
        return not upload.is_rejected_conversion(media)
    return _is_size_credible(upload, media) and is_name_credible(upload.name, media.name)


def proves_content(upload: UploadSpec, media: Media) -> bool:
    """Return whether the description has the fingerprint of the upload."""
    return upload.fingerprint is not None and fingerprint_in(media.description) == upload.fingerprint


def _is_size_credible(upload: UploadSpec, media: Media) -> bool:
    return not media.size or media.size == upload.source.size or upload.accepts_converted


def is_name_credible(sent: str, stored: str | None) -> bool:
    """Return whether a platform may have derived the stored name from the sent one.

    Platforms shorten names, change case and blanks, create slugs, replace or drop characters that are not ASCII
    (``_``, ``?``, a transliteration), or escape names as URLs and HTML do.
    """
    if stored is None or stored == sent:
        return True
    composed = unicodedata.normalize("NFC", sent)  # an accented letter becomes one character
    return any(
        _spells([_spellings(character) for character in name], written)
        for name in (composed, PurePosixPath(composed).name)
        for written in _unescaped(stored)
    )


_MAX_LETTERS = 6
"""Letters that a transliteration may use for one character: ``shch``, ``zhuang``."""

_WORDS = {"&": "and", "@": "at", "%": "percent", "+": "plus"}
"""Words that slugs use for symbols, or omit."""


def _spellings(character: str) -> tuple[str, ...] | None:
    """Return the spellings of a character of a name; None for any :data:`_MAX_LETTERS` letters."""
    if not character.isascii():
        return None
    return ("", _WORDS[character]) if character in _WORDS else (_letters(character),)


def _spells(characters: Sequence[tuple[str, ...] | None], stored: str) -> bool:
    """Return whether the stored name spells the name or its beginning, with or without a suffix."""
    stem, suffix = _letters(PurePosixPath(stored).stem), _letters(PurePosixPath(stored).suffix)
    if not stem:  # only the suffix remains
        return _matches_spellings(characters, suffix, whole=True)
    return _matches_spellings(characters, _letters(stored)) or _matches_spellings(characters, stem)


def _matches_spellings(characters: Sequence[tuple[str, ...] | None], stored: str, *, whole: bool = False) -> bool:
    """Return whether the letters and digits spell the characters, all of them or the first ones."""
    ends = {0}
    for spellings in characters:
        if not whole and len(stored) in ends:
            return True
        if spellings is None:
            ends = {end + count for end in ends for count in range(_letters_at(stored, end) + 1)}
        else:
            ends = {end + len(text) for end in ends for text in spellings if stored.startswith(text, end)}
    return len(stored) in ends


def _letters_at(text: str, start: int) -> int:
    """Count the letters there, at most :data:`_MAX_LETTERS`; no digits, because numbers distinguish files."""
    return len(list(takewhile(str.isalpha, text[start : start + _MAX_LETTERS])))


def _unescaped(stored: str) -> Iterator[str]:
    """Yield the name unchanged, without URL escapes, without HTML escapes, and with mis-decoded UTF-8 repaired."""
    yield stored
    yield unquote_plus(stored)
    yield html.unescape(stored)
    with suppress(UnicodeError):
        yield stored.encode("iso-8859-1").decode(errors="replace")


def _letters(name: str) -> str:
    """Return the letters and digits of a name, without case and accents."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", name))).casefold()


def changes_of(upload: UploadSpec, media: Media) -> list[str]:
    """Return the stored fields that differ from the upload, each as ``sent -> stored``."""
    changes = []
    if media.name is not None and media.name != upload.name:
        changes.append(f"name {upload.name!r} -> {media.name!r}")
    if media.mime_type and media.mime_type.partition(";")[0].strip().lower() != upload.mime_type:
        changes.append(f"type {upload.mime_type!r} -> {media.mime_type!r}")
    if media.size and media.size != upload.source.size:
        changes.append(f"size {upload.source.size} -> {media.size} bytes")
    return changes


def warn_of_changes(upload: UploadSpec, media: Media) -> None:
    """Log one warning about the fields that the library stored differently."""
    changes = changes_of(upload, media)
    if not changes:
        return
    advice = ""
    if media.name != upload.name and upload.fingerprint is None:
        advice = (
            f" Later runs will not find it by the original name: pass name={media.name!r}, or set the connection's"
            " extra 'accept_converted' to true to recognize it by its description."
        )
    elif upload.fingerprint and media.description is not None and not proves_content(upload, media):
        advice = " The fingerprint in its description was removed, so later runs may upload it again."
    log.warning("The platform changed what it stored as %r: %s.%s", media.id, ", ".join(changes), advice)


def different_file_error(upload: UploadSpec, media: Media) -> MediaError:
    """Return the error for a response that describes another file than the upload."""
    if is_name_credible(upload.name, media.name):
        return wrong_size_error(upload, media)
    return MediaResponseError(
        f"Could not upload {upload.name!r}: the response describes another file, {media.id} ({media.name!r},"
        f" {media.size} bytes), and the library does not have {upload.name!r}.",
    )


def wrong_size_error(upload: UploadSpec, media: Media) -> MediaError:
    """Return the error for a stored file with another size than the upload."""
    size = "no size" if media.size is None else f"{media.size} bytes"
    return MediaResponseError(
        f"{upload.name!r} was stored as {media.id}, but the library shows {size} instead of {upload.source.size}"
        " bytes. Delete it and upload it again. If the platform re-encodes files,"
        " set the connection's extra 'accept_converted' to true.",
    )


def fetch_details(upload: UploadSpec, found: Iterable[Media], *, settle_seconds: float = 0.0) -> Flow[list[Media]]:
    """Return the files that could match the upload, with the details that the list lacks.

    Files that no longer exist are skipped.

    :param settle_seconds: how long a listed file may take until a GET finds it.
    """
    listed = [media for media in found if upload.could_match_with_details(media)]
    incomplete = [media.id for media in listed if upload.needs_details_for(media)]
    details = yield from get_settled(incomplete, settle_seconds)
    full = [
        merge_details(media, details[str(media.id)]) if str(media.id) in details else media
        for media in listed
        if media.id not in incomplete or str(media.id) in details
    ]
    return [media for media in full if upload.could_match(media)]


def merge_details(listed: Media, details: Media) -> Media:
    """Add the details of a GET to an entry of the list; fields without a value stay as listed.

    The creation date stays as listed too, because baselines compare dates of the list and a GET may return another
    precision.
    """
    known = {field.name: getattr(details, field.name) for field in fields(details) if field.name != "id"}
    if listed.created_at is not None:
        del known["created_at"]
    return replace(listed, **{name: value for name, value in known.items() if value is not None})


def with_unknown_folder(upload: UploadSpec, existing: Iterable[Media]) -> tuple[Media, ...]:
    """Return the files that may be in another folder: they may be reused, but not deleted."""
    return tuple(media for media in existing if upload.has_unknown_folder(media))


def check_folders(upload: UploadSpec, existing: Iterable[Media]) -> None:
    """Check that all files that an upload replaces are in its folder.

    :raises MediaConflictError: the folder of a file is unknown.
    """
    unknown = with_unknown_folder(upload, existing)
    if unknown:
        raise MediaConflictError(
            f"Could not replace {upload.name!r} in folder {upload.folder_id}: {format_unknown_folders(unknown)} Or"
            " choose if_exists='upload'. Nothing was deleted.",
        )


def format_unknown_folders(unknown: Iterable[Media]) -> str:
    """Return why the files are not replaced, and the action."""
    return (
        f"the API does not return the folder of {format_ids(unknown)}, which may be another folder. If it is this one,"
        " delete the file by its id."
    )
