"""Compare what the library stored with what was sent.

Platforms shorten names or turn them into slugs, label types in their own way, and re-encode files.
"""

from __future__ import annotations

import logging
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from airflow_provider_media._api.fingerprint import fingerprint_in
from airflow_provider_media._api.problem import Kind, Problem

if TYPE_CHECKING:
    from airflow_provider_media._api.upload import Upload
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)


def is_credible(upload: Upload, media: Media) -> bool:
    """Whether an entry of the library may be what became of an upload: its name and size, where known, fit.

    It only decides whether a response is believed. Files of the library are never matched by it.
    """
    if has_proof(upload, media):
        return not upload.is_refused(media)
    return _is_size_credible(upload, media) and is_name_credible(upload.name, media.name)


def has_proof(upload: Upload, media: Media) -> bool:
    """Whether the description proves the content and the name."""
    return upload.fingerprint is not None and fingerprint_in(media.description) == upload.fingerprint


def _is_size_credible(upload: Upload, media: Media) -> bool:
    return not media.size or media.size == upload.source.size or upload.accepts_converted


def is_name_credible(sent: str, stored: str | None) -> bool:
    """Whether a platform may have made the stored name of the sent one, by shortening, case, blanks or a slug."""
    if stored is None or stored == sent:
        return True
    stem, suffix = PurePosixPath(stored).stem, PurePosixPath(stored).suffix
    candidates = {_letters(sent), _letters(PurePosixPath(sent).name)}
    candidates |= {"".join(filter(str.isascii, letters)) for letters in candidates}
    if not _letters(stem):  # nothing of it is left in ASCII
        return any(not letters or letters == _letters(suffix) for letters in candidates)
    return any(letters.startswith((_letters(stored), _letters(stem))) for letters in candidates)


def _letters(name: str) -> str:
    """Return the letters and digits of a name, without case and accents."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", name))).casefold()


def changes_of(upload: Upload, media: Media) -> list[str]:
    """Return what the library stored differently, each from what to what."""
    changes = []
    if media.name is not None and media.name != upload.name:
        changes.append(f"name {upload.name!r} -> {media.name!r}")
    if media.mime_type and media.mime_type.partition(";")[0].strip().lower() != upload.mime_type:
        changes.append(f"type {upload.mime_type!r} -> {media.mime_type!r}")
    if media.size and media.size != upload.source.size:
        changes.append(f"size {upload.source.size} -> {media.size} bytes")
    return changes


def warn_of_changes(upload: Upload, media: Media) -> None:
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


def other_file(upload: Upload, media: Media) -> Problem:
    """Return the error for a response that is not about the file that was sent."""
    if is_name_credible(upload.name, media.name):
        return not_whole(upload, media)
    return Problem(
        Kind.RESPONSE,
        f"Could not upload {upload.name!r}: the response describes another file, {media.id} ({media.name!r},"
        f" {media.size} bytes), and the library does not have {upload.name!r}.",
    )


def not_whole(upload: Upload, media: Media) -> Problem:
    """Return the error for a file that is stored in another size than was sent."""
    return Problem(
        Kind.RESPONSE,
        f"{upload.name!r} was stored as {media.id}, but the library says {media.size} bytes where"
        f" {upload.source.size} were sent: do not use it; delete it and upload again. If the platform re-encodes files,"
        " set the connection's extra 'accept_converted' to true.",
    )
