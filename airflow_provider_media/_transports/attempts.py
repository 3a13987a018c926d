"""What both transports do around an exchange: the tries of a call, carried out by tenacity, and a bounded answer."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import ssl
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from tenacity import RetryCallState, retry_if_exception

from airflow_provider_media import __version__
from airflow_provider_media._api.protocol import ApiRequest, ApiResponse, parse_charset, raise_for_status
from airflow_provider_media._api.retry import RetryState
from airflow_provider_media._api.secret import redact, redact_bytes
from airflow_provider_media._api.settings import read_proxy
from airflow_provider_media._transports import clock
from airflow_provider_media._transports.content import ContentError, TruncatedContentError, unpack
from airflow_provider_media.exceptions import (
    Delivery,
    MediaConfigurationError,
    MediaError,
    MediaResponseError,
    TransferAbortedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_media._api.settings import Settings

log = logging.getLogger(__name__)

CONNECTIONS = 16
"""How many connections a session keeps open for the next requests."""

READ_BYTES = 64 * 1024

ERROR_BODY_BYTES = 256 * 1024
"""No more is read of the body of an error: its message is within the first lines."""

RESPONSE_TIMEOUTS = 5
"""An answer must be whole within so many time-outs."""


def new_retry_state(settings: Settings, call: ApiRequest | None = None) -> RetryState:
    """Give the tries of one request, fewer where it asks for fewer."""
    attempts, seconds = settings.max_attempts, settings.retry_budget
    if call and call.max_attempts is not None:
        attempts = min(attempts, call.max_attempts)
    if call and call.retry_seconds is not None:
        seconds = min(seconds, call.retry_seconds)
    return RetryState(max_attempts=attempts, budget_seconds=seconds, clock=clock.now)


def request_headers() -> dict[str, str]:
    """Return the headers of every request but the API key's, which the connection adds as it sends."""
    return {
        "Accept": "application/json",
        # A list from a cache may show files that are gone, and hide new ones.
        "Cache-Control": "no-cache",
        # Compressed, a small answer could unpack to one without end.
        "Accept-Encoding": "identity",
        "User-Agent": f"airflow-provider-media/{__version__}",
    }


def tenacity_kwargs(call: ApiRequest, retries: RetryState, *, key_was_accepted: Callable[[], bool]) -> dict[str, Any]:
    """Let tenacity (blocking or not) do for a call what the one retry policy says.

    A call that must not be sent twice ends with the first failure after which the server may have acted.

    :param key_was_accepted: whether the server accepted the key before: then one 401 is retried, because gateways
        that are just restarted send some.
    """
    acted: list[MediaError] = []
    rejected: list[MediaError] = []
    waits: list[float] = []

    def try_again(error: BaseException) -> bool:
        if not isinstance(error, MediaError):
            return False
        if acted and error.delivery is Delivery.NOT_SENT:
            error.delivery = Delivery.UNKNOWN  # of an earlier attempt
        if error.status == HTTPStatus.UNAUTHORIZED and key_was_accepted() and not rejected:
            rejected.append(error)
            error.is_transient = True
        if error.delivery is not Delivery.NOT_SENT:
            acted.append(error)
            if not call.is_idempotent:
                return False
        wait = retries.next_delay(error)
        if wait is not None:
            waits.append(wait)
        return wait is not None

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("%s Trying again in %.1f s (attempt %d of %d)", error, waits[-1], retries.attempts + 1,
                    retries.max_attempts)  # fmt: skip

    return {"retry": retry_if_exception(try_again), "wait": lambda _: waits[-1], "before_sleep": tell}


class ResponseReader:
    """One response while it arrives, bounded in size and in time. The status decides first, then the body.

    :param call: what is answered.
    :param status: the HTTP status.
    :param headers: the response's headers.
    :param settings: the connection's settings.
    """

    def __init__(self, call: ApiRequest, status: int, headers: Mapping[str, str], settings: Settings) -> None:
        """Start the clock."""
        self._call = call
        self._status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self._key = settings.api_key
        self.needs_body = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES and call.method != "DELETE"
        """Whether the body says what the status does not; else what cannot be read of it is left out."""
        self._most_bytes = settings.max_response_bytes if self.needs_body else ERROR_BODY_BYTES
        self._deadline = time.monotonic() + RESPONSE_TIMEOUTS * settings.timeout
        self._chunks: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> bool:
        """Take what arrived; return whether more is wanted.

        :raises MediaResponseError: when it is too much, or takes too long, and the body is needed.
        """
        self._chunks.append(chunk)
        self._size += len(chunk)
        is_too_large, is_late = self._size > self._most_bytes, time.monotonic() > self._deadline
        if self.needs_body and is_too_large:
            raise self._invalid_response(f"is larger than {self._most_bytes / 2**20:g} MiB")
        if self.needs_body and is_late:
            raise self._invalid_response("does not come to an end")
        return bool(chunk) and not (is_too_large or is_late)

    def whole(self) -> ApiResponse:
        """Return the response, when all of it that is needed has arrived and it is a success.

        :raises MediaError: for every status but 2xx, and for a body that is needed and cannot be unpacked.
        """
        # The one place where a response's text enters: what errors, logs, results and pages show comes from here.
        reply = ApiResponse(
            status=self._status,
            headers={name: redact(self._key, value) for name, value in self.headers.items()},
            body=redact_bytes(self._key, self._unpacked(), parse_charset(self.headers)),
        )
        raise_for_status(self._call, reply)
        return reply

    def _unpacked(self) -> bytes:
        try:
            return unpack(b"".join(self._chunks), self.headers.get("content-encoding", ""), self._most_bytes)
        except ContentError as error:
            if self.needs_body:
                raise self._invalid_response(
                    str(error), is_transient=isinstance(error, TruncatedContentError)
                ) from None
            return b""

    def _invalid_response(self, reason: str, *, is_transient: bool = False) -> MediaError:
        return MediaResponseError(
            f"Could not {self._call.purpose}: the answer ({self._status}) {reason}.",
            status=self._status,
            is_transient=is_transient,
            delivery=Delivery.NOT_SENT if self._call.is_idempotent else Delivery.UNKNOWN,
        )


def trusted_bundle(settings: Settings) -> bool | str:
    """Tell by which CA bundle certificates are checked: the connection's word, or else the environment's."""
    if settings.verify is not True:
        return settings.verify
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def load_ca_bundle(path: str) -> ssl.SSLContext:
    """Read a CA bundle.

    :raises MediaConfigurationError: when the path leads to none.
    """
    try:
        folder = Path(path).is_dir()
        return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    except OSError as error:  # an SSLError is one, too
        reason = "it is not there" if isinstance(error, FileNotFoundError) else str(error)
        raise MediaConfigurationError(
            f"The connection's extra 'verify', or else REQUESTS_CA_BUNDLE, names {path}, which is no CA bundle:"
            f" {reason}.",
        ) from error


def environment_proxy(base_url: str) -> str | None:
    """Find the proxy that the environment names for an address; None where it names none, or ``NO_PROXY`` the host.

    An entry of ``NO_PROXY`` is a host, which stands for its subdomains too, with or without a port; or a network.

    :raises MediaConfigurationError: when it is none that can be used, such as a SOCKS proxy.
    """
    parts, proxies = urlsplit(base_url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _needs_no_proxy(parts, proxies.get("no", "")):
        return None
    variable = f"{parts.scheme}_proxy" if proxies.get(parts.scheme) else "all_proxy"
    return read_proxy(f"The environment's proxy ({variable.upper()})", proxy if "://" in proxy else f"http://{proxy}")


def _needs_no_proxy(address: SplitResult, exceptions: str) -> bool:
    host, port = address.hostname or "", address.port or {"http": 80, "https": 443}[address.scheme]
    if proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return True
    for network in exceptions.split(","):
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(network.strip(), strict=False):
                return True
    return False


def cancelled() -> MediaError:
    """Say that whoever waits for a response does so no longer."""
    return TransferAbortedError("The transfer was aborted: the task was stopped, or the hook was closed.")


# --- what the failures of HTTP clients have in common ---------------------------------------------------------------


def exception_chain(error: BaseException | None) -> list[BaseException]:
    """Give an exception and all it wraps; HTTP clients put the cause into ``args`` or ``reason``, too."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or any(current is known for known in found):
            continue
        found.append(current)
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        waiting += getattr(current, "exceptions", ())  # of a group: one for each address of a host
    return found


def root_cause(causes: list[BaseException]) -> str:
    """Name the innermost cause in a few words, without addresses of objects."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, ssl.SSLWantReadError):
            if cause.errno and cause.errno in errno.errorcode and not isinstance(cause, ssl.SSLError):
                return os.strerror(cause.errno)  # asyncio puts the address into its own text
            return cause.strerror
    told = [cause for cause in causes if not isinstance(cause, LookupError)]  # such as that of an empty buffer
    return type((told or causes)[-1]).__name__


_NOT_TLS = {
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
"""What OpenSSL says of bytes that are none of TLS; mostly the last, the others in some of its versions."""


def describe_tls_error(causes: list[BaseException], settings: Settings) -> str | None:
    """Say what is wrong with the server's certificate or TLS, where that is the cause; trying again cannot help then.

    Bytes that are none of TLS mean a wrong address only in the handshake: later, a file may have been sent already.
    """
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {settings.base_url} is not trusted ({cause.verify_message}); if it is your own,"
                " give its CA bundle's path as the connection's extra 'verify'"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS and _was_in_handshake(cause):
            where = f"{settings.base_url}, or the proxy," if settings.proxy else settings.base_url
            return f"{where} does not speak TLS; if it is a plain HTTP server, write http:// in the connection's host"
    return None


def _was_in_handshake(error: BaseException) -> bool:
    """Tell by where it was raised: the error itself does not say."""
    return any(frame.f_code.co_name == "do_handshake" for frame, _ in walk_tb(error.__traceback__))
