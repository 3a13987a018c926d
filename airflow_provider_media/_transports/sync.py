"""Carry calls with requests, blocking; try again with tenacity, as the one retry policy says."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3.exceptions
from requests_toolbelt.multipart.encoder import MultipartEncoder
from tenacity import RetryCallState, Retrying, retry_if_exception

from airflow_provider_media import __version__
from airflow_provider_media._api.body import StreamingBody
from airflow_provider_media._api.flows import Pause
from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.progress import Progress
from airflow_provider_media._api.protocol import Call, Reply, check_reply
from airflow_provider_media._api.retry import Retries
from airflow_provider_media._transports.connection import WatchfulAdapter
from airflow_provider_media._transports.pace import pace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media._api.flows import Flow
    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._api.upload import Upload

log = logging.getLogger(__name__)

LARGEST_REPLY_BYTES = 32 * 1024 * 1024
"""A page of 1000 files takes about half a megabyte; what goes on beyond this bound is no answer of a Media API."""

_CONNECTIONS = 16
_REPLY_TIMEOUTS = 5
"""An answer that began must be whole within so many time-outs."""
_SHORTEST_SECRET = 5
"""A key of fewer letters is none, and would be found in any text."""

_READ_BYTES = 64 * 1024

T = TypeVar("T")


class SyncTransport:
    """One session with the server: connections kept open, requests paced, failures mended where they can be.

    :param settings: the connection's settings.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is connected yet."""
        if isinstance(settings.verify, str):
            _check_bundle(settings.verify)
        self._settings = settings
        self._cancelled = threading.Event()
        self._pace = pace_of(settings.base_url, settings.api_key, settings.requests_per_second)
        self._adapter = WatchfulAdapter(stall_seconds=settings.timeout, connections=_CONNECTIONS)
        self._session = requests.Session()
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        self._session.auth = _no_other_credentials
        self._session.headers.update(
            {
                "X-Api-Key": settings.api_key,
                "Accept": "application/json",
                # Compressed, a small answer could unpack to one without end.
                "Accept-Encoding": "identity",
                "User-Agent": f"airflow-provider-media/{__version__}",
            }
        )

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end.

        :raises Problem: what the flow does not handle.
        """
        try:
            command = next(flow)
            while True:
                try:
                    reply = self._perform(command)
                except Problem as problem:
                    command = flow.throw(problem)
                else:
                    command = flow.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def send(self, call: Call) -> Reply:
        """Send one call until it succeeds or trying again cannot help, may do harm, or is used up.

        :raises Problem: for the last failure.
        """
        retries = call.retries or self.new_retries()
        acted: list[Problem] = []
        waits: list[float] = []

        def try_again(error: BaseException) -> bool:
            if not isinstance(error, Problem):
                return False
            error.after_lost_answer = bool(acted)
            if error.maybe_acted:
                acted.append(error)
                if not call.may_be_repeated:
                    return False
            wait = retries.next_wait(error)
            if wait is not None:
                waits.append(wait)
            return wait is not None

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            log.warning("%s Trying again in %.1f s (attempt %d of %d)", error, waits[-1], retries.attempts + 1,
                        retries.max_attempts)  # fmt: skip

        retrying = Retrying(
            retry=retry_if_exception(try_again), wait=lambda _: waits[-1], sleep=self._sleep, before_sleep=tell
        )
        return retrying(self._attempt, call, retries)

    def new_retries(self) -> Retries:
        """Give the tries of one request."""
        return Retries(
            max_attempts=self._settings.max_attempts,
            budget_seconds=self._settings.retry_budget,
            clock=time.monotonic,
        )

    def cancel(self) -> None:
        """Break off what is under way, promptly, and start nothing more; safe in a signal handler."""
        self._cancelled.set()
        self._adapter.break_off()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _perform(self, command: Call | Pause) -> Reply:
        if isinstance(command, Pause):
            self._sleep(command.seconds)
            return Reply(status=0, headers={})
        return self.send(command)

    def _sleep(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise _cancelled()

    def _attempt(self, call: Call, retries: Retries) -> Reply:
        if wait := self._pace.reserve():
            self._sleep(wait)
        if self._cancelled.is_set():
            raise _cancelled()
        started = time.monotonic()
        try:
            return self._exchange(call, retries)
        except Problem as problem:
            if self._cancelled.is_set():
                stopped = _cancelled()
                stopped.maybe_acted = problem.maybe_acted and not problem.body_cut_short
                raise stopped from None
            raise
        finally:
            if call.upload:
                retries.leave_out(time.monotonic() - started)

    def _exchange(self, call: Call, retries: Retries) -> Reply:
        settings = self._settings
        headers: dict[str, str] = {}
        body: StreamingBody | None = None
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
                # Per request: REQUESTS_CA_BUNDLE would override a session's verify, even False.
                verify=settings.verify,
                proxies={"http": settings.proxy, "https": settings.proxy} if settings.proxy else None,
            )
            with response:
                reply = _read(call, response, deadline=time.monotonic() + _REPLY_TIMEOUTS * settings.timeout)
            if not response.ok:
                reply = _without_key(reply, settings.api_key)
            check_reply(call, reply)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            problem = _as_problem(error, call, settings)
            problem.body_cut_short = body is not None and not body.finished
            # What says that an address is wrong may repeat a proxy's password.
            raise problem from (None if problem.kind is Kind.CONFIGURATION else error)
        except Problem as problem:
            problem.body_cut_short = body is not None and not body.finished
            raise
        return reply


def _check_bundle(path: str) -> None:
    try:
        folder = Path(path).is_dir()
        ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    except OSError as error:  # an SSLError is one, too
        reason = "it is not there" if isinstance(error, FileNotFoundError) else str(error)
        raise Problem(
            Kind.CONFIGURATION, f"The connection's extra 'verify' names {path}, which is no CA bundle: {reason}."
        ) from error


def multipart_body(upload: Upload, on_block: Callable[[int], None] | None = None) -> tuple[StreamingBody, str]:
    """Frame an upload: the body, made anew for each attempt, and its content type.

    requests-toolbelt writes the framing (boundary, part headers) around an empty file; the file's own bytes do not
    go through it, for its encoder copies them in small blocks and cannot be rewound.
    """
    encoder = MultipartEncoder([*upload.fields.items(), ("file", (upload.file_name, b"", upload.mime_type))])
    framing: bytes = encoder.to_string()
    after = f"\r\n--{encoder.boundary_value}--\r\n".encode()
    before = framing.removesuffix(after)
    body = StreamingBody(before=before, source=upload.source, after=after, on_block=on_block)
    return body, encoder.content_type


def _no_other_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from adding what a .netrc file holds for the host."""
    return request


def _cancelled() -> Problem:
    return Problem(Kind.CANCELLED, "The task was stopped, and its transfer broken off.")


def _read(call: Call, response: requests.Response, *, deadline: float) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    encoding = headers.get("content-encoding", "identity").strip().lower()
    chunks: list[bytes] = []
    size = 0
    # read1 gives what is there; read would go on for as long as an endless answer drips.
    while chunk := response.raw.read1(_READ_BYTES, decode_content=False):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_REPLY_BYTES:
            raise _bad_reply(call, response, f"is larger than {LARGEST_REPLY_BYTES} bytes")
        if time.monotonic() > deadline:
            raise _bad_reply(call, response, "does not come to an end")
    if encoding not in {"", "identity"} and chunks:
        raise _bad_reply(call, response, f"is compressed ({encoding}), which was not asked for")
    return Reply(status=response.status_code, headers=headers, body=b"".join(chunks))


def _without_key(reply: Reply, key: str) -> Reply:
    """Strike out the API key where a server repeats it: its words go into errors and logs."""
    if len(key) < _SHORTEST_SECRET:
        return reply
    headers = {name: value.replace(key, "***") for name, value in reply.headers.items()}
    return Reply(status=reply.status, headers=headers, body=reply.body.replace(key.encode(), b"***"))


def _bad_reply(call: Call, response: requests.Response, reason: str) -> Problem:
    return Problem(
        Kind.RESPONSE,
        f"Could not {call.purpose}: the answer ({response.status_code}) {reason}.",
        status=response.status_code,
        maybe_acted=call.method == "POST",
    )


def _as_problem(error: Exception, call: Call, settings: Settings) -> Problem:
    """Say what a failure of the HTTP client means; the one place that knows its exceptions."""
    causes = list(_causes(error))
    wrong = _wrong_setting(causes, settings)
    if wrong:
        return Problem(Kind.CONFIGURATION, f"Could not {call.purpose}: {wrong}.")

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    address, reason = settings.base_url, _reason(causes)
    kind, maybe_acted = Kind.UNAVAILABLE, False
    if has(requests.exceptions.ProxyError):
        sentence = f"the proxy on the way to {address} cannot be used ({reason})"
    elif has(urllib3.exceptions.NameResolutionError):
        sentence = f"the address {address} is unknown; check the connection's host"
    elif has(urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
        sentence = f"no connection to {address} ({reason})"
    elif has(requests.exceptions.ChunkedEncodingError, urllib3.exceptions.IncompleteRead):
        kind, maybe_acted = Kind.RESPONSE, True
        sentence = "the answer was cut off"
    elif has(requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        maybe_acted = True
        sentence = f"{address} did not answer for {settings.timeout:g} s"
    else:
        maybe_acted = True
        sentence = f"the connection to {address} broke ({reason})"
    return Problem(kind, f"Could not {call.purpose}: {sentence}.", transient=True, maybe_acted=maybe_acted)


_UNUSABLE_ADDRESS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.LocationParseError,
    UnicodeError,
)


def _wrong_setting(causes: list[BaseException], settings: Settings) -> str | None:
    """Say what is wrong with the connection, where that is the reason; trying again cannot help then."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {settings.base_url} is not trusted ({cause.verify_message}); if it is your own,"
                " give its CA bundle's path as the connection's extra 'verify'"
            )
        if isinstance(cause, OSError) and "Tunnel connection failed: 4" in str(cause):  # 403, 407
            return f"the proxy refuses the way to {settings.base_url}; check the connection's extra 'proxy'"
        if isinstance(cause, _UNUSABLE_ADDRESS):
            return f"{settings.base_url}, or the proxy, is no address that can be used"
    return None


def _causes(error: BaseException | None) -> Any:
    """Walk an exception and all it wraps: requests and urllib3 put the cause into args or ``reason``."""
    seen: list[int] = []
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.append(id(current))
        yield current
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None)]
        waiting += [argument for argument in current.args if isinstance(argument, BaseException)]


def _reason(causes: list[BaseException]) -> str:
    """Name the innermost cause in a few words, without addresses of objects."""
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(causes[-1]).__name__
