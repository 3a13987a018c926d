"""Library reads for the Media library page: short timeouts, bounded sizes, results cached for seconds.

A page view gives up sooner than a task, so that a slow or broken Media API shows an error instead of queueing requests.
Reads wait on the event loop or in a small thread pool, so that they do not block Airflow's API server.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from airflow_provider_media._api.flows import Paginator, id_number, next_page
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError
from airflow_provider_media.hooks._async import MediaAsyncHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

CONNECTION_TYPE = "media"
MAX_FILES = 5000
"""Maximum files read from a library; the API has no search, so the page reads the whole list."""

DEADLINE_SECONDS = 12.0
"""Maximum time to read a library, not counting the wait for a slot."""

CONNECTION_SECONDS = 5.0
"""Maximum time for Airflow to read the connection; part of ``DEADLINE_SECONDS``."""

CACHE_SECONDS = 20.0
MAX_CACHED_LIBRARIES = 8
MAX_CONCURRENT_READS = 4
SLOT_SECONDS = 3.0
"""Maximum wait for a slot, when ``MAX_CONCURRENT_READS`` reads are in progress."""

_MAX_READ_TIMEOUT_SECONDS = 6.0
_MAX_CONNECT_SECONDS = 4.0
_MAX_ATTEMPTS = 2
_MAX_RETRY_SECONDS = 3.0
_PAGE_SIZE = 1000
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024
"""Several times the size of a page of ``_PAGE_SIZE`` files."""

_THREADS = ThreadPoolExecutor(max_workers=MAX_CONCURRENT_READS, thread_name_prefix="media-library")


class PageError(Exception):
    """A library or a file cannot be shown.

    :param status: the HTTP status of the response.
    :param message: the cause and the action to take.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A library at the time it was read, newest file first.

    :param total: number of files in the library, if the server returns it.
    :param incomplete: the reason why not all files were read; None if all were.
    :param read_at: monotonic seconds.
    """

    items: tuple[Media, ...]
    total: int | None
    incomplete: str | None
    read_at: float


class _PageHook(MediaAsyncHook):
    """A hook with the short timeouts of a page view."""

    async def _read_settings(self) -> Settings:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECTION_SECONDS):
                return await loop.run_in_executor(_THREADS, _settings_of, self.media_conn_id)
        except TimeoutError:
            message = f"Airflow could not read the connection {self.media_conn_id!r} within {CONNECTION_SECONDS:g} s."
            raise PageError(504, f"{message} Check that the secrets backend is available.") from None


def _settings_of(conn_id: str) -> Settings:
    """Read a connection from Airflow's database, environment or secrets backend; blocking.

    :raises PageError: the connection does not exist, is of another type, or cannot be read.
    """
    from airflow.models import Connection
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    from airflow_provider_media._airflow.connection import read_connection
    from airflow_provider_media._api.secret import Secret

    not_found = PageError(
        404,
        # Airflow also reports "not found" if a secrets backend fails or a password cannot be decrypted.
        f"Airflow's API server found no connection {conn_id!r} of type {CONNECTION_TYPE}. If it exists, check the API"
        " server's log.",
    )
    try:
        connection = Secret(Connection.get_connection_from_secrets(conn_id))
    except AirflowNotFoundException:
        raise not_found from None
    except Exception as error:  # secrets backends may raise anything
        log.exception("Could not read the connection %r", conn_id)
        raise PageError(503, f"Could not read the connection {conn_id!r}. Check the API server's log.") from error
    if (connection.reveal().conn_type or "").lower() != CONNECTION_TYPE:  # never send another service's password
        raise not_found
    settings = read_connection(connection, conn_id)
    return replace(
        settings,
        timeout=min(settings.timeout, _MAX_READ_TIMEOUT_SECONDS),
        connect_timeout=min(settings.connect_timeout, _MAX_CONNECT_SECONDS),
        max_attempts=min(settings.max_attempts, _MAX_ATTEMPTS),
        retry_budget=min(settings.retry_budget, _MAX_RETRY_SECONDS),
        max_response_bytes=_MAX_RESPONSE_BYTES,
    )


class Libraries:
    """Reads libraries: limits concurrent reads and shares each read between its callers; bound to one event loop."""

    def __init__(self) -> None:
        self._cache: OrderedDict[str, Snapshot] = OrderedDict()
        self._pending: dict[str, asyncio.Task[Snapshot]] = {}
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_READS)

    async def read(self, conn_id: str, *, max_age: float = CACHE_SECONDS) -> Snapshot:
        """Return a library, from the cache if it is recent.

        :param max_age: maximum age of a cached snapshot in seconds.
        :raises PageError: the connection cannot be read, or the request to the Media API failed.
        """
        cached = self._cache.get(conn_id)
        if cached and monotonic() - cached.read_at <= max_age:
            self._cache.move_to_end(conn_id)
            return cached
        reading = self._pending.get(conn_id)
        if reading is None:
            reading = self._pending[conn_id] = asyncio.create_task(self._fetch(conn_id))
            reading.add_done_callback(lambda done: self._remove_pending(conn_id, done))
        return await asyncio.shield(reading)  # so that a closed page does not cancel the read for other users

    def _remove_pending(self, conn_id: str, done: asyncio.Task[Snapshot]) -> None:
        del self._pending[conn_id]
        if not done.cancelled():
            done.exception()  # so that asyncio does not log it as never retrieved

    async def entry(self, conn_id: str, media_id: str) -> Media:
        """Return one file with all fields.

        :raises PageError: as of :meth:`read`, or the library does not contain the file.
        """
        from airflow_provider_media.exceptions import MediaNotFoundError

        async with self._hook(conn_id) as hook:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    return await hook.get_media(media_id)
            except MediaNotFoundError:
                message = f"The library of {conn_id!r} has no file {media_id}. It may have been deleted."
                raise PageError(404, message) from None

    async def _fetch(self, conn_id: str) -> Snapshot:
        items: list[Media] = []
        incomplete: str | None = None
        paginator = Paginator(page_size=_PAGE_SIZE, sort_by="id", sort_order="desc")
        async with self._hook(conn_id) as hook:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    while paginator.next_request and len(items) <= MAX_FILES:
                        items += await hook.run_flow(next_page(paginator))
            except TimeoutError:
                if not items:
                    raise
                incomplete = f"The Media API is slow: read only {len(items):,} files in {DEADLINE_SECONDS:g} s."
            except MediaError as error:
                if not items:
                    raise
                incomplete = f"Read only {len(items):,} files. {error}"
        if len(items) > MAX_FILES:
            # The files with the highest ids are the newest, if the ids are numbers.
            are_numbers = all(id_number(media.id) is not None for media in items)
            newest = "the newest " if are_numbers else ""
            incomplete = f"Searching and counting only {newest}{MAX_FILES:,} files."
        snapshot = Snapshot(
            items=tuple(items[:MAX_FILES]), total=paginator.total, incomplete=incomplete, read_at=monotonic()
        )
        self._cache[conn_id] = snapshot
        self._cache.move_to_end(conn_id)
        while len(self._cache) > MAX_CACHED_LIBRARIES:
            self._cache.popitem(last=False)
        return snapshot

    @asynccontextmanager
    async def _hook(self, conn_id: str) -> AsyncIterator[_PageHook]:
        """Yield a hook while holding a slot, and convert errors to :class:`PageError`."""
        try:
            async with asyncio.timeout(SLOT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise PageError(503, "Too many libraries are being read. Try again in a few seconds.") from None
        try:
            async with _PageHook(conn_id) as hook:
                yield hook
        except MediaConfigurationError as error:
            raise PageError(409, str(error)) from None
        except MediaError as error:
            raise PageError(502, str(error)) from None
        except TimeoutError:
            raise PageError(
                504, f"The Media API did not respond within {DEADLINE_SECONDS:g} s. Try again later."
            ) from None
        finally:
            self._slots.release()
