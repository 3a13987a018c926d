"""The end of a file's description: the SHA-256 of its content, and a proof of the name that it was sent under.

The API has no fields for either. The name's proof recognizes a file exactly that the platform renamed (even a short
name gets another extension where files are re-encoded), without comparing names loosely.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_media.models import Media

_FINGERPRINT = re.compile(r"(?:^|\s)(?:name:([0-9a-f]{16})\s+)?sha256:([0-9a-f]{64})\s*$")


def with_fingerprint(description: str | None, fingerprint: str, name: str) -> str:
    """Append the name's proof and the fingerprint to a description.

    :param description: the user's own text, or None.
    :param fingerprint: 64 hexadecimal digits.
    :param name: the name that the file is sent under.
    """
    return " ".join(filter(None, (description, f"name:{name_proof(name)}", f"sha256:{fingerprint}")))


def fingerprint_in(description: str | None) -> str | None:
    """Read the fingerprint from a description; None where there is none."""
    found = _FINGERPRINT.search(description or "")
    return found[2] if found else None


def name_proof(name: str) -> str:
    """Return 16 hexadecimal digits that stand for a name."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def name_proof_in(description: str | None) -> str | None:
    """Read the name's proof from a description; None where there is none."""
    found = _FINGERPRINT.search(description or "")
    return found[1] if found else None


def has_name(media: Media, name: str) -> bool:
    """Whether a file of the library was sent under exactly this name, or else is named exactly so."""
    proof = name_proof_in(media.description)
    return media.name == name if proof is None else proof == name_proof(name)
