"""Connections for large bodies and unusual servers: they send while data is flowing, and skip interim responses.

urllib3 (2.x) limits the send of each block by the connect timeout, and reads a response only after the whole body is
sent. So a slow line times out although data is flowing, and a server that responds 413 early receives the whole file
first; over TLS, the response of a server that closes the connection is lost in an SSL error.

http.client skips only the interim response 100: after any other, it assigns each later response to the wrong request.
It also ignores bytes after the end of a response.
"""

from __future__ import annotations

import array
import errno
import fcntl
import http.client
import io
import math
import os
import re
import select
import socket
import ssl
import sys
import termios
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.wait import wait_for_read

from airflow_provider_media._transports.attempts import RESPONSE_TIMEOUTS, needs_body
from airflow_provider_media._upload.source import FileRegion

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media._api.settings import Settings

CONNECTIONS = 16
"""Connections that a session keeps open for further requests."""

MAX_HEAD_BYTES = 1024 * 1024
"""Max size of a response's status line and headers, interim responses included."""

ERROR_BODY_SECONDS = 5.0
"""Max duration of a body that does not matter: of an error or a deletion."""

_BRIEF_WAIT_MILLISECONDS = 2
"""Shorter waits are not used for other work, because the line is faster than that."""

_INTERIM = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n")
"""A complete interim response (RFC 9110, 15.2), except for 101, after which the connection is not HTTP."""

_INTERIM_START = re.compile(rb"HTTP/1\.\d 1(?!01)")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_USED_HEADERS = set(
    b"connection content-encoding content-length content-type date location request-id retry-after "
    b"transfer-encoding x-correlation-id x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset x-request-id".split()
)
"""All headers that the provider uses; the rest is removed from a head that http.client cannot parse."""


class HeadTooLargeError(http.client.HTTPException):
    """A response's status line and headers exceed :data:`MAX_HEAD_BYTES`."""


class NotReceivedError(ConnectionError):
    """The server closed the connection before any byte of the request was sent."""


class _EarlyResponseMixin:
    """Replaces how urllib3's connection classes send."""

    settings: Settings
    _buffer: list[bytes]
    sock: Any
    host: str
    port: int
    timeout: float
    socket_options: Any
    _dns_host: str
    is_spent = False
    """Whether it must not be reused: its request was not completely sent, or its response has unread bytes."""
    has_sent = False
    _received = b""

    def connect(self) -> None:
        # urllib3 reconnects the same object.
        self._received, self.is_spent = b"", False
        super().connect()  # type: ignore[misc]  # defined by the connection class
        self.sock.settimeout(self.settings.timeout)

    def _new_conn(self) -> socket.socket:
        """Connect like urllib3, with a socket that the transfer can shut down."""
        this: Any = self
        host = self._dns_host.strip("[]")
        failure = OSError("the host has no address")
        try:
            found = socket.getaddrinfo(host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
            for family, kind, protocol, _, address in found:
                sock = socket.socket(family, kind, protocol)
                try:
                    for option in self.socket_options or ():
                        sock.setsockopt(*option)
                    sock.settimeout(self.timeout)
                    current_transfer.get().connect(sock, address)
                except OSError as error:
                    sock.close()
                    failure = error
                else:
                    sys.audit("http.client.connect", self, self.host, self.port)
                    return sock
            raise failure
        except socket.gaierror as error:
            raise NameResolutionError(self.host, this, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(this, f"no connection within {self.timeout} s") from error
        except OSError as error:
            raise NewConnectionError(this, str(error)) from error

    def _send_output(self, *_: Any, **__: Any) -> None:
        """Send the request's head with the API key.

        The key is added here, in a memoryview, so that no variable of a traceback shows it.
        """
        self.has_sent = False
        if self.sock is not None:  # of the pool; a new socket is held from the start
            current_transfer.get().hold(self.sock)
        lines = [*self._buffer]
        self._buffer.clear()
        key = self.settings.api_key
        self.send(memoryview(b"\r\n".join([*lines, b"X-Api-Key: " + key.reveal().encode("ascii"), b"", b""])))

    def send(self, data: Any) -> None:
        """Send a block, until the server responds.

        :raises BrokenPipeError: the server responded or closed the connection; urllib3 then reads the response, if any.
        :raises TimeoutError: no byte was transferred for the connection's ``timeout``.
        """
        if self.sock is None:
            self.connect()
        if not self._is_watchable:
            self.has_sent = True
            super().send(data.fill() if isinstance(data, FileRegion) else data)  # type: ignore[misc]
        elif isinstance(data, FileRegion) and not isinstance(self.sock, ssl.SSLSocket):
            self._push(len(data), lambda done: data.send_to(self.sock, done), data.hash_more)
        elif isinstance(data, FileRegion):
            block = data.fill()
            self._push(len(block), lambda done: self.sock.send(block[done:]), data.hash_more)
        else:
            block = memoryview(data)
            self._push(len(block), lambda done: self.sock.send(block[done:]))

    @property
    def _is_watchable(self) -> bool:
        """Whether the socket has a descriptor of its own, unlike a TLS tunnel through a TLS proxy."""
        return type(self.sock) is socket.socket or isinstance(self.sock, ssl.SSLSocket)

    def _push(self, size: int, send_from: Callable[[int], int], idle_work: Callable[[], bool] = bool) -> None:
        """Send a block.

        :param send_from: sends bytes from a position on; returns their number.
        :param idle_work: does a little work while the socket is not ready; returns False if there is none.
        """
        has_response = wait_for_read(self.sock, timeout=0) and self._has_response()
        self.sock.settimeout(0)
        done = 0
        try:
            while done < size and not has_response:
                try:
                    done += send_from(done)
                    self.has_sent = True
                except _NOT_YET:
                    has_response = self._wait(select.POLLIN | select.POLLOUT, idle_work) and self._has_response()
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            has_response = True
        finally:
            self.sock.settimeout(self.settings.timeout)
        if has_response:
            self.is_spent = True
            raise BrokenPipeError

    def getresponse(self) -> Any:
        """Start the time limit of the response when the server has the whole body, because the line may be slow."""
        if self._is_watchable and not self.is_spent and _unacknowledged(self.sock):
            self._wait(select.POLLIN)
        return super().getresponse()  # type: ignore[misc]

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> _Response:
        """Create the reader of a response, also of a proxy's to CONNECT, after the bytes already received."""
        received, self._received = self._received, b""
        return _Response(self, sock, received, *args, **kwargs)

    def _wait(self, events: int, idle_work: Callable[[], bool] = bool) -> bool:
        """Wait until the socket is writable or readable; return whether it is readable.

        The kernel reports a socket as writable only if a third of its buffer is free, which takes long on a slow line,
        so the wait continues while the server acknowledges bytes.

        :raises TimeoutError: no byte was acknowledged for the connection's ``timeout``.
        """
        poll = select.poll()
        poll.register(self.sock, events)
        ready = poll.poll(_BRIEF_WAIT_MILLISECONDS)
        while not ready and idle_work():
            ready = poll.poll(0)
        unacknowledged = _unacknowledged(self.sock)
        while not (ready := ready or poll.poll(self.settings.timeout * 1000)):
            before, unacknowledged = unacknowledged, _unacknowledged(self.sock)
            if unacknowledged >= before:
                raise TimeoutError
        return bool(ready[0][1] & ~select.POLLOUT)

    def _has_response(self) -> bool:
        """Return whether a readable socket has (the start of) a final response, or is closed.

        Over TLS, the bytes may be session tickets, so they are read, and kept for the response. Interim responses
        (1xx), which a client must accept at any time (RFC 9110, 15.2), are dropped.
        """
        self.sock.settimeout(0)
        try:
            data = self.sock.recv(4096)
        except _NOT_YET:
            return False
        except OSError:
            return True
        self._received = _without_interim(self._received + data)
        return not data or len(self._received) > MAX_HEAD_BYTES or not _may_be_interim(self._received)

    @property
    def is_connected(self) -> bool:
        """Whether the connection can be reused; not with unread bytes, which would count as the next response.

        Bytes already decrypted by TLS do not show on the socket.
        """
        tls = getattr(self.sock, "sslobj", self.sock)  # for TLS in TLS, an attribute of urllib3's own socket
        is_usable = not (self.is_spent or self._received or (hasattr(tls, "pending") and tls.pending()))
        return is_usable and bool(super().is_connected)  # type: ignore[misc]


def _without_interim(data: bytes) -> bytes:
    """Remove leading interim responses."""
    while interim := _INTERIM.match(data):
        data = data[interim.end() :]
    return data


def _may_be_interim(data: bytes) -> bool:
    """Return whether the data is, or may become, the start of an interim response."""
    return len(data) < len(b"HTTP/1.1 100") or bool(_INTERIM_START.match(data))


def _unacknowledged(sock: socket.socket) -> int:
    """Return the number of sent bytes that are not acknowledged; 0 if the system does not support it."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    except OSError:  # not supported for sockets on every system
        return 0
    return count[0]


class _Response(http.client.HTTPResponse):
    """A final response; its connection is reused only if no byte is unread."""

    def __init__(self, connection: _EarlyResponseMixin, sock: Any, received: bytes, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._bytes = _ResponseBytes(sock, self.fp.detach(), received)
        self._bytes.deadline = time.monotonic() + RESPONSE_TIMEOUTS * connection.settings.timeout
        self._connection = connection
        self.fp = io.BufferedReader(self._bytes)

    def _read_status(self) -> Any:
        self._bytes.read_head()
        return super()._read_status()  # type: ignore[misc]

    def begin(self) -> None:
        """Read the status and headers; decide whether the connection may be reused."""
        try:
            super().begin()
        except ConnectionError as error:
            if not self._connection.has_sent:
                raise NotReceivedError(*error.args) from error
            raise
        # The reader of a needed body limits its duration.
        is_needed = needs_body(self._method, self.status)  # type: ignore[attr-defined]
        self._bytes.deadline = math.inf if is_needed else time.monotonic() + ERROR_BODY_SECONDS
        has_no_body = self.status in {http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED}
        declares_body = self.chunked or self.headers.get("content-length", "0").strip(" 0") != ""
        has_two_lengths = self.chunked and "content-length" in self.headers
        if self.status < http.HTTPStatus.OK or (has_no_body and declares_body) or has_two_lengths:
            self.will_close = True
        self.chunked = self.chunked and not has_no_body  # otherwise http.client would wait for the first chunk

    def _close_conn(self) -> None:
        if self._bytes.end() or self.fp.peek():
            self._connection.is_spent = True
        super()._close_conn()  # type: ignore[misc]


class _ResponseBytes(io.RawIOBase):
    """The bytes of one response, with a time limit and a head that http.client can parse.

    :ivar deadline: the end of reading (monotonic seconds), because a server could drip bytes forever.
    """

    def __init__(self, sock: Any, rest: Any, received: bytes) -> None:
        self._sock = sock
        self._rest = rest
        self._received = received
        self._timeout = sock.gettimeout()
        self._has_ended = False
        self.deadline = math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._has_ended:
            return 0
        if not self._received:
            return self._receive(buffer)
        given, self._received = self._received[: len(buffer)], self._received[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)

    def end(self) -> bool:
        """Return no more bytes; return whether some were unread."""
        self._has_ended = True
        return bool(self._received)

    def close(self) -> None:
        self._rest.close()
        super().close()

    def _receive(self, buffer: Any) -> int | None:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._sock.settimeout(min(self._timeout, remaining))
        count: int | None = self._rest.readinto(buffer)
        return count

    def read_head(self) -> None:
        """Receive the head of a final response, or the first line of something that is not HTTP."""
        buffer, size = bytearray(8192), len(self._received)
        while True:
            self._received = _without_interim(self._received)
            head = _END_OF_HEAD.search(self._received)
            if head and not _may_be_interim(self._received):
                self._received = _shorten_head(self._received[: head.end()]) + self._received[head.end() :]
                return
            if b"\n" in self._received and not self._received.startswith(b"HTTP/"):
                return
            if size > MAX_HEAD_BYTES:
                raise HeadTooLargeError
            count = self._receive(buffer)
            if not count:
                return
            size += count
            self._received += buffer[:count]


def _shorten_head(head: bytes) -> bytes:
    """Remove unused headers from a head with too many or too long lines, because http.client would reject it."""
    status, *lines = head.split(b"\n")
    max_lines, max_length = http.client._MAXHEADERS, http.client._MAXLINE  # type: ignore[attr-defined]  # noqa: SLF001
    if len(lines) <= max_lines and max(map(len, (status, *lines))) < max_length:
        return head
    used = [line for line in lines if line.partition(b":")[0].lower() in _USED_HEADERS and len(line) < max_length]
    return b"\n".join([status[: max_length - 1], *used[: max_lines - 1], b"", b""])


class Transfer:
    """One exchange that another thread or a signal handler can abort by a shutdown of its socket.

    It holds a duplicate of the socket, because TLS detaches the original, and urllib3 closes it.
    """

    def __init__(self) -> None:
        self.is_aborted = False
        self._lock = threading.RLock()  # reentrant, because a signal handler may interrupt its holder
        self._handle: socket.socket | None = None

    def abort(self) -> None:
        """Shut down the socket, or the next one if there is none yet."""
        self.is_aborted = True
        with self._lock:
            if self._handle:
                _shut_down(self._handle)

    def hold(self, sock: Any) -> None:
        """Use a socket from now on."""
        with self._lock:
            self.release()
            self._handle = socket.socket(fileno=os.dup(sock.fileno()))
            if self.is_aborted:
                _shut_down(self._handle)

    def release(self) -> None:
        """Stop using the socket, because it is closed or returned to the pool."""
        with self._lock:
            handle, self._handle = self._handle, None
            if handle:
                handle.close()

    def connect(self, sock: socket.socket, address: Any) -> None:
        """Connect a socket; raise an OSError if that fails, times out or is aborted."""
        self.hold(sock)
        if not self.is_aborted:  # otherwise it would connect, because a shutdown before has no effect
            sock.connect(address)
        if self.is_aborted:
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))


current_transfer: ContextVar[Transfer] = ContextVar("transfer")
"""The exchange of the current thread."""


class _ReleasingPool:
    """Makes the transfer release a socket that returns to the pool; mixed into urllib3's pool classes."""

    def _put_conn(self, connection: Any) -> None:
        current_transfer.get().release()  # before another thread can take it
        super()._put_conn(connection)  # type: ignore[misc]  # defined by the pool class


class EarlyResponseAdapter(HTTPAdapter):
    """The requests adapter that uses these connections."""

    def __init__(self, settings: Settings) -> None:
        plain = type("PlainConnection", (_EarlyResponseMixin, HTTPConnection), {"settings": settings})
        secure = type("SecureConnection", (_EarlyResponseMixin, HTTPSConnection), {"settings": settings})
        self._pool_classes = {
            "http": type("PlainPool", (_ReleasingPool, HTTPConnectionPool), {"ConnectionCls": plain}),
            "https": type("SecurePool", (_ReleasingPool, HTTPSConnectionPool), {"ConnectionCls": secure}),
        }
        super().__init__(pool_connections=2, pool_maxsize=CONNECTIONS)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use these connection classes for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Use these connection classes through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def close(self) -> None:
        """Close the idle connections immediately; urllib3 (2.x) leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it is not iterable itself
                if pool := manager.pools.get(key):
                    pool.close()
        super().close()


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # already closed
        # Not SSLSocket.shutdown, which would drop the TLS state during a running send.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
