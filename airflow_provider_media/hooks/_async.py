"""The connection to the media library on an event loop."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_media.exceptions import MediaError, MediaNotFoundError, public_error, public_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_media._api.flows import Flow, PageWalk
    from airflow_provider_media._api.problem import Problem
    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._transports.aio import AsyncTransport
    from airflow_provider_media.models import Media, MediaPage

T = TypeVar("T")


class MediaAsyncHook(BaseHook):
    """Look into the media library of one Airflow connection without blocking the event loop.

    It drives the same flows under the same retry policy as :class:`MediaHook`, and raises the same errors. The
    connection is read when first used, and read again once when the server rejects its key, which may have been
    rotated meanwhile. One hook belongs to one event loop; close it (``aclose``, or ``async with``).

    :param media_conn_id: the Airflow connection, of type ``media``.
    """

    def __init__(self, media_conn_id: str = "media_default") -> None:
        """Keep the id; the connection is read when first used."""
        super().__init__()
        self.media_conn_id = media_conn_id
        self._key: str | None = None

    async def __aenter__(self) -> Self:
        """Return the hook itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if "_transport" in self.__dict__:
            await self._transport.close()

    async def get_media(self, media_id: int | str) -> Media:
        """Return one file's metadata.

        :param media_id: the library's id.
        :raises MediaNotFoundError: the library has no such file.
        """
        from airflow_provider_media._api.flows import get_media

        return await self.run_flow(get_media(media_id))

    async def exists(self, media_id: int | str) -> bool:
        """Tell whether the library has a file of this id; every doubt but a plain "no" (404) raises.

        :param media_id: the library's id.
        """
        try:
            await self.get_media(media_id)
        except MediaNotFoundError:
            return False
        return True

    async def list_page(
        self, *, page: int = 0, limit: int = 10, sort_by: str | None = None, sort_order: str | None = None
    ) -> MediaPage:
        """Return one page of the library's list.

        :param page: from 0.
        :param limit: files a page, 1 to 1000.
        :param sort_by: ``id``, ``name``, ``mimeType``, ``size`` or ``createdAt``; by default the server decides.
        :param sort_order: ``asc`` or ``desc``.
        :raises MediaConfigurationError: an argument is out of its range; nothing is sent.
        """
        from airflow_provider_media._api.flows import list_page

        return await self.run_flow(list_page(page=page, limit=limit, sort_by=sort_by, sort_order=sort_order))

    def iter_media(
        self, *, page_size: int = 1000, sort_by: str | None = None, sort_order: str | None = None
    ) -> AsyncIterator[Media]:
        """Walk the whole library, page by page as the iterator is used; no file is given twice.

        :param page_size: files a request, 1 to 1000.
        :param sort_by: see :meth:`list_page`.
        :param sort_order: see :meth:`list_page`.
        :raises MediaResponseError: also when the server repeats its pages without end.
        """
        from airflow_provider_media._api.flows import PageWalk

        with self._public_errors():
            walk = PageWalk(page_size=page_size, sort_by=sort_by, sort_order=sort_order)
        return self._iterate(walk)

    async def _iterate(self, walk: PageWalk) -> AsyncIterator[Media]:
        from airflow_provider_media._api.flows import next_page

        while walk.next_call:
            for media in await self.run_flow(next_page(walk)):
                yield media

    async def find_media(self, name: str) -> list[Media]:
        """Return the files of exactly this name, oldest first; the API has no search, so the whole list is read.

        :param name: the human-readable name.
        """
        from airflow_provider_media._api.flows import find_media

        return await self.run_flow(find_media(name))

    async def run_flow(self, flow: Flow[T]) -> T:
        """Carry out one of this package's own sequences of requests (see ``_api/flows.py``)."""
        with self._public_errors():
            return await self._transport.run(flow)

    def public_error(self, problem: Problem) -> MediaError:
        """Make of a problem, which a flow gave instead of raising it, the error that it is."""
        return public_error(problem, secret=self._key)

    @cached_property
    def _transport(self) -> AsyncTransport:
        from airflow_provider_media._transports.aio import AsyncTransport

        return AsyncTransport(self._read_settings)

    async def _read_settings(self) -> Settings:
        from airflow.providers.common.compat.connection import get_async_connection

        from airflow_provider_media.hooks._connection import read_connection

        connection = await get_async_connection(self.media_conn_id)
        # In a thread: registering secrets with the masker asks Airflow's supervisor, and waits for it.
        settings = await self._transport.in_thread(read_connection, connection, self.media_conn_id)
        self._key = settings.api_key
        return settings

    def _public_errors(self) -> Any:
        return public_errors(secret=lambda: self._key)
