"""The SHA-256 of a file's content, kept at the end of its description: the API has no field for a checksum."""

from __future__ import annotations

import re

_FINGERPRINT = re.compile(r"(?:^|\s)sha256:([0-9a-f]{64})\s*$")


def with_fingerprint(description: str | None, fingerprint: str) -> str:
    """Append the fingerprint to a description.

    :param description: the user's own text, or None.
    :param fingerprint: 64 hexadecimal digits.
    """
    return f"{description} sha256:{fingerprint}" if description else f"sha256:{fingerprint}"


def fingerprint_in(description: str | None) -> str | None:
    """Read the fingerprint out of a description; None where there is none."""
    found = _FINGERPRINT.search(description or "")
    return found[1] if found else None
