"""Compare what the library stored with what was sent.

Platforms shorten names or turn them into slugs, label types in their own way, and re-encode files.
"""

from __future__ import annotations

import html
import logging
import unicodedata
from contextlib import suppress
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from airflow_provider_media._upload.fingerprint import fingerprint_in
from airflow_provider_media.exceptions import MediaError, MediaResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)


def is_credible(upload: UploadSpec, media: Media) -> bool:
    """Whether an entry of the library may be what became of an upload: its name and size, where known, fit.

    It only decides whether a response is believed. Files of the library are never matched by it.
    """
    if has_proof(upload, media):
        return not upload.is_refused(media)
    return _is_size_credible(upload, media) and is_name_credible(upload.name, media.name)


def has_proof(upload: UploadSpec, media: Media) -> bool:
    """Whether the description proves the content and the name."""
    return upload.fingerprint is not None and fingerprint_in(media.description) == upload.fingerprint


def _is_size_credible(upload: UploadSpec, media: Media) -> bool:
    return not media.size or media.size == upload.source.size or upload.accepts_converted


def is_name_credible(sent: str, stored: str | None) -> bool:
    """Whether a platform may have made the stored name of the sent one.

    It may shorten a name, change its case and blanks, make a slug of it, replace what is not ASCII by anything or
    nothing (``_``, ``?``, another spelling), or escape it as URLs and HTML do.
    """
    if stored is None or stored == sent:
        return True
    composed = unicodedata.normalize("NFC", sent)  # so that a letter with its accent is one character
    return any(
        _leads_to([_ways_to_write(character) for character in name], written)
        for name in (composed, PurePosixPath(composed).name)
        for written in _unescaped(stored)
    )


_MAX_LETTERS = 6
"""So many letters stand for a character that is not ASCII: ``shch``, ``zhuang``."""

_WORDS = {"&": "and", "@": "at", "%": "percent", "+": "plus"}
"""What slugs make of symbols, or leave out."""


def _ways_to_write(character: str) -> tuple[str, ...] | None:
    """Return the texts that may stand for a character of a name; None for any :data:`_MAX_LETTERS` letters."""
    if not character.isascii():
        return None
    return ("", _WORDS[character]) if character in _WORDS else (_letters(character),)


def _leads_to(ways: Sequence[tuple[str, ...] | None], stored: str) -> bool:
    """Whether a name can be written so, whole or as its beginning, with or without a suffix after that."""
    stem, suffix = _letters(PurePosixPath(stored).stem), _letters(PurePosixPath(stored).suffix)
    if not stem:  # nothing of the name is left but its suffix
        return _reaches(ways, suffix, whole=True)
    return _reaches(ways, _letters(stored)) or _reaches(ways, stem)


def _reaches(ways: Sequence[tuple[str, ...] | None], stored: str, *, whole: bool = False) -> bool:
    """Whether letters and digits are one way to write all the characters, or the first of them."""
    ends = {0}
    for texts in ways:
        if not whole and len(stored) in ends:
            return True
        if texts is None:
            ends = {end + count for end in ends for count in range(_letters_at(stored, end) + 1)}
        else:
            ends = {end + len(text) for end in ends for text in texts if stored.startswith(text, end)}
    return len(stored) in ends


def _letters_at(text: str, start: int) -> int:
    """Count the letters there, at most :data:`_MAX_LETTERS`; no digits, because numbers tell files apart."""
    return len(list(takewhile(str.isalpha, text[start : start + _MAX_LETTERS])))


def _unescaped(stored: str) -> Iterator[str]:
    """Return a name as it is, without the escapes of URLs and HTML, and with UTF-8 that was read as ISO-8859-1."""
    yield stored
    yield unquote_plus(stored)
    yield html.unescape(stored)
    with suppress(UnicodeError):
        yield stored.encode("iso-8859-1").decode(errors="replace")


def _letters(name: str) -> str:
    """Return the letters and digits of a name, without case and accents."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", name))).casefold()


def changes_of(upload: UploadSpec, media: Media) -> list[str]:
    """Return what the library stored differently, each from what to what."""
    changes = []
    if media.name is not None and media.name != upload.name:
        changes.append(f"name {upload.name!r} -> {media.name!r}")
    if media.mime_type and media.mime_type.partition(";")[0].strip().lower() != upload.mime_type:
        changes.append(f"type {upload.mime_type!r} -> {media.mime_type!r}")
    if media.size and media.size != upload.source.size:
        changes.append(f"size {upload.source.size} -> {media.size} bytes")
    return changes


def warn_of_changes(upload: UploadSpec, media: Media) -> None:
    """Log one warning of what the library stored differently."""
    changes = changes_of(upload, media)
    if not changes:
        return
    advice = ""
    if media.name != upload.name and upload.fingerprint is None:
        advice = (
            f" Later runs do not find it by the name that was sent: pass name={media.name!r}, or set the connection's"
            " extra 'accept_converted' to true to recognize it by its description."
        )
    elif upload.fingerprint and media.description is not None and not has_proof(upload, media):
        advice = " The fingerprint in its description was not kept, so later runs may upload it again."
    log.warning("The platform changed what it stored as %s: %s.%s", media.id, ", ".join(changes), advice)


def other_file(upload: UploadSpec, media: Media) -> MediaError:
    """Return the error for a response that is not about the file that was sent."""
    if is_name_credible(upload.name, media.name):
        return not_whole(upload, media)
    return MediaResponseError(
        f"Could not upload {upload.name!r}: the response describes another file, {media.id} ({media.name!r},"
        f" {media.size} bytes), and the library does not have {upload.name!r}.",
    )


def not_whole(upload: UploadSpec, media: Media) -> MediaError:
    """Return the error for a file that is stored in another size than was sent."""
    return MediaResponseError(
        f"{upload.name!r} was stored as {media.id}, but the library says {media.size} bytes where"
        f" {upload.source.size} were sent: do not use it; delete it and upload again. If the platform re-encodes files,"
        " set the connection's extra 'accept_converted' to true.",
    )
