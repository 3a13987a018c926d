"""What an attempt needs: its retry state, proxy and CA bundle, the response (of limited size), and causes of errors."""

from __future__ import annotations

import errno
import io
import ipaddress
import os
import ssl
import time
import zlib
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3.exceptions

from airflow_provider_media import __version__
from airflow_provider_media._api.protocol import ApiRequest, ApiResponse, parse_charset, raise_for_status
from airflow_provider_media._api.retry import RetryState
from airflow_provider_media._api.settings import parse_proxy, redact, redact_bytes
from airflow_provider_media._transports import rate_limit
from airflow_provider_media.exceptions import (
    Delivery,
    MediaConfigurationError,
    MediaError,
    MediaResponseError,
    TransferAbortedError,
)

if TYPE_CHECKING:
    import requests

    from airflow_provider_media._api.settings import Settings

READ_BYTES = 64 * 1024

REQUEST_HEADERS = {
    "Accept": "application/json",
    # A cached list may contain deleted files and lack new ones.
    "Cache-Control": "no-cache",
    # A small compressed response could decompress to a huge one.
    "Accept-Encoding": "identity",
    "User-Agent": f"airflow-provider-media/{__version__}",
}
"""The headers of every request, except for the API key, which the connection adds when it sends."""

ERROR_BODY_BYTES = 256 * 1024
"""Max bytes read of an error's body, because its message is in the first lines."""

RESPONSE_TIMEOUTS = 5
"""Max duration of a response, in multiples of the connection's timeout."""


def new_retry_state(settings: Settings, request: ApiRequest | None = None) -> RetryState:
    """Return a retry state by the connection's settings and the request's own, lower limits."""
    attempts, seconds = settings.max_attempts, settings.retry_budget
    if request and request.max_attempts is not None:
        attempts = min(attempts, request.max_attempts)
    if request and request.retry_seconds is not None:
        seconds = min(seconds, request.retry_seconds)
    return RetryState(max_attempts=attempts, budget_seconds=seconds, clock=rate_limit.now)


def needs_body(method: str, status: int) -> bool:
    """Return whether the body of a response matters: of others, an unreadable body is ignored."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and method != "DELETE"


def read_response(request: ApiRequest, http_response: requests.Response, settings: Settings) -> ApiResponse:
    """Read one response, of limited size and duration; raise the error of its status or of an unreadable body."""
    deadline = time.monotonic() + RESPONSE_TIMEOUTS * settings.timeout
    status, key = http_response.status_code, settings.api_key
    # Secrets are redacted here, once: all errors, logs, results and pages get the response's text from here.
    headers = {name.lower(): redact(key, value) for name, value in http_response.headers.items()}
    is_needed = needs_body(request.method, status)
    max_bytes = settings.max_response_bytes if is_needed else ERROR_BODY_BYTES
    received, body = io.BytesIO(), b""  # no variable holds what was received, because it may repeat the API key
    ignored = () if is_needed else (ContentError, urllib3.exceptions.HTTPError, OSError)
    try:
        with suppress(*ignored):
            _receive(http_response, received, max_bytes, deadline)
        with suppress(*ignored):
            coding = headers.get("content-encoding", "")
            body = redact_bytes(key, decompress(received.getvalue(), coding, max_bytes), parse_charset(headers))
    except ContentError as error:
        raise MediaResponseError(
            f"Could not {request.purpose}: invalid response (HTTP {status}): {error}.",
            status=status,
            is_transient=isinstance(error, TruncatedContentError),
            delivery=Delivery.NOT_SENT if request.is_idempotent else Delivery.UNKNOWN,
        ) from None
    response = ApiResponse(status=status, headers=headers, body=body)
    raise_for_status(request, response)
    return response


def _receive(response: requests.Response, received: io.BytesIO, max_bytes: int, deadline: float) -> None:
    # read1 returns what has arrived; read would block as long as the server drips bytes.
    while received.write(response.raw.read1(READ_BYTES, decode_content=False)):
        if received.tell() > max_bytes:
            raise ContentError(f"larger than {max_bytes / 2**20:g} MiB")
        if time.monotonic() > deadline:
            raise ContentError("timed out reading the body")


def trusted_bundle(verify: bool | str) -> bool | str:  # noqa: FBT001 - the value of ``verify``
    """Return the ``verify`` setting: the connection's, or by default the CA bundle of the environment."""
    if verify is not True:
        return verify
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def load_ca_bundle(path: str) -> ssl.SSLContext:
    """Load a CA bundle, to validate the setting early."""
    try:
        is_folder = Path(path).is_dir()
        return ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    except OSError as error:  # also an SSLError
        reason = "it does not exist" if isinstance(error, FileNotFoundError) else str(error)
        raise MediaConfigurationError(
            f"Could not load the CA bundle {path!r} (the extra 'verify' in the connection, or REQUESTS_CA_BUNDLE):"
            f" {reason}.",
        ) from error


def environment_proxy(base_url: str) -> str | None:
    """Return the environment's proxy for a URL; None if there is none, or ``NO_PROXY`` excludes the host.

    An entry of ``NO_PROXY`` is a host (subdomains included), with or without a port, or a network.
    """
    parts, proxies = urlsplit(base_url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    if not proxy or proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return None
    for network in proxies.get("no", "").split(","):
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(network.strip(), strict=False):
                return None
    variable = f"{parts.scheme}_proxy" if proxies.get(parts.scheme) else "all_proxy"
    return parse_proxy(f"The environment's proxy ({variable.upper()})", proxy if "://" in proxy else f"http://{proxy}")


def cancelled() -> MediaError:
    """Return the error of an aborted exchange."""
    return TransferAbortedError("The transfer was aborted: the task was stopped, or the hook was closed.")


def exception_chain(error: BaseException | None) -> list[BaseException]:
    """Return an exception and every exception it wraps, also in ``args`` and ``reason``, as HTTP clients do."""
    found: list[BaseException] = []
    pending: list[Any] = [error]
    while pending:
        current = pending.pop(0)
        if not isinstance(current, BaseException) or any(current is other for other in found):
            continue
        found.append(current)
        pending += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        pending += getattr(current, "exceptions", ())  # of a group: one for each address of a host
    return found


def root_cause(causes: list[BaseException]) -> str:
    """Return a short description of the innermost cause, without memory addresses."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, ssl.SSLWantReadError):
            if cause.errno and cause.errno in errno.errorcode and not isinstance(cause, ssl.SSLError):
                return os.strerror(cause.errno)  # asyncio adds the address to its message
            return cause.strerror
    described = [cause for cause in causes if not isinstance(cause, LookupError)]  # such as that of an empty buffer
    return type((described or causes)[-1]).__name__


_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW_DEFLATE)}
_OTHERS = {"br", "zstd", "compress", "x-compress", "dcb", "dcz"}
"""Codings that are not supported. Other names (``utf-8``, ``none``) are not compression."""

_GZIP_MAGIC = b"\x1f\x8b"


class ContentError(ValueError):
    """A body cannot be decompressed; the message is the reason."""


class TruncatedContentError(ContentError):
    """A compressed body is truncated."""


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body without the codings of ``Content-Encoding``, which are in the order in which they were applied."""
    names = [name.strip().lower() for name in encoding.split(",")]
    for name in reversed(names if body else ()):
        if name in _OTHERS:
            raise ContentError(f"compressed ({name}), which was not requested")
        if name not in _WINDOWS or (name != "deflate" and not body.startswith(_GZIP_MAGIC)):
            continue  # a proxy may decompress a body and keep the header
        for window in _WINDOWS[name]:
            with suppress(zlib.error):
                body = _inflate(body, window, max_bytes)
                break
        else:
            if name != "deflate" or body.lstrip()[:1] not in {b"{", b"[", b"<"}:
                raise ContentError(f"cannot be decompressed ({name})")
    return body


def _inflate(body: bytes, window: int, max_bytes: int) -> bytes:
    """Decompress at most ``max_bytes``; gzip may have several members."""
    decompressed = bytearray()
    while True:
        stream = zlib.decompressobj(window)
        decompressed += stream.decompress(body, max_bytes + 1 - len(decompressed))
        if len(decompressed) > max_bytes:
            raise ContentError(f"larger than {max_bytes / 2**20:g} MiB")
        if not stream.eof:
            raise TruncatedContentError("truncated")
        body = stream.unused_data
        if window != _GZIP or not body.startswith(_GZIP_MAGIC):
            return bytes(decompressed)
