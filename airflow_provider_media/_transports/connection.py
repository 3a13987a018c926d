"""Connections that send large bodies well: they live as long as bytes move, and hear a server that answers early.

urllib3 (2.x) bounds each block's send by the connect time-out, and looks for an answer only when the whole body is
gone. So a slow line fails although it works, and a server that says "413" and goes on listening is sent the whole
file first; over TLS the answer of one that hangs up is lost in an SSL error.
"""

from __future__ import annotations

import array
import errno
import fcntl
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
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from airflow_provider_media._api.source import FileRegion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d")
_LONGEST_INTERIM_BYTES = 64 * 1024
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Watchful:
    """Replaces how a connection sends; mixed into urllib3's connection classes.

    :cvar stall_seconds: how long not a single byte may move.
    :cvar head_seconds: how long an answer's status and headers may take.
    """

    stall_seconds: float
    head_seconds: float
    sock: Any
    host: str
    port: int
    timeout: float
    socket_options: Any
    _dns_host: str
    _answered_early = False
    _heard = b""

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # the connection class it is mixed into has it
        self._heard = b""
        self._answered_early = False  # urllib3 connects the same object anew
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
        if _is_readable(self.sock) and self._has_answered():
            self._stop_sending()
        self.sock.settimeout(0)
        done = 0
        try:
            while done < size:
                try:
                    done += send_from(done)
                except _NOT_YET:
                    if self._wait(select.POLLIN | select.POLLOUT) and self._has_answered():
                        self._stop_sending()
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self._stop_sending()
        finally:
            self.sock.settimeout(self.stall_seconds)

    def _stop_sending(self) -> NoReturn:
        self._answered_early = True
        raise BrokenPipeError

    def getresponse(self) -> Any:
        """Let the time for the answer begin when the server has the body: until then it is on a slow line.

        :raises TimeoutError: when no byte moved for :attr:`stall_seconds`.
        """
        if self._is_watchable and not self._answered_early and _unacknowledged(self.sock):
            self._wait(select.POLLIN)
        sock, heard, self._heard = self.sock, self._heard, b""
        answering = self.sock = _Answering(sock, heard, deadline=time.monotonic() + self.head_seconds)
        try:
            return super().getresponse()  # type: ignore[misc]
        finally:
            answering.deadline = math.inf  # whoever reads the rest bounds it
            if self.sock is not None:  # else the answer ends the connection
                self.sock = sock

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

    def _has_answered(self) -> bool:
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
        self._heard += data
        while _INTERIM.match(self._heard) and b"\r\n\r\n" in self._heard:
            self._heard = self._heard.partition(b"\r\n\r\n")[2]
        if not data or len(self._heard) > _LONGEST_INTERIM_BYTES:
            return True
        is_too_short_to_tell = len(self._heard) < len(b"HTTP/1.1 1")
        return not (is_too_short_to_tell or _INTERIM.match(self._heard))

    @property
    def is_connected(self) -> bool:
        """Never use a connection again whose last request was cut short: the server still waits for its rest."""
        return not self._answered_early and bool(super().is_connected)  # type: ignore[misc]


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


class _Answering:
    """A socket from which an answer is read, in bounded time.

    :param sock: the socket.
    :param heard: what was read of the answer already, and is given again.
    :param deadline: when reading ends (monotonic seconds): an answer that drips, byte by byte, would have no end.
    """

    def __init__(self, sock: socket.socket, heard: bytes, *, deadline: float) -> None:
        self._sock = sock
        self._heard = heard
        self.deadline = deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, mode: Literal["rb"]) -> io.BufferedReader:
        return io.BufferedReader(_AnswerBytes(self, self._heard, self._sock.makefile(mode, buffering=0)))


class _AnswerBytes(io.RawIOBase):
    def __init__(self, answering: _Answering, heard: bytes, rest: Any) -> None:
        self._answering = answering
        self._heard = heard
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._answering.deadline:
            raise TimeoutError
        if not self._heard:
            count: int | None = self._rest.readinto(buffer)
            return count
        given = self._heard[: len(buffer)]
        buffer[: len(given)] = given
        self._heard = self._heard[len(given) :]
        return len(given)

    def close(self) -> None:
        self._rest.close()
        super().close()


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


class WatchfulAdapter(HTTPAdapter):
    """The requests adapter that uses such connections, and can break all transfers off.

    :param stall_seconds: how long not a single byte of a body may move.
    :param head_seconds: how long an answer's status and headers may take.
    :param connections: how many are kept open for the next requests.
    """

    def __init__(self, *, stall_seconds: float, head_seconds: float, connections: int) -> None:
        """Make the connection classes with this adapter's figures."""
        self._transfers: set[Transfer] = set()
        self._broken_off = False
        namespace = {"stall_seconds": stall_seconds, "head_seconds": head_seconds}
        plain = type("PlainConnection", (_Watchful, HTTPConnection), namespace)
        secure = type("SecureConnection", (_Watchful, HTTPSConnection), namespace)
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

    def break_off(self) -> None:
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
