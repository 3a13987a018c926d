"""Secrets: a value that no traceback shows, and its removal from text that a server repeats it in."""

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
"""A shorter key is not redacted: it may be part of ordinary words, and a response could not be read without them."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret(Generic[T]):
    """A value that shows in no repr, so that what logs the variables of a traceback does not show it either.

    Reveal it only within the expression that needs it: a variable would hold the plain value.
    """

    _value: T

    def reveal(self) -> T:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({REDACTED!r})"


def redact(secret: Secret[str] | None, text: str) -> str:
    """Replace a secret in text, however a server may have written it.

    Found in another case, with JSON escapes, percent-encoded (also twice), with HTML character references, and in
    Base64, alone or as a part of something longer.
    """
    if secret is None or len(secret.reveal()) < _MIN_CHARACTERS:
        return text
    for encoded in _in_base64(secret):
        if encoded.reveal() in text:
            text = text.replace(encoded.reveal(), REDACTED)
    return _pattern(secret).reveal().sub(REDACTED, text)


def redact_bytes(secret: Secret[str] | None, data: bytes, charset: str | None = None) -> bytes:
    """Replace a secret in text of any encoding that JSON may have, or that its headers name.

    :param charset: the name, which may be of no charset: only what the secret shows up in is encoded anew.
    """
    if charset:
        with suppress(LookupError, ValueError):
            text = data.decode(charset, "replace")
            if (redacted := redact(secret, text)) != text:
                data = redacted.encode(charset, "replace")
    encoding: str = json.detect_encoding(data)
    if encoding.startswith("utf-8"):
        encoding = "iso-8859-1"  # a character for each byte, so that all bytes come back; a secret is ASCII
    try:
        text = data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:  # it only begins like UTF-16 or UTF-32
        encoding = "iso-8859-1"
        text = data.decode(encoding)
    redacted = redact(secret, text)
    # Encoded again, a byte order mark may change.
    return data if redacted == text else redacted.encode(encoding, "surrogatepass")


def redact_url(url: str) -> str:
    """Replace what may be a secret in a URL: its credentials, and its query and fragment, which may hold a signature.

    Of other schemes than HTTP, what stands before an ``@`` is the id of an Airflow connection, unless it has a colon.
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
    """Replace what may be a secret in the URLs of a text; see :func:`redact_url`."""
    return _URL.sub(lambda found: redact_url(found[0]), text) if "://" in text else text


_URL = re.compile(r"""\w[\w+.-]*://[^\s'"<>]+""")


@lru_cache(maxsize=64)
def _in_base64(secret: Secret[str]) -> tuple[Secret[str], ...]:
    """Return what Base64 makes of a secret after 0, 1 and 2 other bytes; without what other bytes have a part in."""
    found = []
    for shift in range(3):
        start, end = (shift * 8 + 5) // 6, (shift + len(secret.reveal())) * 8 // 6
        whole = base64.b64encode(b"\0" * shift + secret.reveal().encode()).decode()[start:end]
        found += [Secret(whole), Secret(whole.translate(_URL_SAFE))]
    return tuple(dict.fromkeys(found))


_URL_SAFE = str.maketrans("+/", "-_")


@lru_cache(maxsize=64)
def _pattern(secret: Secret[str]) -> Secret[re.Pattern[str]]:
    return Secret(re.compile("".join(map(_as_written, secret.reveal()))))


def _as_written(character: str) -> str:
    """Match one character in any way of writing it.

    Each alternative begins with a literal and has no flag, because then a search skips all other text fast.
    """
    if not character.isascii():  # no key that is sent: it would be refused
        return re.escape(character)
    letters = sorted({character.lower(), character.upper()})
    names = {name.rstrip(";") for name, text in html.entities.html5.items() if text == character}
    ways = [re.escape(letter) for letter in letters]
    for letter in letters:
        code = ord(letter)
        digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}")
        ways += [rf"\\\\*(?:{re.escape(letter)}|u00{digits})", f"%(?:25)*{digits}"]
        ways += [f"&(?:amp;)*#(?:0*{code}|[xX]0*{digits});?"]
    ways += [f"&(?:amp;)*{name};?" for name in sorted(names)]
    return f"(?:{'|'.join(ways)})"


def safe_cause(error: BaseException | None) -> BaseException | None:
    """Return an error to raise another one from; None if its text or its causes' may show credentials in a URL."""
    cause = error
    while cause is not None:
        if redact_urls(str(cause)) != str(cause):
            return None
        cause = cause.__cause__ or cause.__context__
    return error
