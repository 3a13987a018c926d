"""The blocking transport: sends requests with the requests library and retries them with tenacity."""

from __future__ import annotations

import http.client
import logging
import re
import ssl
import threading
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3.exceptions
from requests_toolbelt.multipart.encoder import MultipartEncoder
from tenacity import RetryCallState, Retrying, retry_if_exception

from airflow_provider_media._api.flows import Sleep
from airflow_provider_media._api.protocol import ApiRequest, ApiResponse, one_line
from airflow_provider_media._api.settings import redact
from airflow_provider_media._api.values import redact_urls
from airflow_provider_media._transports import rate_limit
from airflow_provider_media._transports.attempts import (
    REQUEST_HEADERS,
    cancelled,
    environment_proxy,
    exception_chain,
    load_ca_bundle,
    needs_body,
    new_retry_state,
    read_response,
    root_cause,
    trusted_bundle,
)
from airflow_provider_media._transports.rate_limit import Turn, limiter_of, renew_in_children
from airflow_provider_media._transports.upload_connection import (
    MAX_HEAD_BYTES,
    EarlyResponseAdapter,
    HeadTooLargeError,
    NotReceivedError,
    Transfer,
    current_transfer,
)
from airflow_provider_media._upload.body import Progress, StreamingBody
from airflow_provider_media.exceptions import (
    Delivery,
    MediaConfigurationError,
    MediaError,
    MediaResponseError,
    MediaUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media._api.flows import Flow
    from airflow_provider_media._api.retry import RetryState
    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._upload.spec import UploadSpec

T = TypeVar("T")

log = logging.getLogger(__name__)


class SyncTransport:
    """One session with the server: keeps connections open, limits the rate of requests and retries them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._verify = trusted_bundle(settings.verify)
        if isinstance(self._verify, str):
            load_ca_bundle(self._verify)
        proxy = settings.proxy or environment_proxy(settings.base_url)
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self.limiter = limiter_of(settings.base_url, settings.api_key, settings.requests_per_second)
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Open a new session; a previous one belongs to the parent process."""
        self._cancelled = threading.Event()
        self.key_was_accepted = False
        """Whether a request with this API key succeeded."""
        self._transfers: set[Transfer] = set()
        self._session = _Session()
        adapter = EarlyResponseAdapter(self.settings)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        # The environment is read once, above, because requests would read it for each request, would use credentials
        # of a .netrc file, and would let REQUESTS_CA_BUNDLE override verify=False.
        self._session.trust_env = False
        self._session.headers.update(REQUEST_HEADERS)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow and return its result."""
        with closing(flow):
            try:
                command = next(flow)
                while True:
                    try:
                        response = self._perform(command)
                    except MediaError as error:
                        command = flow.throw(error)
                    else:
                        command = flow.send(response)
            except StopIteration as end:
                result: T = end.value
                return result

    def send(self, request: ApiRequest) -> ApiResponse:
        """Send one request, with retries."""
        retry_state, options = self.retries(request)
        return Retrying(sleep=self._sleep, **options)(self._attempt, request, retry_state)

    def retries(self, request: ApiRequest) -> tuple[RetryState, dict[str, Any]]:
        """Return the retry state of a request, and the arguments of tenacity (blocking or not) that apply it.

        A request that is not idempotent is not retried once the server may have acted. After the server accepted the
        key, one 401 is retried, because restarting gateways send some.
        """
        retry_state = request.retry_state or new_retry_state(self.settings, request)
        acted = was_rejected = False
        delay: float | None = None

        def should_retry(error: BaseException) -> bool:
            nonlocal acted, was_rejected, delay
            if not isinstance(error, MediaError):
                return False
            if acted and error.delivery is Delivery.NOT_SENT:
                error.delivery = Delivery.UNKNOWN  # of an earlier attempt
            if error.status == HTTPStatus.UNAUTHORIZED and self.key_was_accepted and not was_rejected:
                was_rejected = error.is_transient = True
            acted = acted or error.delivery is not Delivery.NOT_SENT
            delay = None if acted and not request.is_idempotent else retry_state.next_delay(error)
            return delay is not None

        def log_retry(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            next_attempt, most = retry_state.attempts + 1, retry_state.max_attempts
            log.warning("Retrying in %.1f s (attempt %d of %d): %s", delay, next_attempt, most, error)

        options = {"retry": retry_if_exception(should_retry), "wait": lambda _: delay, "before_sleep": log_retry}
        return retry_state, options

    def new_retry_state(self) -> RetryState:
        """Return a new retry state by the connection's settings."""
        return new_retry_state(self.settings)

    new_transfer = Transfer
    """Creates the handle to abort one exchange."""

    def cancel(self) -> None:
        """Abort running exchanges and refuse new ones; safe in a signal handler."""
        self._cancelled.set()
        for transfer in list(self._transfers):
            transfer.abort()

    @property
    def is_cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancelled.is_set()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _perform(self, command: ApiRequest | Sleep) -> ApiResponse:
        if isinstance(command, Sleep):
            self._sleep(command.seconds)
            return ApiResponse(status=0, headers={})
        return self.send(command)

    def _sleep(self, seconds: float) -> None:
        if rate_limit.wait(seconds, self._cancelled):
            raise cancelled()

    def _attempt(self, request: ApiRequest, retry_state: RetryState) -> ApiResponse:
        turn = Turn()
        for seconds in self.limiter.waits(turn, request, retry_state):
            self._sleep(seconds)
        return self.exchange(request, retry_state, turn, self.new_transfer())

    def exchange(self, request: ApiRequest, retry_state: RetryState, turn: Turn, transfer: Transfer) -> ApiResponse:
        """Make one attempt, which the transfer can abort."""
        self._transfers.add(transfer)
        current_transfer.set(transfer)
        try:
            if self.is_cancelled:  # checked after the registration, so that no cancel is missed
                raise cancelled()
            return self._exchange(request, retry_state, turn)
        except MediaError as error:
            if self.is_cancelled:
                aborted = cancelled()
                if error.delivery is Delivery.UNKNOWN:
                    aborted.delivery = Delivery.UNKNOWN
                raise aborted from None
            raise
        finally:
            self._transfers.discard(transfer)
            transfer.release()

    def _exchange(self, request: ApiRequest, retry_state: RetryState, turn: Turn) -> ApiResponse:
        settings = self.settings
        headers: dict[str, str] = {}
        body: StreamingBody | None = None
        http_response: requests.Response | None = None
        if request.upload:
            progress = Progress(request.upload.name, request.upload.source.size, attempt=retry_state.attempts + 1)
            body, headers["Content-Type"] = multipart_body(request.upload, progress)
        try:
            http_response = self._session.request(
                request.method,
                settings.media_url + request.path,
                params=request.params,
                data=body,  # type: ignore[arg-type]  # memoryviews: our connection classes send any buffer
                headers=headers,
                timeout=(settings.connect_timeout, settings.timeout),
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                proxies=self._proxies,
            )
            with http_response:
                response = read_response(request, http_response, settings)
            if body is not None and not body.finished:
                response = replace(response, delivery=Delivery.PARTIAL)
            self.limiter.note(turn, http_response.headers)
            self.key_was_accepted = True
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, MediaError) as failure:
            status = 0 if http_response is None else http_response.status_code
            error = failure if isinstance(failure, MediaError) else _as_error(failure, request, settings, status)
            is_success = needs_body(request.method, status)  # unreadable; the server may have an identical file
            if error.delivery is Delivery.UNKNOWN and body is not None and not body.finished and not is_success:
                error.delivery = Delivery.PARTIAL
            if http_response is not None:
                self.limiter.note(turn, http_response.headers, error)
            if error is failure:
                raise
            log.debug("%s Caused by: %s", error, _describe_causes(failure, settings))
            raise error from None
        finally:
            if body is not None:
                retry_state.exclude_time(body.transfer_seconds)
        return response


class _Session(requests.Session):
    """Returns redirects like any other response.

    ``allow_redirects=False`` is not enough: requests still prepares the next request, for which it reads the whole body
    and parses the target.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Ignore redirects."""


_UTF8_TEXT = "text/plain; charset=utf-8"


def multipart_body(upload: UploadSpec, on_block: Callable[[int], None] | None = None) -> tuple[StreamingBody, str]:
    """Return the multipart body of an upload, for one attempt, and its content type.

    requests-toolbelt writes the framing (boundary, part headers) around an empty file. The file's own bytes bypass its
    encoder, which copies them in small blocks and cannot be rewound.
    """
    encoder = MultipartEncoder(
        [
            # Without the charset, servers decode text that is not ASCII as ISO-8859-1 (RFC 7578, 4.4).
            *((name, text if text.isascii() else (None, text, _UTF8_TEXT)) for name, text in upload.fields.items()),
            ("file", (upload.file_name, b"", upload.mime_type)),
        ]
    )
    framing: bytes = encoder.to_string()
    after = f"\r\n--{encoder.boundary_value}--\r\n".encode()
    before = framing.removesuffix(after)
    body = StreamingBody(before=before, source=upload.source, after=after, on_block=on_block)
    return body, encoder.content_type


def _as_error(error: Exception, request: ApiRequest, settings: Settings, status: int) -> MediaError:
    """Return the error for a failure of the HTTP client, classified by its chain of causes.

    :param status: of the response; 0 if none was received.
    """
    causes = exception_chain(error)
    if cause := _configuration_error(causes, settings):
        return MediaConfigurationError(f"Could not {request.purpose}: {cause}.")

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    address, reason = settings.base_url, root_cause(causes)
    error_class: type[MediaError] = MediaUnavailableError
    delivery = Delivery.NOT_SENT
    if_sent = Delivery.NOT_SENT if request.is_idempotent else Delivery.UNKNOWN
    # urllib3 also blames the proxy if the response to a forwarded request is lost; then the server may have acted.
    refusal = next((str(cause) for cause in causes if str(cause).startswith("Tunnel connection failed")), None)
    never_sent = has(*_NOT_CONNECTED) or refusal is not None
    is_unreceived = has(NotReceivedError) and not request.upload
    if has(requests.exceptions.ProxyError) and never_sent:
        reason = one_line(redact(settings.api_key, refusal)) if refusal else reason
        cause = f"could not connect to {address} through the proxy ({reason})"
    elif has(urllib3.exceptions.NameResolutionError):
        cause = f"could not resolve the host name of {address}; check the base address in the connection"
    elif has(*_NOT_CONNECTED) or is_unreceived:
        reason = "the server closed it before the request was sent" if is_unreceived else reason
        cause = f"no connection to {address} ({reason})"
    elif has(HeadTooLargeError):
        cause = f"the response headers exceed {MAX_HEAD_BYTES / 2**20:g} MiB"
        return MediaResponseError(f"Could not {request.purpose}: {cause}.", delivery=if_sent)
    elif has(*_NOT_HTTP) and not has(http.client.RemoteDisconnected):
        server = f"{address}, or the proxy," if settings.proxy else address
        # The first bytes, such as b'SSH-2.0-OpenSSH_9.6', show a wrong port.
        lines = [redact(settings.api_key, str(each.args[0])) for each in causes if isinstance(each, _WITH_FIRST_BYTES)]
        reason = repr(lines[0].rstrip("\r\n").encode("iso-8859-1", "replace")[:40]) if lines else reason
        cause = f"{server} did not send an HTTP/1.1 response ({reason}); check the base address in the connection"
        return MediaResponseError(f"Could not {request.purpose}: {cause}.", delivery=if_sent)
    elif status and not has(OSError):
        error_class, delivery = MediaResponseError, Delivery.UNKNOWN
        cause = "the response is truncated"
    elif has(requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        delivery = Delivery.UNKNOWN
        cause = f"timed out after {settings.timeout:g} s without data from {address}"
    else:
        delivery = Delivery.UNKNOWN
        cause = f"the connection to {address} was lost ({reason})"
    return error_class(f"Could not {request.purpose}: {cause}.", is_transient=True, delivery=delivery)


def _describe_causes(error: Exception, settings: Settings) -> str:
    """Return the chain of causes for the debug log, without the API key and credentials in URLs."""
    causes = exception_chain(error)
    if any(isinstance(cause, _INVALID_URL) for cause in causes):
        # The message may contain a proxy's password, without a scheme by which the URL could be recognized.
        return " < ".join(type(cause).__name__ for cause in causes)
    shown = " < ".join(f"{type(cause).__name__}: {one_line(str(cause))}" for cause in causes)
    return redact_urls(redact(settings.api_key, shown))


_WITH_FIRST_BYTES = (http.client.BadStatusLine, http.client.UnknownProtocol)

_NOT_HTTP = (
    *_WITH_FIRST_BYTES,
    http.client.LineTooLong,
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.InvalidHeader,
)
"""Errors of a response head that cannot be parsed, such as that of another protocol."""

_NOT_CONNECTED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)

_INVALID_URL = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    urllib3.exceptions.LocationParseError,
    UnicodeError,
)

_REFUSED_TUNNEL = re.compile(r"Tunnel connection failed: 4(?!08|25|29)")
"""The error message for a proxy's permanent rejection of CONNECT; the excluded statuses are transient."""


_NOT_TLS = {
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
"""OpenSSL's reasons for bytes that are not TLS: usually the last; in some versions the others."""


def _configuration_error(causes: list[BaseException], settings: Settings) -> str | None:
    """Return the error of the connection's settings, if it is the cause, so that a retry cannot help."""
    address = settings.base_url
    server = f"{address}, or the proxy," if settings.proxy else address
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {address} is not trusted ({cause.verify_message}); for a private CA, set"
                " the extra 'verify' in the connection to the path of its CA bundle"
            )
        # Only during the handshake, which only the traceback shows; later, a file may have been sent.
        in_handshake = (frame.f_code.co_name == "do_handshake" for frame, _ in walk_tb(cause.__traceback__))
        if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS and any(in_handshake):
            return f"{server} does not use TLS; for a plain HTTP server, start the base address with http://"
        if isinstance(cause, OSError) and _REFUSED_TUNNEL.search(str(cause)):  # 403, 407
            return f"the proxy rejected the connection to {address}; check the extra 'proxy' in the connection"
        if isinstance(cause, _INVALID_URL):
            return f"the base address {address} or the proxy URL is invalid"
    return None
