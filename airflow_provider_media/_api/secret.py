"""Secrets: a value that no traceback shows, and redaction of text that repeats it."""

from __future__ import annotations

import base64
import html.entities
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")

REDACTED = "***"

_MIN_CHARACTERS = 8
"""Shorter keys are not redacted, because they may occur in ordinary words and JSON keys."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret(Generic[T]):
    """A value whose repr is redacted, so that tools that log the variables of a traceback do not show it.

    Call :meth:`reveal` only inside the expression that needs the value, because a variable would be logged.
    """

    _value: T

    def reveal(self) -> T:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({REDACTED!r})"


def redact(secret: Secret[str] | None, text: str) -> str:
    """Replace a secret in text, in any encoding.

    Recognized are other cases, JSON escapes, percent-encoding (also double), HTML character references, and Base64,
    alone or as part of a longer value.
    """
    if secret is None or len(secret.reveal()) < _MIN_CHARACTERS:
        return text
    for encoded in _in_base64(secret):
        if encoded.reveal() in text:
            text = text.replace(encoded.reveal(), REDACTED)
    return _pattern(secret).reveal().sub(REDACTED, text)


def redact_bytes(secret: Secret[str] | None, data: bytes, charset: str | None = None) -> bytes:
    """Replace a secret in encoded text; bytes without the secret are returned unchanged.

    :param charset: the charset of the headers, which may be invalid; the encodings of JSON are always tried.
    """
    if charset and charset not in _ASCII_COMPATIBLE:
        with suppress(LookupError, ValueError):
            text = data.decode(charset, "replace")
            if (redacted := redact(secret, text)) != text:
                data = redacted.encode(charset, "replace")
    encoding: str = json.detect_encoding(data)
    if encoding.startswith("utf-8"):
        encoding = "iso-8859-1"  # one character per byte, so that decoding is lossless; a secret is ASCII
    try:
        text = data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:  # it only starts like UTF-16 or UTF-32
        encoding = "iso-8859-1"
        text = data.decode(encoding)
    redacted = redact(secret, text)
    # Unchanged text is not encoded again, because a byte order mark could change.
    return data if redacted == text else redacted.encode(encoding, "surrogatepass")


_ASCII_COMPATIBLE = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "windows-1252"}
"""Charsets in which an ASCII secret has the same bytes as in ISO-8859-1."""


def redact_url(url: str) -> str:
    """Replace possible secrets in a URL: its credentials, and its query and fragment, which may contain a signature.

    In schemes other than HTTP, the part before an ``@`` is an Airflow connection id, unless it has a colon.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    is_http = scheme.lower() in {"http", "https"}
    if is_http:
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        if "@" in authority:
            rest = f"{REDACTED}@{rest[authority.rindex('@') + 1 :]}"
    elif ":" in rest.partition("@")[0].partition("/")[0] and "@" in rest:
        rest = f"{REDACTED}@{rest.rpartition('@')[2]}"
    for mark in "?#":
        before, _, parameters = rest.partition(mark)
        if parameters and (is_http or "=" in parameters):
            rest = f"{before}{mark}{REDACTED}"
    return f"{scheme}{separator}{rest}"


def redact_urls(text: str) -> str:
    """Replace possible secrets in all URLs of a string; see :func:`redact_url`."""
    return _URL.sub(lambda found: redact_url(found[0]), text) if "://" in text else text


_URL = re.compile(r"""\w[\w+.-]*://[^\s'"<>]+""")


@lru_cache(maxsize=64)
def _in_base64(secret: Secret[str]) -> tuple[Secret[str], ...]:
    """Return the Base64 of a secret after 0, 1 and 2 other bytes, without the characters that other bytes affect."""
    found = []
    for shift in range(3):
        start, end = (shift * 8 + 5) // 6, (shift + len(secret.reveal())) * 8 // 6
        whole = base64.b64encode(b"\0" * shift + secret.reveal().encode()).decode()[start:end]
        found += [Secret(whole), Secret(whole.translate(_URL_SAFE))]
    return tuple(dict.fromkeys(found))


_URL_SAFE = str.maketrans("+/", "-_")


@lru_cache(maxsize=64)
def _pattern(secret: Secret[str]) -> Secret[re.Pattern[str]]:
    return Secret(re.compile("".join(map(_spellings, secret.reveal()))))


def _spellings(character: str) -> str:
    """Return a pattern for one character in any encoding.

    Each alternative starts with a literal and has no flag, because that makes the search fast.
    """
    if not character.isascii():  # such a key is rejected before it is sent
        return re.escape(character)
    letters = sorted({character.lower(), character.upper()})
    names = {name.rstrip(";") for name, text in html.entities.html5.items() if text == character}
    spellings = [re.escape(letter) for letter in letters]
    for letter in letters:
        code = ord(letter)
        digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}")
        spellings += [rf"\\\\*(?:{re.escape(letter)}|u00{digits})", f"%(?:25)*{digits}"]
        spellings += [f"&(?:amp;)*#(?:0*{code}|[xX]0*{digits});?"]
    spellings += [f"&(?:amp;)*{name};?" for name in sorted(names)]
    return f"(?:{'|'.join(spellings)})"


def safe_cause(error: BaseException | None) -> BaseException | None:
    """Return the error as a cause to raise from; None if it or its causes may show credentials in a URL."""
    cause = error
    while cause is not None:
        if redact_urls(str(cause)) != str(cause):
            return None
        cause = cause.__cause__ or cause.__context__
    return error
