"""Parse and validate an Airflow connection; redact its API key in responses."""

from __future__ import annotations

import base64
import html.entities
import ipaddress
import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from airflow_provider_media._api.values import REDACTED, ZONE_HINT, has_zone, is_boolean, parse_bool, parse_int, show
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

DEFAULT_BASE_ADDRESS = "https://lora-api.agiletelecom.com/api"
"""The platform's public base address (Media API reference)."""

MEDIA_PATH = "/partner-gateway/v1/media"
"""The path of the library under the base address (Media API reference)."""

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""Max size of a response; a page of 1000 files has about 0.5 MB."""

_SCHEMES = ("http", "https")
_ONLY_AN_ADDRESS = "The connection's base address must contain only scheme, host, port and path, not the API key."
_MAX_NUMBER = 1_000_000
"""Max value of numbers; as seconds eleven days, because operating systems reject timeouts of months."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A validated connection.

    :param base_url: scheme, host, port and path, without the path of the library and without a trailing slash.
    :param api_key: sent as ``X-Api-Key``.
    :param timeout: read timeout in seconds.
    :param connect_timeout: connect timeout in seconds.
    :param settle_seconds: max time in seconds until a stored file appears in the list.
    :param max_attempts: max number of attempts of a request, the first included.
    :param retry_budget: max seconds between the first failure and the last attempt, transfers excluded.
    :param verify: whether to check certificates, or the path of a CA bundle.
    :param proxy: the URL of the proxy; by default the proxy of the environment.
    :param requests_per_second: max request rate of one process; None: no limit.
    :param allow_delete: whether files may be deleted.
    :param accept_converted: whether the platform may store files with another size than was sent.
    :param max_response_bytes: max size of a response; not a setting of the connection.
    """

    base_url: str
    api_key: Secret[str]
    timeout: float = 60.0
    connect_timeout: float = 10.0
    settle_seconds: float = 30.0
    max_attempts: int = 10
    retry_budget: float = 120.0
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)  # may contain a password
    requests_per_second: float | None = None
    allow_delete: bool = True
    accept_converted: bool = False
    max_response_bytes: int = MAX_RESPONSE_BYTES

    @property
    def media_url(self) -> str:
        """The URL of the library."""
        return self.base_url + MEDIA_PATH

    @property
    def sends_key_in_clear(self) -> bool:
        """Whether the API key is sent unencrypted over a network."""
        parts = urlsplit(self.base_url)
        try:
            is_loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
        except ValueError:
            is_loopback = parts.hostname == "localhost"
        return parts.scheme == "http" and not is_loopback


def read_settings(
    *,
    host: str | None = None,
    schema: str | None = None,
    port: int | str | None = None,
    password: Secret[str] | None = None,
    extra: str | Mapping[str, Any] | None = None,
) -> Settings:
    """Parse and validate a connection's fields.

    Extras that are absent, None (an empty form field) or "" keep their defaults. Numbers and booleans may be strings,
    because forms of Airflow 2 and connection URIs send strings.

    :param schema: the path of the base address, where Airflow's URI form puts it.
    :raises MediaConfigurationError: a field is invalid; the message names it.
    """
    try:
        settings = Settings(
            base_url=_base_address((host or "").strip(), (schema or "").strip(), port),
            api_key=_api_key(password),
            **_extras(extra),
        )
    except MediaError as error:
        message = redact(password, str(error))
    else:
        if redact(settings.api_key, settings.base_url) == settings.base_url:
            return settings
        message = _ONLY_AN_ADDRESS
    raise MediaConfigurationError(message)


def _base_address(host: str, schema: str, port: int | str | None) -> str:
    if not host:
        if schema or port not in (None, ""):
            raise MediaConfigurationError(
                "The connection has a port or schema but no base address. Set the base address."
            )
        return DEFAULT_BASE_ADDRESS
    scheme = "https"
    if schema.strip("/").lower() in _SCHEMES:  # as in Airflow's HTTP connections
        scheme, schema = schema.strip("/").lower(), ""
    given_scheme, separator, rest = host.partition("://")
    address = f"{given_scheme}://{_with_brackets(rest)}" if separator else f"{scheme}://{_with_brackets(host)}"
    if not {"@", "?", "#", ";"}.isdisjoint(address):
        # The message does not repeat the address, because its credentials or query may be secret.
        raise MediaConfigurationError(_ONLY_AN_ADDRESS)
    try:
        parts = urlsplit(address)
        own_port, hostname = parts.port, parts.hostname
        (hostname or "").encode("idna")  # a ValueError if a label is empty or too long
    except ValueError as error:
        raise MediaConfigurationError(f"The connection's base address {host!r} is not a valid URL: {error}.") from None
    if parts.scheme not in _SCHEMES or not hostname or any(letter.isspace() for letter in address):
        raise MediaConfigurationError(
            f"The connection's base address {host!r} is not a valid URL such as {DEFAULT_BASE_ADDRESS}."
        )
    if has_zone(hostname):
        raise MediaConfigurationError(f"The connection's base address {host!r} has an IPv6 zone id{ZONE_HINT}")
    given_port = None if port in (None, "") else parse_int("The connection's port", port, most=2**16 - 1)
    if own_port and given_port and own_port != given_port:
        raise MediaConfigurationError(
            f"The connection's base address has port {own_port}, but its port field is {given_port}. Remove one."
        )
    path = "/".join(filter(None, (parts.path.strip("/"), schema.strip("/"))))
    base_path = ("/" + path).rstrip("/").removesuffix(MEDIA_PATH)
    name = f"[{hostname}]" if ":" in hostname else hostname
    number = own_port or given_port
    return f"{parts.scheme}://{name}{f':{number}' if number else ''}{base_path}"


def _with_brackets(address: str) -> str:
    """Put brackets around an IPv6 address, because connection URIs lose them and people omit them."""
    host, slash, path = address.partition("/")
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return address
    return f"[{host}]{slash}{path}"


def _api_key(password: Secret[str] | None) -> Secret[str]:
    if password is None or not password.reveal().strip():
        raise MediaConfigurationError("The connection has no API key. Set its API key (password) field.")
    if not (password.reveal().strip().isascii() and password.reveal().strip().isprintable()):
        raise MediaConfigurationError("The connection's API key contains invalid characters. Copy it again.")
    return Secret(password.reveal().strip())


def _extras(extra: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(extra, str):
        try:
            extra = json.loads(extra) if extra.strip() else {}
        except (ValueError, RecursionError):
            raise MediaConfigurationError("The connection's extra is not valid JSON.") from None
    if extra is None:
        return {}
    if not hasattr(extra, "items"):
        raise MediaConfigurationError("The connection's extra must be a JSON object such as {'timeout': 60}.")
    unknown = sorted(str(key) for key in extra if key not in _PARSERS)
    if unknown:
        valid_keys = ", ".join(_PARSERS)
        raise MediaConfigurationError(f"The connection's extra has an unknown key {unknown[0]!r}; valid: {valid_keys}.")
    return {
        key: _PARSERS[key](f"The connection's extra {key!r}", value)
        for key, value in extra.items()
        if value is not None and value != ""
    }


def _parse_number(field_name: str, value: Any, *, above: float | None = None) -> float:
    """Parse a number of at least 0, or greater than ``above``."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and (number >= 0 if above is None else number > above)):
        expected = "a number of at least 0" if above is None else f"a number greater than {above:g}"
        raise MediaConfigurationError(f"{field_name} must be {expected}, not {show(value)}.")
    if number > _MAX_NUMBER:
        raise MediaConfigurationError(f"{field_name} must be at most {_MAX_NUMBER}, not {show(value)}.")
    return number


def _verify(field_name: str, value: Any) -> bool | str:
    if isinstance(value, str) and not is_boolean(value):
        return value.strip()
    if not isinstance(value, (bool, str)):
        raise MediaConfigurationError(
            f"{field_name} must be true, false or the path of a CA bundle, not {show(value)}."
        )
    return parse_bool(field_name, value)


def parse_proxy(field_name: str, value: Any) -> str:
    """Return the URL of a proxy, validated."""
    try:
        parts = urlsplit(str(value).strip())
        is_valid = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        is_valid = is_valid and not has_zone(parts.hostname or "")
    except ValueError:
        is_valid = False
    if not is_valid:  # the message does not repeat it, because it may contain a password
        raise MediaConfigurationError(
            f"{field_name} must be the URL of an HTTP proxy such as http://proxy.example:3128 (not SOCKS, no"
            " IPv6 zone id)."
        )
    return str(value).strip()


_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "timeout": partial(_parse_number, above=0),
    "connect_timeout": partial(_parse_number, above=0),
    "settle_seconds": _parse_number,
    "max_attempts": parse_int,
    "retry_budget": _parse_number,
    "verify": _verify,
    "proxy": parse_proxy,
    "requests_per_second": partial(_parse_number, above=1 / _MAX_NUMBER),
    "allow_delete": parse_bool,
    "accept_converted": parse_bool,
}


_MIN_CHARACTERS = 8
"""Shorter keys are not redacted, because they may occur in ordinary words and JSON keys."""


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
