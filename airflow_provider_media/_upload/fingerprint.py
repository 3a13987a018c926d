"""The fingerprint at the end of a file's description: the SHA-256 of its content, and a digest of its name.

The API has no fields for either. The digest identifies a file that the platform renamed (re-encoding changes even the
extension of a short name), so that names need not be compared loosely.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_media.models import Media

_FINGERPRINT = re.compile(r"(?:^|\s)(?:name:([0-9a-f]{16})\s+)?sha256:([0-9a-f]{64})\s*$")


def with_fingerprint(description: str | None, fingerprint: str, name: str) -> str:
    """Append the name digest and the fingerprint to a description.

    :param description: the description given by the user, or None.
    :param fingerprint: 64 hexadecimal digits.
    :param name: the name of the upload.
    """
    return " ".join(filter(None, (description, f"name:{name_digest(name)}", f"sha256:{fingerprint}")))


def fingerprint_in(description: str | None) -> str | None:
    """Parse the fingerprint in a description; None if there is none."""
    found = _FINGERPRINT.search(description or "")
    return found[2] if found else None


def name_digest(name: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a name."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def name_digest_in(description: str | None) -> str | None:
    """Parse the name digest in a description; None if there is none."""
    found = _FINGERPRINT.search(description or "")
    return found[1] if found else None


def has_name(media: Media, name: str) -> bool:
    """Return whether a file was uploaded with exactly this name, or without a digest, has this name."""
    digest = name_digest_in(media.description)
    return media.name == name if digest is None else digest == name_digest(name)
