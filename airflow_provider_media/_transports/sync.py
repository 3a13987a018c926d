"""Carry calls with requests, blocking; try again with tenacity, as the one retry policy says."""

from __future__ import annotations

import http.client
import re
import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import requests
import urllib3.exceptions
from requests_toolbelt.multipart.encoder import MultipartEncoder
from tenacity import Retrying

from airflow_provider_media._api.flows import Sleep
from airflow_provider_media._api.protocol import ApiRequest, ApiResponse, one_line
from airflow_provider_media._api.secret import redact, safe_cause
from airflow_provider_media._transports import clock
from airflow_provider_media._transports.attempts import (
    CONNECTIONS,
    READ_BYTES,
    RESPONSE_TIMEOUTS,
    ResponseReader,
    cancelled,
    describe_tls_error,
    environment_proxy,
    exception_chain,
    load_ca_bundle,
    new_retry_state,
    request_headers,
    root_cause,
    tenacity_kwargs,
    trusted_bundle,
)
from airflow_provider_media._transports.forks import renew_in_children
from airflow_provider_media._transports.rate_limit import Turn, limiter_of
from airflow_provider_media._transports.upload_connection import (
    MAX_HEAD_BYTES,
    EarlyResponseAdapter,
    HeadTooLargeError,
    Transfer,
)
from airflow_provider_media._upload.multipart import StreamingBody
from airflow_provider_media._upload.progress import Progress
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
    from airflow_provider_media._api.protocol import UploadForm
    from airflow_provider_media._api.retry import RetryState
    from airflow_provider_media._api.settings import Settings

T = TypeVar("T")


class SyncTransport:
    """One session with the server: connections kept open, requests paced, failures mended where they can be.

    :param settings: the connection's settings.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is connected yet."""
        self.settings = settings
        self._verify = trusted_bundle(settings)
        if isinstance(self._verify, str):
            load_ca_bundle(self._verify)
        proxy = settings.proxy or environment_proxy(settings.base_url)
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self.limiter = limiter_of(settings.base_url, settings.api_key, settings.requests_per_second)
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Open a new session; the one before, if any, is another process's."""
        settings = self.settings
        self._cancelled = threading.Event()
        self.key_was_accepted = False
        """Whether a request with this key succeeded."""
        self._adapter = EarlyResponseAdapter(
            stall_seconds=settings.timeout,
            head_seconds=RESPONSE_TIMEOUTS * settings.timeout,
            connections=CONNECTIONS,
            api_key=settings.api_key,
        )
        self._session = _Session()
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        # What the environment says is read once: requests would walk all of it for each request, and take what a .netrc
        # file holds for the host. REQUESTS_CA_BUNDLE would even override a session's verify that is False.
        self._session.trust_env = False
        self._session.headers.update(request_headers())

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end.

        :raises MediaError: what the flow does not handle.
        """
        with closing(flow):
            try:
                command = next(flow)
                while True:
                    try:
                        reply = self._perform(command)
                    except MediaError as problem:
                        command = flow.throw(problem)
                    else:
                        command = flow.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result

    def send(self, call: ApiRequest) -> ApiResponse:
        """Send one call until it succeeds or trying again cannot help, may do harm, or is used up.

        :raises MediaError: for the last failure.
        """
        retries = call.retry_state or new_retry_state(self.settings, call)
        options = tenacity_kwargs(call, retries, key_was_accepted=lambda: self.key_was_accepted)
        return Retrying(sleep=self._sleep, **options)(self._attempt, call, retries)

    def new_retry_state(self) -> RetryState:
        """Give the tries of one request."""
        return new_retry_state(self.settings)

    @staticmethod
    def new_transfer() -> Transfer:
        """Return what an exchange can be aborted by."""
        return Transfer()

    def cancel(self) -> None:
        """Break off what is under way, promptly, and start nothing more; safe in a signal handler."""
        self._cancelled.set()
        self._adapter.abort()

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
        if clock.wait(seconds, self._cancelled):
            raise cancelled()

    def _attempt(self, call: ApiRequest, retries: RetryState) -> ApiResponse:
        turn = self.limiter.turn()
        for seconds in turn.waits(call, retries):
            self._sleep(seconds)
        return self.exchange(call, retries, turn, self.new_transfer())

    def exchange(self, call: ApiRequest, retries: RetryState, turn: Turn, transfer: Transfer) -> ApiResponse:
        """Send one call once.

        :param retries: the call's tries; told how long the body's transfer took.
        :param turn: told of the response.
        :param transfer: what it is aborted by.
        :raises MediaError: for a failure.
        """
        if self.is_cancelled:
            raise cancelled()
        try:
            with self._adapter.transfer(transfer):
                return self._exchange(call, retries, turn)
        except MediaError as problem:
            if self.is_cancelled:
                stopped = cancelled()
                if problem.delivery is Delivery.UNKNOWN:
                    stopped.delivery = Delivery.UNKNOWN
                raise stopped from None
            raise

    def _exchange(self, call: ApiRequest, retries: RetryState, turn: Turn) -> ApiResponse:
        settings = self.settings
        headers: dict[str, str] = {}
        body: StreamingBody | None = None
        incoming: ResponseReader | None = None
        if call.upload:
            progress = Progress(
                call.upload.name, call.upload.source.size, attempt=retries.attempts + 1, clock=time.monotonic
            )
            body, headers["Content-Type"] = multipart_body(call.upload, progress)
        try:
            response = self._session.request(
                call.method,
                settings.media_url + call.path,
                params=call.params,
                data=body,  # type: ignore[arg-type]  # blocks are memoryviews: what sends them takes any buffer
                headers=headers,
                timeout=(settings.connect_timeout, settings.timeout),
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                proxies=self._proxies,
            )
            with response:
                incoming = ResponseReader(call, response.status_code, response.headers, settings)
                try:
                    # read1 gives what is there; read would go on for as long as an endless answer drips.
                    # In no variable, because a response may repeat the API key.
                    while incoming.add(response.raw.read1(READ_BYTES, decode_content=False)):
                        pass
                except (urllib3.exceptions.HTTPError, OSError):
                    if incoming.needs_body:
                        raise
            reply = incoming.whole()
            if body and not body.finished:
                reply = replace(reply, delivery=Delivery.PARTIAL)
            turn.note(reply.headers)
            self.key_was_accepted = True
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            problem = _as_error(error, call, settings, answer_began=incoming is not None)
            _note_partial_body(problem, body)
            # An error about an invalid address may repeat a proxy's password.
            raise problem from (None if isinstance(problem, MediaConfigurationError) else safe_cause(error))
        except MediaError as problem:
            _note_partial_body(problem, body)
            if incoming:
                turn.note(incoming.headers, problem)
            raise
        finally:
            if body:
                retries.exclude_time(body.transfer_seconds)
        return reply


def _note_partial_body(error: MediaError, body: StreamingBody | None) -> None:
    """Set the delivery to PARTIAL when the end of the body was not sent, so that no whole file can be stored."""
    if error.delivery is Delivery.UNKNOWN and body and not body.finished:
        error.delivery = Delivery.PARTIAL


class _Session(requests.Session):
    """Takes a redirect for an answer like any other.

    That redirects are not allowed is not enough for requests: it works out the next request all the same, and for that
    reads the whole body, however long, and fails where the place pointed to is no address.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Know of nowhere to go."""


_UTF8_TEXT = "text/plain; charset=utf-8"


def multipart_body(upload: UploadForm, on_block: Callable[[int], None] | None = None) -> tuple[StreamingBody, str]:
    """Frame an upload: the body, made anew for each attempt, and its content type.

    requests-toolbelt writes the framing (boundary, part headers) around an empty file; the file's own bytes do not
    go through it, for its encoder copies them in small blocks and cannot be rewound.
    """
    encoder = MultipartEncoder(
        [
            # Without the charset, servers read text that is not ASCII as ISO-8859-1 (RFC 7578, 4.4).
            *((name, text if text.isascii() else (None, text, _UTF8_TEXT)) for name, text in upload.fields.items()),
            ("file", (upload.file_name, b"", upload.mime_type)),
        ]
    )
    framing: bytes = encoder.to_string()
    after = f"\r\n--{encoder.boundary_value}--\r\n".encode()
    before = framing.removesuffix(after)
    body = StreamingBody(before=before, source=upload.source, after=after, on_block=on_block)
    return body, encoder.content_type


def _as_error(error: Exception, call: ApiRequest, settings: Settings, *, answer_began: bool) -> MediaError:
    """Say what a failure of the HTTP client means; the one place that knows its exceptions."""
    causes = exception_chain(error)
    wrong = _configuration_error(causes, settings)
    if wrong:
        return MediaConfigurationError(f"Could not {call.purpose}: {wrong}.")

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    address, reason = settings.base_url, root_cause(causes)
    error_class: type[MediaError] = MediaUnavailableError
    delivery = Delivery.NOT_SENT
    if_sent = Delivery.NOT_SENT if call.is_idempotent else Delivery.UNKNOWN
    # urllib3 blames the proxy also when a request was passed on and its answer lost; then the server may have acted.
    refusal = next((str(cause) for cause in causes if str(cause).startswith("Tunnel connection failed")), None)
    never_sent = has(*_NOT_CONNECTED) or refusal is not None
    if has(requests.exceptions.ProxyError) and never_sent:
        reason = one_line(redact(settings.api_key, refusal)) if refusal else reason
        sentence = f"the proxy on the way to {address} cannot be used ({reason})"
    elif has(urllib3.exceptions.NameResolutionError):
        sentence = f"the address {address} is unknown; check the connection's host"
    elif has(*_NOT_CONNECTED):
        sentence = f"no connection to {address} ({reason})"
    elif has(HeadTooLargeError):
        sentence = f"the response's headers are larger than {MAX_HEAD_BYTES / 2**20:g} MiB"
        return MediaResponseError(f"Could not {call.purpose}: {sentence}.", delivery=if_sent)
    elif has(*_NOT_HTTP) and not has(http.client.RemoteDisconnected):
        where = f"{address}, or of the proxy," if settings.proxy else address
        sentence = f"the response of {where} is not valid HTTP/1.1 ({reason}); check the connection's host"
        return MediaResponseError(f"Could not {call.purpose}: {sentence}.", delivery=if_sent)
    elif answer_began and not has(OSError):
        error_class, delivery = MediaResponseError, Delivery.UNKNOWN
        sentence = "the answer was cut off"
    elif has(requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        delivery = Delivery.UNKNOWN
        sentence = f"{address} did not answer for {settings.timeout:g} s"
    else:
        delivery = Delivery.UNKNOWN
        sentence = f"the connection to {address} broke ({reason})"
    return error_class(f"Could not {call.purpose}: {sentence}.", is_transient=True, delivery=delivery)


_NOT_HTTP = (
    http.client.BadStatusLine,
    http.client.LineTooLong,
    http.client.UnknownProtocol,
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.InvalidHeader,
)
"""What is said of a response's head that cannot be read, such as that of a server of another protocol."""

_NOT_CONNECTED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)

_UNUSABLE_ADDRESS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    urllib3.exceptions.LocationParseError,
    UnicodeError,
)


_REFUSED_TUNNEL = re.compile(r"Tunnel connection failed: 4(?!08|25|29)")
"""What a proxy's answer to CONNECT is called; those left out may be others a little later."""


def _configuration_error(causes: list[BaseException], settings: Settings) -> str | None:
    """Say what is wrong with the connection, where that is the reason; trying again cannot help then."""
    if sentence := describe_tls_error(causes, settings):
        return sentence
    for cause in causes:
        if isinstance(cause, OSError) and _REFUSED_TUNNEL.search(str(cause)):  # 403, 407
            return f"the proxy refuses the way to {settings.base_url}; check the connection's extra 'proxy'"
        if isinstance(cause, _UNUSABLE_ADDRESS):
            return f"{settings.base_url}, or the proxy, is no address that can be used"
    return None
