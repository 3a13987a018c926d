"""The specification of one upload, validated before anything is sent, and its comparison with files of the library.

Platforms shorten names or turn them into slugs, label types in their own way, and re-encode files.
"""

from __future__ import annotations

import hashlib
import html
import logging
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from airflow_provider_media._api.flows import Flow, get_settled
from airflow_provider_media._api.media_types import EXTENSIONS, extension_mismatches, is_other_type
from airflow_provider_media._api.values import format_ids, refuse_large_integer, show
from airflow_provider_media._upload.source import Source, detect_mime_type, file_error, printable, sha256, template_hint
from airflow_provider_media.exceptions import (
    MediaConfigurationError,
    MediaConflictError,
    MediaError,
    MediaResponseError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_media.models import Media


log = logging.getLogger(__name__)

_FINGERPRINT = re.compile(r"(?:^|\s)(?:name:([0-9a-f]{16})\s+)?sha256:([0-9a-f]{64})\s*$")
"""The fingerprint at the end of a description: the SHA-256 of the content, and a digest of the name.

The API has no fields for either. The digest identifies a file that the platform renamed (re-encoding changes even the
extension of a short name), so that names need not be compared loosely.
"""


def with_fingerprint(description: str | None, fingerprint: str, name: str) -> str:
    """Append the name digest and the fingerprint to a description."""
    return " ".join(filter(None, (description, f"name:{name_digest(name)}", f"sha256:{fingerprint}")))


def _find_fingerprint(description: str | None) -> re.Match[str] | None:
    return _FINGERPRINT.search((description or "").rstrip()[-_MAX_FINGERPRINT_CHARACTERS:])


_MAX_FINGERPRINT_CHARACTERS = 200


def fingerprint_in(description: str | None) -> str | None:
    """Parse the fingerprint in a description; None if there is none."""
    found = _find_fingerprint(description)
    return found[2] if found else None


def name_digest(name: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a name."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def name_digest_in(description: str | None) -> str | None:
    """Parse the name digest in a description; None if there is none."""
    found = _find_fingerprint(description)
    return found[1] if found else None


def has_name(media: Media, name: str) -> bool:
    """Return whether a file was uploaded with exactly this name, or without a digest, has this name."""
    digest = name_digest_in(media.description)
    return media.name == name if digest is None else digest == name_digest(name)


def is_renamed(media: Media) -> bool:
    """Return whether a file was uploaded with another name than it has."""
    digest = name_digest_in(media.description)
    return digest is not None and (media.name is None or digest != name_digest(media.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSpec:
    """One file to upload.

    :param file_name: the base name in the header of the multipart part.
    :param fingerprint: the SHA-256 of its content, at the end of the description; None to compare sizes and types.
    :param accepts_converted: whether the platform may store it with another size.
    """

    source: Source
    name: str
    file_name: str
    mime_type: str
    description: str | None = None
    folder_id: int | str | None = None
    fingerprint: str | None = None
    accepts_converted: bool = False

    @property
    def fields(self) -> dict[str, str]:
        """The form fields of the body."""
        given = {"name": self.name, "description": self.description, "folderId": self.folder_id}
        return {key: str(value) for key, value in given.items() if value is not None}

    def with_fingerprint(self, *, accepts_converted: bool) -> UploadSpec:
        """Return a copy with the SHA-256 of the content at the end of the description."""
        fingerprint = sha256(self.source)
        return replace(
            self,
            description=with_fingerprint(self.description, fingerprint, self.name),
            fingerprint=fingerprint,
            accepts_converted=accepts_converted,
        )

    def could_match(self, media: Media) -> bool:
        """Return whether a file has this name and is not known to be in another folder."""
        return has_name(media, self.name) and not self.is_of_another_folder(media)

    def is_of_another_folder(self, media: Media) -> bool:
        """Return whether a file is known to be in another folder."""
        return None not in (self.folder_id, media.folder_id) and str(self.folder_id) != str(media.folder_id)

    def could_match_with_details(self, media: Media) -> bool:
        """Return whether :meth:`could_match` may be true with the details, because a description may prove the name."""
        is_hidden = self.fingerprint is not None and media.description is None and media.size == self.source.size
        return is_hidden or self.could_match(media)

    def has_unknown_folder(self, media: Media) -> bool:
        """Return whether the folder of a file is needed and unknown."""
        return self.folder_id is not None and media.folder_id is None

    def needs_details_for(self, media: Media) -> bool:
        """Return whether a listed file lacks a field that :meth:`matches` compares.

        A size of 0 means that the platform still processes the file, because it stores no empty files.
        """
        needs_description = media.description is None and (
            media.name != self.name or (self.fingerprint is not None and media.size != self.source.size)
        )
        return not media.size or media.mime_type is None or needs_description or self.has_unknown_folder(media)

    def matches(self, media: Media) -> bool:
        """Return whether a file of the library is this one.

        It has the same name, and the same fingerprint or, where one is unknown, the same size and type. An unknown size
        matches nothing; an unknown type matches every type.
        """
        if not self.could_match(media) or self.is_rejected_conversion(media):
            return False
        stored = fingerprint_in(media.description)
        if self.fingerprint and stored:
            return stored == self.fingerprint
        return media.size == self.source.size and not is_other_type(media.mime_type, self.mime_type)

    def is_rejected_conversion(self, media: Media) -> bool:
        """Return whether a file has this content, but was converted, which is not accepted."""
        is_converted = bool(media.size) and media.size != self.source.size and not self.accepts_converted
        return is_converted and self.proves_content(media)

    def proves_content(self, media: Media) -> bool:
        """Return whether the description of a file has the fingerprint of the upload."""
        return self.fingerprint is not None and fingerprint_in(media.description) == self.fingerprint


def prepare_upload(
    source: Source,
    *,
    name: str | None = None,
    default_name: str | None = None,
    description: str | None = None,
    folder_id: int | str | None = None,
    mime_type: str | None = None,
    file_name: str | None = None,
) -> UploadSpec:
    """Validate an upload before anything is sent.

    :param name: the name; empty strings and "None" raise, because an empty template renders to them.
    :param default_name: the name if ``name`` is None; by default the base name of the file. Bytes that are not UTF-8
        are escaped.
    :param mime_type: the type of content whose type is not detected; must not contradict a detected type.
    :param file_name: by default the base name of the file. Only the last component of a path is used. Quotes become
        ``%22``, control characters ``_``.
    """
    name = _parse_string("name", name) or printable(default_name or source.base_name or "")
    if not name:
        raise MediaConfigurationError(f"The file {source.label!r} has no name. Pass name=...")
    file_name = _base_name(_parse_string("file_name", file_name) or printable(source.base_name or name))
    description, folder_id = validate_common_fields(description, folder_id)
    return UploadSpec(
        source=source,
        name=name,
        file_name=_for_header(file_name),
        mime_type=_parse_mime_type(source, mime_type, file_name),
        description=description,
        folder_id=folder_id,
    )


def validate_common_fields(description: object, folder_id: object) -> tuple[str | None, int | str | None]:
    """Validate the fields that several files may share: the description and the folder."""
    return _parse_string("description", description), _parse_folder_id(folder_id)


def _base_name(path: str) -> str:
    """Return the last component of a path, so that the platform does not receive local paths."""
    last = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "file" if last in {"", ".", ".."} else last


def _for_header(file_name: str) -> str:
    """Escape a file name for the header of a multipart part, as browsers do."""
    plain = "".join("_" if unicodedata.category(letter) == "Cc" else letter for letter in file_name)
    return plain.replace('"', "%22")


def _parse_string(field: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or value.strip() in {"", "None"}:
        raise MediaConfigurationError(
            f"{field} must be a string that is not empty, not {show(value)}{template_hint(value)}"
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MediaConfigurationError(f"{field} {value!r} contains a lone surrogate, which cannot be sent.") from None
    return value


def _parse_folder_id(folder_id: object) -> int | str | None:
    if folder_id is None:
        return None
    if isinstance(folder_id, str):
        folder_id = folder_id.strip()
        is_number = folder_id.isdecimal() and len(folder_id) < 20  # noqa: PLR2004 - digits of a 64-bit integer
        folder_id = int(folder_id) if is_number else folder_id
    if isinstance(folder_id, bool) or not isinstance(folder_id, (int, str)) or folder_id in {"", "None"}:
        raise MediaConfigurationError(
            f"folder_id must be the number of a folder, not {show(folder_id)}{template_hint(folder_id)}"
        )
    refuse_large_integer("folder_id", folder_id)
    if isinstance(folder_id, int) and folder_id < 1:
        raise MediaConfigurationError(f"folder_id must be at least 1, not {folder_id}.")
    return folder_id


def _parse_mime_type(source: Source, given: str | None, file_name: str) -> str:
    given = _parse_string("mime_type", given)
    if given is not None and given not in EXTENSIONS:
        raise MediaConfigurationError(f"mime_type must be one of {', '.join(EXTENSIONS)}, not {show(given)}.")
    found = detect_mime_type(source, default=given)
    if given not in {None, found}:
        raise file_error(source.label, f"its content is {found}, but mime_type={given!r}")
    if extension_mismatches(file_name, found):
        log.warning("Uploading %r as %s: its extension does not match its content", source.label, found)
    return found


def is_credible(upload: UploadSpec, media: Media) -> bool:
    """Return whether a stored file may result from an upload, by its name and size where known.

    Used only to check a response. Files of the library are never matched by it.
    """
    if upload.proves_content(media):
        return not upload.is_rejected_conversion(media)
    is_size_credible = not media.size or media.size == upload.source.size or upload.accepts_converted
    return is_size_credible and is_name_credible(upload.name, media.name)


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
    elif upload.fingerprint and media.description is not None and not upload.proves_content(media):
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
    """Raise MediaConflictError if the folder of a file that an upload replaces is unknown."""
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
