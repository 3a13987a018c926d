"""Read a file from an HTTP server: streamed, with few redirects, and never from a link-local address.

The API key is not involved: these requests have a session of their own, and send credentials to one host only.
"""

from __future__ import annotations

import io
import ipaddress
import socket
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_media import __version__
from airflow_provider_media._api.values import ZONE_HINT, has_zone, redact_url
from airflow_provider_media._transports.attempts import environment_proxy, exception_chain, root_cause, trusted_bundle
from airflow_provider_media._upload.source import file_error

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REDIRECTS = 5
_TIMEOUT_SECONDS = (10, 60)
"""To connect, and without data."""

_METADATA_ADDRESSES = {"fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"}
"""Metadata services of clouds that are not link-local."""

_FIRST_BYTE = "bytes=0-0"  # not satisfiable for an empty file

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class UrlPath:
    """The path of a file on an HTTP server: a path object of an object store, and its own file system.

    Nothing is sent until the file is read.

    :param address: the URL as the user wrote it.
    :param auth: the user and password; like ``headers``, sent to the URL's origin only, and not to that of a redirect.
    :param verify: the CA bundle, or whether to verify certificates; by default that of the environment.
    """

    path = ""
    """The URL without credentials and fragment."""

    def __init__(
        self,
        address: str,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
    ) -> None:
        try:
            parts = urlsplit(address)
            host, port, password = parts.hostname, parts.port, parts.password
        except ValueError as error:
            raise file_error(address, str(error)) from None
        if not host:
            raise file_error(address, "the URL has no host")
        if password is not None:
            raise file_error(address, "the URL has a password. Use an Airflow connection: https://conn_id@host/path")
        netloc = f"[{host}]" if ":" in host else host
        self.path = parts._replace(netloc=netloc + (f":{port}" if port else ""), fragment="").geturl()
        self.name = unquote(parts.path.rpartition("/")[2])
        self._address = address
        self._label = redact_url(self.path)
        self._origin = _origin(self.path)
        self._auth = auth
        self._headers = headers or {}
        self._verify = trusted_bundle(verify)
        self._session = requests.Session()
        self._session.trust_env = False  # a .netrc file has passwords for hosts that no one named
        self._session.headers["User-Agent"] = f"airflow-provider-media/{__version__}"
        self._session.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _CheckingAdapter(max_retries=0))

    @property
    def fs(self) -> UrlPath:
        """The object itself: it has the methods of a file system that sources use."""
        return self

    def __str__(self) -> str:
        return self._address

    def invalidate_cache(self, _address: str) -> None:
        """Do nothing: nothing is cached."""

    def info(self, address: str) -> dict[str, Any]:
        """Return the size and the version, by a GET of the first byte, because a signed URL allows no HEAD."""
        with self.get(address, _FIRST_BYTE) as response:
            headers = response.headers
            size = headers.get("Content-Length", "")
            if response.status_code in {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}:
                size = headers.get("Content-Range", "").rpartition("/")[2]
        if headers.get("Content-Encoding", "identity") != "identity":
            raise file_error(self._label, "the server compresses it, so its size is unknown")
        if not size.isdecimal():
            raise file_error(self._label, "the server does not return its size. Download it first")
        version = {"ETag": headers.get("ETag"), "last_modified": headers.get("Last-Modified")}
        return {"type": "file", "size": int(size), **version}

    def cat_file(self, address: str, start: int, end: int) -> bytes:
        """Return some bytes."""
        with self.open(address) as stream:
            stream.seek(start)
            return stream.read(end - start)

    def open(self, address: str, _mode: str = "rb", block_size: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
        """Open the file for sequential and random access."""
        return io.BufferedReader(_UrlStream(self, address), block_size)

    def get(self, address: str, byte_range: str | None = None) -> requests.Response:
        """Send a GET request, follow redirects, and return a successful response with an unread body."""
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(address, byte_range)
            target = response.headers.get("Location")
            if not (target and response.is_redirect):
                if not (
                    response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and byte_range == _FIRST_BYTE
                ):
                    _raise_for_status(response)
                return response
            response.close()
            before, address = address, urljoin(address, target)
            schemes = urlsplit(before).scheme, urlsplit(address).scheme
            if schemes[1] not in {"http", "https"} or schemes == ("https", "http"):
                raise file_error(self._label, f"it redirects to {redact_url(address)}, which is not https")
        raise file_error(self._label, f"it redirects more than {MAX_REDIRECTS} times")

    def _send(self, address: str, byte_range: str | None) -> requests.Response:
        is_own = _origin(address) == self._origin
        host = urlsplit(address).hostname or ""
        if has_zone(host):
            raise file_error(self._label, f"its host has an IPv6 zone id{ZONE_HINT}")
        headers = {**(self._headers if is_own else {}), **({"Range": byte_range} if byte_range else {})}
        proxy = environment_proxy(address)
        try:
            with suppress(socket.gaierror):  # a proxy resolves names that this host cannot
                for *_, found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
                    _check_address(str(found[0]))
            return self._session.get(
                address,
                headers=headers,
                auth=self._auth if is_own else None,
                proxies={"http": proxy, "https": proxy} if proxy else {},
                verify=self._verify,
                timeout=_TIMEOUT_SECONDS,
                stream=True,
                allow_redirects=False,
            )
        except _RefusedAddressError as error:
            reason = str(error)
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            if isinstance(error, (requests.exceptions.InvalidURL, UnicodeError)):
                reason = "the URL is invalid"
            else:
                # Without the chain, which may have the query of the URL, and so a signature.
                raise ConnectionError(root_cause(exception_chain(error))) from None
        raise file_error(self._label, reason)  # without a context, which would count as a transient cause


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


_ERRORS: dict[int, type[Exception]] = {
    **dict.fromkeys((HTTPStatus.NOT_FOUND, HTTPStatus.GONE), FileNotFoundError),
    **dict.fromkeys((HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN), PermissionError),
    **dict.fromkeys((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS), ConnectionError),
}


def _raise_for_status(response: requests.Response) -> None:
    status = response.status_code
    if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        response.close()
        other = ConnectionError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ValueError
        raise _ERRORS.get(status, other)(f"HTTP {status}")


class _UrlStream(io.RawIOBase):
    """Reads sequentially from one response; a seek starts another one."""

    def __init__(self, file: UrlPath, address: str) -> None:
        self._file = file
        self._address = address
        self._position = 0
        self._response: requests.Response | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the size is unknown")
        position = offset + (self._position if whence == io.SEEK_CUR else 0)
        if position != self._position:
            self._close_response()
            self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        try:
            if self._response is None:
                self._response = self._open()
            data = self._response.raw.read1(len(buffer), decode_content=False)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ConnectionError(root_cause(exception_chain(error))) from None
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _open(self) -> requests.Response:
        response = self._file.get(self._address, f"bytes={self._position}-" if self._position else None)
        skipped = self._position if response.status_code == HTTPStatus.OK else 0  # the server ignores ranges
        while skipped and (data := response.raw.read(min(skipped, 64 * 1024), decode_content=False)):
            skipped -= len(data)
        return response

    def _close_response(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def close(self) -> None:
        self._close_response()
        super().close()


def is_refused(address: str) -> bool:
    """Return whether an IP address is link-local or of a cloud's metadata service, also if embedded in IPv6."""
    found: Any = ipaddress.ip_address(address.partition("%")[0])
    if found.version == 6:  # noqa: PLR2004 - of the protocol
        nat64 = ipaddress.ip_address(int(found) & 0xFFFFFFFF) if found in _NAT64 else None
        found = found.ipv4_mapped or found.sixtofour or nat64 or found
    return found.is_link_local or found in set(map(ipaddress.ip_address, _METADATA_ADDRESSES))


class _RefusedAddressError(Exception):
    """A host has a refused address."""


def _check_address(address: str) -> None:
    if is_refused(address):
        raise _RefusedAddressError(f"its host has the address {address}, which may be a cloud's metadata service")


class _CheckingMixin:
    """Checks the address again after connecting, because a name may resolve differently."""

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]  # of the connection class
        try:
            _check_address(str(sock.getpeername()[0]))
        except Exception:
            sock.close()
            raise
        return sock


_POOLS: dict[str, Any] = {
    scheme: type("_CheckingPool", (pool,), {"ConnectionCls": type("_CheckingConnection", (_CheckingMixin, plain), {})})
    for scheme, pool, plain in (
        ("http", HTTPConnectionPool, HTTPConnection),
        ("https", HTTPSConnectionPool, HTTPSConnection),
    )
}


class _CheckingAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS
