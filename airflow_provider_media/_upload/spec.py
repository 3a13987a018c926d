"""One file as it is to be stored, checked before anything is sent."""

from __future__ import annotations

import logging
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_media._api.media_types import EXTENSIONS, extension_mismatches, is_other_type
from airflow_provider_media._upload.fingerprint import fingerprint_in, has_name, with_fingerprint
from airflow_provider_media._upload.source import Source, detect_mime_type, file_problem, printable, sha256
from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSpec:
    """One file as it is to be stored.

    :param source: its bytes.
    :param name: the human-readable name.
    :param file_name: the file name in the part's header; a base name.
    :param mime_type: the type, found from the bytes.
    :param description: free text, or None.
    :param folder_id: the folder, or None for the library's default.
    :param fingerprint: the SHA-256 of its content, which the description ends with; None to compare sizes and types.
    :param accepts_converted: whether it may be stored in another size than was sent.
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
        """The text parts of the body."""
        given = {"name": self.name, "description": self.description, "folderId": self.folder_id}
        return {key: str(value) for key, value in given.items() if value is not None}

    def with_fingerprint(self, *, accepts_converted: bool) -> UploadSpec:
        """Return it with the SHA-256 of its content at the end of its description."""
        fingerprint = sha256(self.source)
        return replace(
            self,
            description=with_fingerprint(self.description, fingerprint, self.name),
            fingerprint=fingerprint,
            accepts_converted=accepts_converted,
        )

    def could_match(self, media: Media) -> bool:
        """Whether a file of the library bears this name, and is not known to be in another folder."""
        return has_name(media, self.name) and not self.is_of_another_folder(media)

    def is_of_another_folder(self, media: Media) -> bool:
        """Whether a file of the library is known to be in another folder."""
        return None not in (self.folder_id, media.folder_id) and str(self.folder_id) != str(media.folder_id)

    def could_match_with_details(self, media: Media) -> bool:
        """Whether :meth:`could_match` could hold once all of a file is known: its description may prove its name."""
        is_hidden = self.fingerprint is not None and media.description is None and media.size == self.source.size
        return is_hidden or self.could_match(media)

    def has_unknown_folder(self, media: Media) -> bool:
        """Whether it is not known to be in this folder or another; where no folder is asked for, none matters."""
        return self.folder_id is not None and media.folder_id is None

    def needs_details_for(self, media: Media) -> bool:
        """Whether something is unknown that tells whether a file of the library is this one.

        A size of 0 is that of a file that the platform still processes: no empty file is ever stored.
        """
        needs_description = media.description is None and (
            media.name != self.name or (self.fingerprint is not None and media.size != self.source.size)
        )
        return not media.size or media.mime_type is None or needs_description or self.has_unknown_folder(media)

    def matches(self, media: Media) -> bool:
        """Whether a file of the library is this one.

        It is when it has the name and the content's fingerprint, or where no fingerprint is known, the size and no
        other type. An unknown size equals nothing; an unknown type does not differ.
        """
        if not self.could_match(media) or self.is_refused(media):
            return False
        stored = fingerprint_in(media.description)
        if self.fingerprint and stored:
            return stored == self.fingerprint
        return media.size == self.source.size and not is_other_type(media.mime_type, self.mime_type)

    def is_refused(self, media: Media) -> bool:
        """Whether a file of the library has this content, but converted to another size, which is not accepted."""
        is_converted = bool(media.size) and media.size != self.source.size and not self.accepts_converted
        return is_converted and self.fingerprint is not None and self.fingerprint == fingerprint_in(media.description)


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
    """Check all that is to be sent, before anything is.

    :param name: what the caller asks for; an empty text or "None" is what a template renders to when there is nothing.
    :param default_name: the name if none is asked for: any text, by default the file's base name. Bytes that are not
        UTF-8 are written as escapes.
    :param description: by default none; an empty text or "None" is what a template renders to when there is nothing.
    :param mime_type: that of bytes that are of no known type; must not contradict them.
    :param file_name: by default the file's base name; only the last component of a path is used, a quote is written as
        ``%22``, and control characters as ``_``.
    :raises MediaFileError: with one sentence.
    """
    name = _text("name", name) or printable(default_name or source.base_name or "")
    if not name:
        raise MediaConfigurationError(f"The file {source.label!r} has no name of its own: give it one with name=...")
    file_name = _base_name(_text("file_name", file_name) or printable(source.base_name or name))
    description, folder_id = validate_common_fields(description, folder_id)
    for field, text in {"name": name, "file_name": file_name}.items():
        _check_sendable(field, text)
    return UploadSpec(
        source=source,
        name=name,
        file_name=_for_header(file_name),
        mime_type=_mime_type(source, mime_type, file_name),
        description=description,
        folder_id=folder_id,
    )


def validate_common_fields(description: object, folder_id: object) -> tuple[str | None, int | str | None]:
    """Check what several files may share: the description and the folder.

    :raises MediaConfigurationError: it is invalid.
    """
    text = _text("description", description)
    _check_sendable("description", text)
    return text, _folder_id(folder_id)


def _base_name(path: str) -> str:
    """Return the last component of a path: no more of it is told to the platform."""
    last = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "file" if last in {"", ".", ".."} else last


def _for_header(file_name: str) -> str:
    """Write a file name so that every parser of the part's header reads it (quotes as browsers do)."""
    plain = "".join("_" if unicodedata.category(letter) == "Cc" else letter for letter in file_name)
    return plain.replace('"', "%22")


def _text(field: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or value.strip() in {"", "None"}:
        raise MediaConfigurationError(f"{field} must be a text, not {value!r}; did a template come out empty?")
    return value


def _check_sendable(field: str, text: object) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise MediaConfigurationError(f"{field} must be a text, not {type(text).__name__}.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MediaConfigurationError(
            f"{field} {text!r} holds half a character (a lone surrogate), which cannot be sent."
        ) from None


def _folder_id(folder_id: object) -> int | str | None:
    if folder_id is None:
        return None
    if isinstance(folder_id, str):
        folder_id = folder_id.strip()
        is_number = folder_id.isdecimal() and len(folder_id) < 20  # noqa: PLR2004 - what fits 64 bits
        folder_id = int(folder_id) if is_number else folder_id
    if isinstance(folder_id, bool) or not isinstance(folder_id, (int, str)) or folder_id in {"", "None"}:
        raise MediaConfigurationError(
            f"folder_id must be a folder's number, not {folder_id!r}; did a template come out empty?"
        )
    if isinstance(folder_id, int) and folder_id < 1:
        raise MediaConfigurationError(f"folder_id must be at least 1, not {folder_id}.")
    return folder_id


def _mime_type(source: Source, given: str | None, file_name: str) -> str:
    given = _text("mime_type", given)
    if given is not None and given not in EXTENSIONS:
        raise MediaConfigurationError(f"mime_type must be one of {', '.join(EXTENSIONS)}, not {given!r}.")
    found = detect_mime_type(source, default=given)
    if given not in {None, found}:
        raise file_problem(source.label, f"its content is {found}, but mime_type says {given}")
    if extension_mismatches(file_name, found):
        log.warning("The content of %r is %s, although its extension says otherwise; it is sent as %s", source.label,
                    found, found)  # fmt: skip
    return found
