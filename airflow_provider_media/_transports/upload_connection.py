"""Connections for large bodies and odd servers: they send as long as bytes move, and read only final responses.

urllib3 (2.x) bounds each block's send by the connect timeout, and looks for a response only when the whole body is
gone. So a slow line fails although it works, and a server that says "413" and goes on listening is sent the whole
file first; over TLS the response of one that hangs up is lost in an SSL error.

http.client skips only the interim response 100, so that with any other each later response is taken for the one to
the request before it; and it does not notice what a server sends beyond a response.
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
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from airflow_provider_media._upload.source import FileRegion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media._api.secret import Secret

MAX_HEAD_BYTES = 1024 * 1024
"""Of a response's status line and headers, interim responses included."""

ERROR_BODY_SECONDS = 5.0
"""A body may take so long when the status says all that matters: of an error, and of a file that was deleted."""

_INTERIM = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n")
"""A whole interim response (RFC 9110, 15.2); 101 is none, it ends what is understood of a connection."""

_INTERIM_START = re.compile(rb"HTTP/1\.\d 1(?!01)")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_USED_HEADERS = {
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"date",
    b"location",
    b"request-id",
    b"retry-after",
    b"transfer-encoding",
    b"x-correlation-id",
    b"x-ratelimit-limit",
    b"x-ratelimit-remaining",
    b"x-ratelimit-reset",
    b"x-request-id",
}
"""What remains of a head that http.client refuses to read: all that is read of a response anywhere."""


class HeadTooLargeError(http.client.HTTPException):
    """A response's status line and headers are too large to be read."""


class _EarlyResponseMixin:
    """Replaces how a connection sends; mixed into urllib3's connection classes.

    :cvar stall_seconds: how long not a single byte may move.
    :cvar head_seconds: how long an answer's status and headers may take.
    :cvar api_key: what every request bears as ``X-Api-Key``.
    """

    stall_seconds: float
    head_seconds: float
    api_key: Secret[str]
    _buffer: list[bytes]
    sock: Any
    host: str
    port: int
    timeout: float
    socket_options: Any
    _dns_host: str
    _has_early_response = False
    _is_spent = False
    _heard = b""

    def connect(self) -> None:
        # urllib3 connects the same object anew.
        self._heard = b""
        self._has_early_response = self._is_spent = False
        super().connect()  # type: ignore[misc]  # the connection class it is mixed into has it
        self.sock.settimeout(self.stall_seconds)

    def _new_conn(self) -> socket.socket:
        """Connect as urllib3 does, but a socket that the transfer can shut down meanwhile."""
        this: Any = self
        try:
            return self._open_socket()
        except socket.gaierror as error:
            raise NameResolutionError(self.host, this, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(this, f"no connection within {self.timeout} s") from error
        except OSError as error:
            raise NewConnectionError(this, str(error)) from error

    def _open_socket(self) -> socket.socket:
        failure = OSError("the host has no address")
        host = self._dns_host.strip("[]")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, self.port, allowed_gai_family(), socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                _transfer.get().connect(sock, address, self.timeout)
            except OSError as error:
                sock.close()
                failure = error
            else:
                sys.audit("http.client.connect", self, self.host, self.port)
                return sock
        raise failure

    def _send_output(self, *_: Any, **__: Any) -> None:
        """Send the request's head, and the API key in it.

        Only here, and as a memoryview, so that the variables of no traceback show the key: not headers, not bytes.
        """
        lines = [*self._buffer]
        self._buffer.clear()
        key = self.api_key
        self.send(memoryview(b"\r\n".join([*lines, b"X-Api-Key: " + key.reveal().encode("ascii"), b"", b""])))

    def send(self, data: Any) -> None:
        """Send a block, as long as the server takes it and says nothing.

        :raises BrokenPipeError: when the server answered or hung up; urllib3 then reads the answer, if there is one.
        :raises TimeoutError: when no byte moved for :attr:`stall_seconds`.
        """
        if self.sock is None:
            self.connect()
        if not self._is_watchable:
            super().send(data.fill() if isinstance(data, FileRegion) else data)  # type: ignore[misc]
        elif isinstance(data, FileRegion) and not isinstance(self.sock, ssl.SSLSocket):
            self._push(len(data), lambda done: data.send_to(self.sock, done))
        else:
            block = data.fill() if isinstance(data, FileRegion) else memoryview(data)
            self._push(len(block), lambda done: self.sock.send(block[done:]))

    @property
    def _is_watchable(self) -> bool:
        """Whether this is a bare socket or one with TLS; a TLS tunnel through a TLS proxy is neither.

        The descriptor of such a tunnel is that of the connection to the proxy: nothing may be written to it directly.
        """
        return type(self.sock) is socket.socket or isinstance(self.sock, ssl.SSLSocket)

    def _push(self, size: int, send_from: Callable[[int], int]) -> None:
        if _is_readable(self.sock) and self._has_response():
            self._stop_sending()
        self.sock.settimeout(0)
        done = 0
        try:
            while done < size:
                try:
                    done += send_from(done)
                except _NOT_YET:
                    if self._wait(select.POLLIN | select.POLLOUT) and self._has_response():
                        self._stop_sending()
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self._stop_sending()
        finally:
            self.sock.settimeout(self.stall_seconds)

    def _stop_sending(self) -> NoReturn:
        self._has_early_response = True
        raise BrokenPipeError

    def getresponse(self) -> Any:
        """Let the time for the answer begin when the server has the body: until then it is on a slow line.

        :raises TimeoutError: when no byte moved for :attr:`stall_seconds`.
        """
        if self._is_watchable and not self._has_early_response and _unacknowledged(self.sock):
            self._wait(select.POLLIN)
        return super().getresponse()  # type: ignore[misc]

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> _Response:
        """Read a response, also a proxy's to CONNECT, from what was heard already and then from the socket."""
        heard, self._heard = self._heard, b""
        return _Response(self, sock, heard, *args, **kwargs)

    def spend(self) -> None:
        """Never use the connection again."""
        self._is_spent = True

    def _wait(self, events: int) -> bool:
        """Wait, as long as bytes move, for room to send or for something to read; return whether it is the latter.

        The kernel reports room only when a third of its buffer is free, which takes long on a slow line; so at the end
        of the patience what counts is whether the server acknowledged anything meanwhile.
        """
        poll = select.poll()
        poll.register(self.sock, events)
        waiting = _unacknowledged(self.sock)
        while not (happened := poll.poll(self.stall_seconds * 1000)):
            before, waiting = waiting, _unacknowledged(self.sock)
            if waiting >= before:
                raise TimeoutError
        return bool(happened[0][1] & ~select.POLLOUT)

    def _has_response(self) -> bool:
        """Tell, when there is something to read, whether it is (the start of) an answer or the end.

        Over TLS it may be no answer but session tickets, and only reading tells; what is read is put back. An interim
        answer (1xx), which a client must take at any time (RFC 9110, 15.2), is none: it is dropped.
        """
        self.sock.settimeout(0)
        try:
            data = self.sock.recv(4096)
        except _NOT_YET:
            return False
        except OSError:
            return True
        self._heard = _without_interim(self._heard + data)
        return not data or len(self._heard) > MAX_HEAD_BYTES or not _may_be_interim(self._heard)

    @property
    def is_connected(self) -> bool:
        """Whether the connection can serve the next request.

        Not after a request that was cut short, of which the server still awaits the rest, and not with bytes unread,
        which would be taken for the next response; those that TLS holds already do not show on the socket.
        """
        is_usable = not (self._has_early_response or self._is_spent or self._heard) and not _pending(self.sock)
        return is_usable and bool(super().is_connected)  # type: ignore[misc]


def _without_interim(data: bytes) -> bytes:
    """Drop the interim responses that the data begins with."""
    while interim := _INTERIM.match(data):
        data = data[interim.end() :]
    return data


def _may_be_interim(data: bytes) -> bool:
    """Return whether the data is too short to be told from an interim response, or the start of one."""
    return len(data) < len(b"HTTP/1.1 100") or bool(_INTERIM_START.match(data))


def _pending(sock: Any) -> int:
    """Count the bytes that TLS has read and decrypted already."""
    tls = getattr(sock, "sslobj", sock)  # of TLS within TLS, urllib3's own socket has it as an attribute
    return tls.pending() if hasattr(tls, "pending") else 0


def _unacknowledged(sock: socket.socket) -> int:
    """Count the bytes that were handed to the kernel and not yet acknowledged; 0 where that cannot be told."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    except OSError:  # not every system has it for sockets
        return 0
    return count[0]


def _is_readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class _Response(http.client.HTTPResponse):
    """A final response: interim ones before it are skipped, and its connection is kept only where nothing is unread.

    :param connection: what it is read from.
    :param sock: the connection's socket.
    :param heard: what was read of the response already.
    """

    def __init__(self, connection: _EarlyResponseMixin, sock: Any, heard: bytes, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        timeout = sock.gettimeout() or math.inf
        self._bytes = _ResponseBytes(sock, self.fp.detach(), heard, timeout)
        self._bytes.deadline = time.monotonic() + connection.head_seconds
        self.fp = _ResponseFile(self._bytes, connection.spend)

    def begin(self) -> None:
        """Read the status and the headers, and decide whether the connection may be used again."""
        super().begin()
        is_success = http.HTTPStatus.OK <= self.status < http.HTTPStatus.MULTIPLE_CHOICES
        needs_body = is_success and self._method != "DELETE"  # type: ignore[attr-defined]
        # Whoever reads a body that is needed bounds it.
        self._bytes.deadline = math.inf if needs_body else time.monotonic() + ERROR_BODY_SECONDS
        has_no_body = self.status in {http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED}
        declares_body = self.chunked or self.headers.get("content-length", "0").strip(" 0") != ""
        has_two_lengths = self.chunked and "content-length" in self.headers
        if self.status < http.HTTPStatus.OK or (has_no_body and declares_body) or has_two_lengths:
            self.will_close = True
        self.chunked = self.chunked and not has_no_body  # else http.client would wait for the first chunk


class _ResponseFile(io.BufferedReader):
    """What http.client reads a response from.

    :param raw: the bytes.
    :param on_unread: called when it is closed before all that was received is read.
    """

    def __init__(self, raw: _ResponseBytes, on_unread: Callable[[], None]) -> None:
        super().__init__(raw)
        self._bytes = raw
        self._on_unread = on_unread

    def close(self) -> None:
        if not self.closed and (self._bytes.end() or self.peek()):
            self._on_unread()
        super().close()


class _ResponseBytes(io.RawIOBase):
    """The bytes of one response, in bounded time; its head is given as http.client can read it.

    :param sock: the socket.
    :param rest: reads from the socket.
    :param heard: what was read already.
    :param timeout: how long the socket waits for the next byte, in seconds.
    :ivar deadline: when reading ends (monotonic seconds): a response that drips, byte by byte, would have no end.
    """

    def __init__(self, sock: Any, rest: Any, heard: bytes, timeout: float) -> None:
        self._sock = sock
        self._rest = rest
        self._heard = heard
        self._timeout = timeout
        self._has_head = False
        self._has_ended = False
        self.deadline = math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._has_head:
            self._read_head()
            self._has_head = True
        if self._has_ended:
            return 0
        if not self._heard:
            return self._receive(buffer)
        given = self._heard[: len(buffer)]
        buffer[: len(given)] = given
        self._heard = self._heard[len(given) :]
        return len(given)

    def end(self) -> bool:
        """Give no more bytes; return whether there were some."""
        self._has_head = self._has_ended = True
        return bool(self._heard)

    def close(self) -> None:
        self._rest.close()
        super().close()

    def _receive(self, buffer: Any) -> int | None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if left < self._timeout:
            self._sock.settimeout(left)
        count: int | None = self._rest.readinto(buffer)
        return count

    def _read_head(self) -> None:
        """Read a final response's head, or as much of it as tells that it is none.

        :raises HeadTooLargeError: the server sends more than :data:`MAX_HEAD_BYTES` before the body.
        """
        buffer, received = bytearray(8192), len(self._heard)
        while True:
            self._heard = _without_interim(self._heard)
            head = _END_OF_HEAD.search(self._heard)
            if head and not _may_be_interim(self._heard):
                self._heard = _fitted(self._heard[: head.end()]) + self._heard[head.end() :]
                return
            if b"\n" in self._heard and not self._heard.startswith(b"HTTP/"):
                return
            if received > MAX_HEAD_BYTES:
                raise HeadTooLargeError
            count = self._receive(buffer)
            if not count:
                return
            received += count
            self._heard += buffer[:count]


def _fitted(head: bytes) -> bytes:
    """Leave out of a head of too many or too long lines what is not used: http.client would refuse it whole."""
    status, *lines = head.split(b"\n")
    most, longest = http.client._MAXHEADERS, http.client._MAXLINE  # type: ignore[attr-defined]  # noqa: SLF001
    if len(lines) <= most and max(map(len, (status, *lines))) < longest:
        return head
    used = [line for line in lines if line.partition(b":")[0].lower() in _USED_HEADERS and len(line) < longest]
    return b"\n".join([status[: longest - 1], *used[: most - 1], b"", b""])


class Transfer:
    """One exchange, which another thread or a signal handler can abort: its socket is shut down, and no other's.

    It holds a duplicate of the socket, because TLS takes the original away, and urllib3 closes it under its reader.
    """

    def __init__(self) -> None:
        self.is_aborted = False
        self._lock = threading.RLock()  # reentrant, because a signal handler may interrupt who holds it
        self._handle: socket.socket | None = None

    def abort(self) -> None:
        """Shut the socket down, or the one that it gets later."""
        self.is_aborted = True
        with self._lock:
            if self._handle:
                _shut_down(self._handle)

    def hold(self, sock: Any) -> None:
        """Be the one that uses a socket from now on."""
        with self._lock:
            self.release()
            self._handle = socket.socket(fileno=os.dup(sock.fileno()))
            if self.is_aborted:
                _shut_down(self._handle)

    def release(self) -> None:
        """Use it no longer: it is closed, or the next one's."""
        with self._lock:
            handle, self._handle = self._handle, None
            if handle:
                handle.close()

    def connect(self, sock: socket.socket, address: Any, seconds: float) -> None:
        """Connect a socket.

        :raises OSError: when that fails, takes too long (TimeoutError), or is aborted.
        """
        self.hold(sock)
        sock.settimeout(0)
        code = sock.connect_ex(address)
        if self.is_aborted:  # maybe before the connecting began, when there was nothing to shut down
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        if code == errno.EINPROGRESS:
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            if not poll.poll(seconds * 1000):
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        sock.settimeout(seconds)


_transfer: ContextVar[Transfer] = ContextVar("transfer")
"""What the present thread's exchange is."""


class _HoldingPool:
    """Lets the transfer hold the connection that it takes out of the pool; mixed into urllib3's pool classes."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]  # the pool class it is mixed into has it
        if connection.sock is not None:
            _transfer.get().hold(connection.sock)
        return connection

    def _put_conn(self, connection: Any) -> None:
        _transfer.get().release()  # before others can take it
        super()._put_conn(connection)  # type: ignore[misc]


class EarlyResponseAdapter(HTTPAdapter):
    """The requests adapter that uses such connections, and can break all transfers off.

    :param stall_seconds: how long not a single byte of a body may move.
    :param head_seconds: how long an answer's status and headers may take.
    :param connections: how many are kept open for the next requests.
    :param api_key: what every request bears as ``X-Api-Key``.
    """

    def __init__(self, *, stall_seconds: float, head_seconds: float, connections: int, api_key: Secret[str]) -> None:
        """Make the connection classes with this adapter's figures."""
        self._transfers: set[Transfer] = set()
        self._broken_off = False
        namespace = {"stall_seconds": stall_seconds, "head_seconds": head_seconds, "api_key": api_key}
        plain = type("PlainConnection", (_EarlyResponseMixin, HTTPConnection), namespace)
        secure = type("SecureConnection", (_EarlyResponseMixin, HTTPSConnection), namespace)
        self._pool_classes = {
            "http": type("PlainPool", (_HoldingPool, HTTPConnectionPool), {"ConnectionCls": plain}),
            "https": type("SecurePool", (_HoldingPool, HTTPSConnectionPool), {"ConnectionCls": secure}),
        }
        super().__init__(pool_connections=2, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use our connection classes for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Use our connection classes through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def close(self) -> None:
        """Close the idle connections at once; urllib3 (2.x) leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it cannot be walked itself
                if pool := manager.pools.get(key):
                    pool.close()
        super().close()

    @contextmanager
    def transfer(self, transfer: Transfer) -> Iterator[None]:
        """Let what the present thread sends meanwhile be a transfer that can be aborted, alone or with all others."""
        token = _transfer.set(transfer)
        self._transfers.add(transfer)
        try:
            if self._broken_off:
                transfer.abort()
            yield
        finally:
            self._transfers.discard(transfer)
            _transfer.reset(token)
            transfer.release()

    def abort(self) -> None:
        """End all transfers at once, and each that would begin; safe in a signal handler and from another thread."""
        self._broken_off = True
        for transfer in list(self._transfers):
            transfer.abort()


def _shut_down(sock: socket.socket) -> None:
    try:
        # Not SSLSocket.shutdown, which would take the TLS state away from under a running send.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        return
