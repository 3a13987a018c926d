"""What the Media library page reads of a library: quick or not at all, bounded, and kept for seconds.

A page view is no campaign: it gives up early, so that a slow or broken Media API makes a clear notice, not a queue. All
waiting is on the event loop, or in a few threads of its own; Airflow's API server goes on with its work.
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
"""No more of a library is read: the API cannot search, so searching means reading all of it."""

DEADLINE_SECONDS = 12.0
"""The longest that reading takes, once it is its turn; a reader of the page waits for that turn, too."""

CONNECTION_SECONDS = 5.0
"""How long of these Airflow may take to read the connection."""

KEPT_SECONDS = 20.0
KEPT_LIBRARIES = 8
READS_AT_ONCE = 4
TURN_SECONDS = 3.0
"""How long a read waits for its turn."""

_MAX_SILENCE_SECONDS = 6.0
_MAX_CONNECT_SECONDS = 4.0
_ATTEMPTS = 2
_RETRY_SECONDS = 3.0
_PAGE_SIZE = 1000
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024
"""Several times what so many files take."""


_THREADS = ThreadPoolExecutor(max_workers=READS_AT_ONCE, thread_name_prefix="media-library")


class PageError(Exception):
    """Why the page cannot show what it was asked for.

    :param status: the HTTP status of the answer.
    :param sentence: what is wrong and what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A library as it was when it was read, newest first.

    :param total: how many files it holds, as far as the server says it.
    :param cut_off: why there is more than was read; None when all was.
    :param read_at: monotonic seconds.
    """

    items: tuple[Media, ...]
    total: int | None
    cut_off: str | None
    read_at: float


class _PageHook(MediaAsyncHook):
    """The hook with the patience of a page view."""

    async def _read_settings(self) -> Settings:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECTION_SECONDS):
                return await loop.run_in_executor(_THREADS, _settings_of, self.media_conn_id)
        except TimeoutError:
            sentence = f"Airflow could not read the connection {self.media_conn_id!r} within {CONNECTION_SECONDS:g} s;"
            raise PageError(504, f"{sentence} does its secrets backend answer?") from None


def _settings_of(conn_id: str) -> Settings:
    """Read a connection from wherever Airflow keeps it; blocks.

    :raises PageError: there is none of the type media.
    """
    from airflow.models import Connection
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    from airflow_provider_media._airflow.connection import read_connection
    from airflow_provider_media._api.secret import Secret

    nowhere = PageError(
        404,
        # For Airflow, a secrets backend that fails, or a password that cannot be decrypted, is no connection, either.
        f"Airflow's API server can read no connection {conn_id!r} of the type {CONNECTION_TYPE}: if there is one, its"
        " log says why.",
    )
    try:
        connection = Secret(Connection.get_connection_from_secrets(conn_id))
    except AirflowNotFoundException:
        raise nowhere from None
    except Exception as error:  # whatever a secrets backend may raise
        log.exception("The connection %r could not be read", conn_id)
        raise PageError(503, f"The connection {conn_id!r} could not be read; the API server's log says why.") from error
    if (connection.reveal().conn_type or "").lower() != CONNECTION_TYPE:  # its password is none of the Media API's
        raise nowhere
    settings = read_connection(connection, conn_id)
    return replace(
        settings,
        timeout=min(settings.timeout, _MAX_SILENCE_SECONDS),
        connect_timeout=min(settings.connect_timeout, _MAX_CONNECT_SECONDS),
        max_attempts=min(settings.max_attempts, _ATTEMPTS),
        retry_budget=min(settings.retry_budget, _RETRY_SECONDS),
        largest_reply_bytes=_MAX_RESPONSE_BYTES,
    )


class Libraries:
    """Reads libraries, few at a time and each once for all who look at it; belongs to one event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Snapshot] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Snapshot]] = {}
        self._turns = asyncio.Semaphore(READS_AT_ONCE)

    async def read(self, conn_id: str, *, not_older_than: float = KEPT_SECONDS) -> Snapshot:
        """Return a library as it was so many seconds ago at most.

        :raises PageError: the connection or the Media API does not allow it now.
        """
        kept = self._kept.get(conn_id)
        if kept and monotonic() - kept.read_at <= not_older_than:
            self._kept.move_to_end(conn_id)
            return kept
        reading = self._under_way.get(conn_id)
        if reading is None:
            reading = self._under_way[conn_id] = asyncio.create_task(self._read_anew(conn_id))
            reading.add_done_callback(lambda done: self._forget(conn_id, done))
        return await asyncio.shield(reading)  # who closes the page does not end it for the others

    def _forget(self, conn_id: str, done: asyncio.Task[Snapshot]) -> None:
        del self._under_way[conn_id]
        if not done.cancelled():
            done.exception()  # asyncio would log it when all who asked are gone

    async def entry(self, conn_id: str, media_id: str) -> Media:
        """Return one file with all that the platform tells about it.

        :raises PageError: see :meth:`read`; also when the library has no such file.
        """
        from airflow_provider_media.exceptions import MediaNotFoundError

        async with self._turn(conn_id) as hook:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    return await hook.get_media(media_id)
            except MediaNotFoundError:
                sentence = f"The library of {conn_id!r} has no file {media_id}: it may have been deleted."
                raise PageError(404, sentence) from None

    async def _read_anew(self, conn_id: str) -> Snapshot:
        items: list[Media] = []
        cut_off: str | None = None
        walk = Paginator(page_size=_PAGE_SIZE, sort_by="id", sort_order="desc")
        async with self._turn(conn_id) as hook:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    while walk.next_call and len(items) <= MAX_FILES:
                        items += await hook.run_flow(next_page(walk))
            except TimeoutError:
                if not items:
                    raise
                cut_off = f"The Media API is slow: only {len(items):,} files could be read in {DEADLINE_SECONDS:g} s."
            except MediaError as error:
                if not items:
                    raise
                cut_off = f"Only {len(items):,} files could be read. {error}"
        if len(items) > MAX_FILES:
            # The highest ids; of ids that are no numbers these may be any.
            are_numbers = all(id_number(media.id) is not None for media in items)
            newest = "the newest " if are_numbers else ""
            cut_off = f"Only {newest}{MAX_FILES:,} files were read, and are searched and counted."
        snapshot = Snapshot(items=tuple(items[:MAX_FILES]), total=walk.total, cut_off=cut_off, read_at=monotonic())
        self._kept[conn_id] = snapshot
        self._kept.move_to_end(conn_id)
        while len(self._kept) > KEPT_LIBRARIES:
            self._kept.popitem(last=False)
        return snapshot

    @asynccontextmanager
    async def _turn(self, conn_id: str) -> AsyncIterator[_PageHook]:
        """Lend a hook when it is this one's turn, and say failures in the page's words."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise PageError(
                503, "Too many libraries are being read at this moment: try again in a few seconds."
            ) from None
        try:
            async with _PageHook(conn_id) as hook:
                yield hook
        except MediaConfigurationError as error:
            raise PageError(409, str(error)) from None
        except MediaError as error:
            raise PageError(502, str(error)) from None
        except TimeoutError:
            raise PageError(
                504, f"The Media API did not answer within {DEADLINE_SECONDS:g} s: try again later."
            ) from None
        finally:
            self._turns.release()
