"""Read an Airflow connection once, by one function, into one validated value."""

from __future__ import annotations

import ipaddress
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_media._api.secret import Secret, redact
from airflow_provider_media._api.values import is_boolean, parse_bool, parse_int
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_BASE_ADDRESS = "https://lora-api.agiletelecom.com/api"
"""The platform's public base address (Media API reference)."""

MEDIA_PATH = "/partner-gateway/v1/media"
"""Where the library lives under the base address (Media API reference)."""

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""A page of 1000 files takes about half a megabyte; what goes on beyond this bound is no answer of a Media API."""

_SCHEMES = ("http", "https")
_PROXY_SCHEMES = ("http", "https")
_ONLY_AN_ADDRESS = "The connection's host must hold only scheme, host, port and path; the API key is the password."
_MAX_NUMBER = 1_000_000
"""Of seconds, say: eleven days; the operating system takes no time-outs of months."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a connection says, checked.

    :param base_url: scheme, host, port and path under which :data:`MEDIA_PATH` is found; no slash at the end.
    :param api_key: sent as ``X-Api-Key``.
    :param timeout: the longest silence of the server that is waited out, in seconds.
    :param connect_timeout: the longest wait for a connection, in seconds.
    :param settle_seconds: how long a stored file may take to show up in the list after a lost answer.
    :param max_attempts: how often one request is sent at most, the first time included.
    :param retry_budget: seconds that may pass between the first failure and the last attempt, transfers left out.
    :param verify: whether certificates are checked, or the path of the CA bundle to check them with.
    :param proxy: the proxy's address; without one, the environment's proxy variables count.
    :param requests_per_second: the highest rate of requests of one process, or None for no limit.
    :param allow_delete: False refuses every delete.
    :param accept_converted: whether the platform may store files in another size than was sent.
    :param max_response_bytes: no more of an answer is read; not the connection's to say.
    """

    base_url: str
    api_key: Secret[str]
    timeout: float = 60.0
    connect_timeout: float = 10.0
    settle_seconds: float = 30.0
    max_attempts: int = 10
    retry_budget: float = 120.0
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)  # may carry a password
    requests_per_second: float | None = None
    allow_delete: bool = True
    accept_converted: bool = False
    max_response_bytes: int = MAX_RESPONSE_BYTES

    @property
    def media_url(self) -> str:
        """The address of the library."""
        return self.base_url + MEDIA_PATH

    @property
    def sends_key_in_clear(self) -> bool:
        """Whether the key travels unencrypted over a network."""
        parts = urlsplit(self.base_url)
        return parts.scheme == "http" and not _stays_here(parts.hostname or "")


def read_settings(
    *,
    host: str | None = None,
    schema: str | None = None,
    port: int | str | None = None,
    password: Secret[str] | None = None,
    extra: str | Mapping[str, Any] | None = None,
) -> Settings:
    """Check a connection's fields and put them together.

    A key that is absent, None (an empty form field) or "" keeps its default; numbers and booleans may be text,
    as forms of Airflow 2 and connection URIs give them.

    :param host: the base address, with or without its scheme and path.
    :param schema: the path of the base address, where Airflow's URI form puts it.
    :param port: the port, unless the host has it.
    :param password: the API key.
    :param extra: the extra fields, as a mapping or as the JSON text of one.
    :raises MediaConfigurationError: with one sentence that names the field.
    """
    try:
        settings = Settings(
            base_url=_base_address(_text(host), _text(schema), port),
            api_key=_api_key(password),
            **_extras(extra),
        )
    except MediaError as problem:
        sentence = redact(password, str(problem))
    else:
        if redact(settings.api_key, settings.base_url) == settings.base_url:
            return settings
        sentence = _ONLY_AN_ADDRESS
    raise MediaConfigurationError(sentence)


def _stays_here(host: str) -> bool:
    """Whether what is sent to the host never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(value: str | None) -> str:
    return (value or "").strip()


def _base_address(host: str, schema: str, port: int | str | None) -> str:
    if not host:
        if schema or port not in {None, ""}:
            raise MediaConfigurationError(
                "The connection has a port or schema but no host: give the Media API's base address as host."
            )
        return DEFAULT_BASE_ADDRESS
    scheme = "https"
    if schema.strip("/").lower() in _SCHEMES:  # the habit of Airflow's HTTP connections
        scheme, schema = schema.strip("/").lower(), ""
    given_scheme, separator, rest = host.partition("://")
    address = f"{given_scheme}://{_with_brackets(rest)}" if separator else f"{scheme}://{_with_brackets(host)}"
    if not {"@", "?", "#", ";"}.isdisjoint(address):
        # Not repeated in the message: what stands before an @, or in a query, may be a secret.
        raise MediaConfigurationError(_ONLY_AN_ADDRESS)
    try:
        parts = urlsplit(address)
        own_port, hostname = parts.port, parts.hostname
        (hostname or "").encode("idna")  # an empty or overlong part of the name is a ValueError
    except ValueError as error:
        raise MediaConfigurationError(f"The connection's host {host!r} is not an address: {error}.") from None
    if parts.scheme not in _SCHEMES or not hostname or any(letter.isspace() for letter in address):
        raise MediaConfigurationError(
            f"The connection's host {host!r} is not an address such as {DEFAULT_BASE_ADDRESS}."
        )
    given_port = _port(port)
    if own_port and given_port and own_port != given_port:
        raise MediaConfigurationError(
            f"The connection's host says port {own_port}, its port field {given_port}: leave one of them out."
        )
    path = "/".join(filter(None, (parts.path.strip("/"), schema.strip("/"))))
    base_path = ("/" + path).rstrip("/").removesuffix(MEDIA_PATH)
    name = f"[{hostname}]" if ":" in hostname else hostname
    number = own_port or given_port
    return f"{parts.scheme}://{name}{f':{number}' if number else ''}{base_path}"


def _with_brackets(address: str) -> str:
    """Put the brackets around an IPv6 address that connection URIs lose, and people leave out."""
    host, slash, path = address.partition("/")
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return address
    return f"[{host}]{slash}{path}"


def _port(port: int | str | None) -> int | None:
    if port is None or port == "":
        return None
    return parse_int("The connection's port", port, most=2**16 - 1)


def _api_key(password: Secret[str] | None) -> Secret[str]:
    if password is None or not password.reveal().strip():
        raise MediaConfigurationError("The connection has no API key: put the platform's key into its password field.")
    if not (password.reveal().strip().isascii() and password.reveal().strip().isprintable()):
        raise MediaConfigurationError(
            "The connection's API key holds characters that a key cannot have: copy it again."
        )
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
    unknown = sorted(str(key) for key in extra if key not in _READERS)
    if unknown:
        known = ", ".join(_READERS)
        raise MediaConfigurationError(f"The connection's extra has an unknown key {unknown[0]!r}; known are {known}.")
    return {
        key: _READERS[key](f"The connection's extra {key!r}", value)
        for key, value in extra.items()
        if value is not None and value != ""
    }


def _number(*, above: float = -math.inf, at_least: float = -math.inf) -> Callable[[str, Any], float]:
    wanted = "a number of at least 0" if at_least == 0 else f"a number greater than {above:g}"

    def read(field_name: str, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not (math.isfinite(number) and number > above and number >= at_least):
            raise MediaConfigurationError(f"{field_name} must be {wanted}, not {value!r}.")
        if number > _MAX_NUMBER:
            raise MediaConfigurationError(f"{field_name} must be at most {_MAX_NUMBER}, not {value!r}.")
        return number

    return read


def _verify(field_name: str, value: Any) -> bool | str:
    if isinstance(value, str) and not is_boolean(value):
        return value.strip()
    if not isinstance(value, (bool, str)):
        raise MediaConfigurationError(f"{field_name} must be true, false or the path of a CA bundle, not {value!r}.")
    return parse_bool(field_name, value)


def read_proxy(field_name: str, value: Any) -> str:
    """Check the address of a proxy.

    :raises MediaConfigurationError: it is invalid.
    """
    try:
        parts = urlsplit(str(value).strip())
        usable = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:  # not repeated in the message: it may hold a password
        raise MediaConfigurationError(
            f"{field_name} must be an HTTP proxy's address such as http://proxy.example:3128; not SOCKS."
        )
    return str(value).strip()


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "timeout": _number(above=0),
    "connect_timeout": _number(above=0),
    "settle_seconds": _number(at_least=0),
    "max_attempts": parse_int,
    "retry_budget": _number(at_least=0),
    "verify": _verify,
    "proxy": read_proxy,
    "requests_per_second": _number(above=1 / _MAX_NUMBER),
    "allow_delete": parse_bool,
    "accept_converted": parse_bool,
}
