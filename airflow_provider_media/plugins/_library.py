"""Library reads for the Media Library page: short timeouts, bounded sizes, results cached for seconds.

A page view gives up sooner than a task, so that a slow or broken Media API shows an error instead of queueing requests.
Reads wait on the event loop or in a small thread pool, so that they do not block Airflow's API server. A library is
read in the background, and each part is served as soon as it is read.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from airflow_provider_media._api.flows import Paginator, next_page
from airflow_provider_media._channels.rules import problems_of
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaNotFoundError
from airflow_provider_media.hooks._async import MediaAsyncHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

CONNECTION_TYPE = "media"
MAX_FILES = 20_000
"""Maximum files read from a library; the API has no search, so the page reads the whole list."""

DEADLINE_SECONDS = 12.0
"""Maximum time for each response of the Media API, retries included, not counting the wait for a slot."""

CONNECTION_SECONDS = 5.0
"""Maximum time for Airflow to read the connection; part of ``DEADLINE_SECONDS``."""

CACHE_SECONDS = 20.0
MAX_CACHED_LIBRARIES = 8
MAX_CONCURRENT_READS = 4
SLOT_SECONDS = 3.0
"""Maximum wait for a slot, when ``MAX_CONCURRENT_READS`` requests are in progress."""

_MAX_CONNECT_SECONDS = 4.0
_MAX_ATTEMPTS = 2
_MAX_RETRY_SECONDS = 3.0
_PAGE_SIZE = 1000
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024
"""Several times the size of a page of ``_PAGE_SIZE`` files."""

_THREADS = ThreadPoolExecutor(max_workers=MAX_CONCURRENT_READS, thread_name_prefix="media-library")


@dataclass(slots=True)
class Reading:
    """A library that is being read or was read, newest file first."""

    parts: list[bytes] = field(default_factory=list)
    count: int = 0
    total: int | None = None
    incomplete: str | None = None
    error: HTTPException | None = None
    done_at: float | None = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    task: asyncio.Task[None] | None = None

    async def notify(self) -> None:
        """Wake up those who wait for the next part."""
        async with self.changed:
            self.changed.notify_all()

    async def part(self, number: int) -> bytes:
        """Wait for one part, and return it with the counts as a JSON object; an empty part follows the last."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.parts) > number or self.done_at is not None)
        if self.error:
            raise self.error
        is_last = self.done_at is not None and number + 1 >= len(self.parts)
        counts = {"total": self.total, "more": not is_last, "incomplete": self.incomplete if is_last else None}
        items = self.parts[number] if number < len(self.parts) else b"[]"
        return b'{"items":%s,%s' % (items, json.dumps(counts).encode()[1:])


def as_json(media: Media, *, all_fields: bool = False) -> dict[str, Any]:
    """Return a file for the browser, with ``problems``: what its metadata shows about the channels.

    Ids are strings, because browsers represent integers exactly only up to 2**53.
    """
    values = {name: value for name, value in media.to_dict().items() if all_fields or value is not None}
    values |= {name: str(values[name]) for name in ("id", "folder_id") if values.get(name) is not None}
    problems = problems_of(media.mime_type, media.size, media.width, media.height)
    return values | ({"problems": problems} if problems else {})


def _as_part(items: Iterable[Media]) -> bytes:
    # In ASCII, because a name truncated within an emoji cannot be encoded in UTF-8.
    return json.dumps([as_json(media) for media in items], separators=(",", ":")).encode("ascii")


class _PageHook(MediaAsyncHook):
    """A hook with the short timeouts of a page view."""

    async def _read_settings(self) -> Settings:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECTION_SECONDS):
                return await loop.run_in_executor(_THREADS, _settings_of, self.media_conn_id)
        except TimeoutError:
            message = f"Airflow could not read the connection {self.media_conn_id!r} within {CONNECTION_SECONDS:g} s."
            raise HTTPException(504, f"{message} Check that the secrets backend is available.") from None


def _settings_of(conn_id: str) -> Settings:
    """Read a connection from Airflow's database, environment or secrets backend; blocking."""
    from airflow.models import Connection
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    from airflow_provider_media._airflow.connection import read_connection
    from airflow_provider_media._api.settings import Secret

    not_found = HTTPException(
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
        raise HTTPException(503, f"Could not read the connection {conn_id!r}. Check the API server's log.") from error
    if (connection.reveal().conn_type or "").lower() != CONNECTION_TYPE:  # never send another service's password
        raise not_found
    settings = read_connection(connection, conn_id)
    return replace(
        settings,
        timeout=DEADLINE_SECONDS,  # so that a slow response is not requested a second time
        connect_timeout=min(settings.connect_timeout, _MAX_CONNECT_SECONDS),
        max_attempts=min(settings.max_attempts, _MAX_ATTEMPTS),
        retry_budget=min(settings.retry_budget, _MAX_RETRY_SECONDS),
        max_response_bytes=_MAX_RESPONSE_BYTES,
    )


class Libraries:
    """Reads libraries: limits concurrent requests and shares each read between its callers; bound to one event loop."""

    def __init__(self) -> None:
        self._readings: OrderedDict[str, Reading] = OrderedDict()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_READS)

    async def part(self, conn_id: str, number: int = 0, *, max_age: float = CACHE_SECONDS) -> bytes:
        """Return part of a library as JSON, as soon as it is read; starts a read unless one is recent."""
        reading = self._readings.get(conn_id)
        is_old = reading is not None and reading.done_at is not None and monotonic() - reading.done_at > max_age
        if reading is None or reading.error or is_old:
            reading = self._readings[conn_id] = Reading()
            # A task of its own, so that a closed page does not cancel the read for other users.
            reading.task = asyncio.create_task(self._read(conn_id, reading))
        self._readings.move_to_end(conn_id)
        while len(self._readings) > MAX_CACHED_LIBRARIES:
            self._readings.popitem(last=False)
        return await reading.part(number)

    async def entry(self, conn_id: str, media_id: str) -> Media:
        """Return one file with all fields."""
        async with _page_errors(), self._slot(SLOT_SECONDS), _PageHook(conn_id) as hook:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    return await hook.get_media(media_id)
            except MediaNotFoundError:
                message = f"The library of {conn_id!r} has no file {media_id}. It may have been deleted."
                raise HTTPException(404, message) from None

    async def _read(self, conn_id: str, reading: Reading) -> None:
        paginator = Paginator(page_size=_PAGE_SIZE, sort_by="id", sort_order="desc")
        try:
            async with _page_errors(), _PageHook(conn_id) as hook:
                while paginator.next_request and reading.count < MAX_FILES:
                    async with self._slot(None if reading.parts else SLOT_SECONDS), asyncio.timeout(DEADLINE_SECONDS):
                        items = (await hook.run_flow(next_page(paginator)))[: MAX_FILES - reading.count]
                    reading.total = paginator.total
                    if items:
                        reading.parts.append(await asyncio.to_thread(_as_part, items))
                        reading.count += len(items)
                        await reading.notify()
            if paginator.next_request:
                reading.incomplete = f"Searching and counting only {reading.count:,} files."
        except HTTPException as error:
            if reading.parts:
                reading.incomplete = f"Read only {reading.count:,} files. {error.detail}"
            else:
                reading.error = error
        except Exception:
            log.exception("Could not read the library of %r", conn_id)
            reading.error = HTTPException(500, "The page failed. Check the API server's log.")
        finally:
            reading.done_at = monotonic()
            await reading.notify()

    @asynccontextmanager
    async def _slot(self, max_wait: float | None) -> AsyncIterator[None]:
        """Hold one of the slots for requests to Media APIs."""
        try:
            async with asyncio.timeout(max_wait):
                await self._slots.acquire()
        except TimeoutError:
            raise HTTPException(503, "Too many libraries are being read. Try again in a few seconds.") from None
        try:
            yield
        finally:
            self._slots.release()


@asynccontextmanager
async def _page_errors() -> AsyncIterator[None]:
    """Convert errors to :class:`HTTPException`."""
    try:
        yield
    except MediaConfigurationError as error:
        raise HTTPException(409, str(error)) from None
    except MediaError as error:
        raise HTTPException(502, str(error)) from None
    except TimeoutError:
        raise HTTPException(
            504, f"The Media API did not respond within {DEADLINE_SECONDS:g} s. Try again later."
        ) from None
