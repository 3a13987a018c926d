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

from airflow_provider_media._upload.spec import fingerprint_in
from airflow_provider_media.exceptions import MediaError, MediaResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
