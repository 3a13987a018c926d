"""The asyncio hook."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from airflow_provider_media._api import flows
from airflow_provider_media.exceptions import MediaError, MediaNotFoundError
from airflow_provider_media.hooks._base import LibraryHook, UploadOptions, as_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._transports.aio import AsyncTransport
    from airflow_provider_media.models import Media, MediaPage, UploadResult

T = TypeVar("T")


class MediaAsyncHook(LibraryHook):
    """Access the media library of one Airflow connection without blocking the event loop.

    The methods are those of :class:`MediaHook`, as coroutines: same arguments, retries and errors. Blocking work
    (requests, files, the parsing of lists, callbacks such as ``before_delete``) runs in at most eight threads of the
    hook. Cancelling a coroutine aborts its transfer. The connection is read at first use, and again once after a
    rejected API key, which may have been rotated. A hook belongs to one event loop; close it (``aclose``, or
    ``async with``).

    :param media_conn_id: the Airflow connection, of type ``media``.
    """

    async def __aenter__(self) -> Self:
        """Return the hook itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Abort running requests, close the connections and end the threads; the hook can be used again."""
        if "_transport" in self.__dict__:
            await self._transport.close()

    async def get_settings(self) -> Settings:
        """Return the validated connection, read at first use. See :attr:`MediaHook.settings`."""
        return await self._transport.settings()

    async def upload(self, file: Any, **options: Unpack[UploadOptions]) -> UploadResult:
        """Upload one file. See :meth:`MediaHook.upload`."""
        return await self.run_flow(self._upload(await self.get_settings(), file, **options))

    async def list_page(
        self, *, page: int = 0, limit: int = 10, sort_by: str | None = None, sort_order: str | None = None
    ) -> MediaPage:
        """Return one page of the library's list. See :meth:`MediaHook.list_page`."""
        return await self.run_flow(flows.list_page(page=page, limit=limit, sort_by=sort_by, sort_order=sort_order))

    def iter_media(
        self, *, page_size: int = 1000, sort_by: str | None = None, sort_order: str | None = None
    ) -> AsyncIterator[Media]:
        """Iterate over the whole library. See :meth:`MediaHook.iter_media`."""
        return self._iterate(flows.Paginator(page_size=page_size, sort_by=sort_by, sort_order=sort_order))

    async def _iterate(self, paginator: flows.Paginator) -> AsyncIterator[Media]:
        while paginator.next_request:
            for media in await self.run_flow(flows.next_page(paginator)):
                yield media

    async def get_media(self, media_id: int | str) -> Media:
        """Return one file's metadata. See :meth:`MediaHook.get_media`."""
        return await self.run_flow(flows.get_media(media_id))

    async def exists(self, media_id: int | str) -> bool:
        """Return whether the library has a file of this id. See :meth:`MediaHook.exists`."""
        try:
            await self.get_media(media_id)
        except MediaNotFoundError:
            return False
        return True

    async def download(self, media: Media | int | str, target: Any, *, must_not_replace: bool = False) -> None:
        """Write a file's content to a path or an object store. See :meth:`MediaHook.download`."""
        from airflow_provider_media._airflow.files import download_file

        found = await self.get_media(media) if isinstance(media, (int, str)) else media
        verify = (await self.get_settings()).verify
        write = partial(download_file, found, as_path(target), verify=verify, must_not_replace=must_not_replace)
        await self._transport.in_thread(write)

    async def delete(self, media_id: int | str) -> None:
        """Delete one file permanently. See :meth:`MediaHook.delete`."""
        await self.run_flow(self._delete(await self.get_settings(), media_id))

    async def check_may_delete(self) -> None:
        """Raise if the connection does not allow deletions. See :meth:`MediaHook.check_may_delete`."""
        self._require_delete_permission(await self.get_settings())

    async def find_media(self, name: str) -> list[Media]:
        """Return the files with exactly this name, oldest first. See :meth:`MediaHook.find_media`."""
        return await self.run_flow(flows.find_media(name))

    async def test_connection(self) -> tuple[bool, str]:
        """Return whether the connection works, and a message. See :meth:`MediaHook.test_connection`."""
        try:
            return True, await self.run_flow(self._test(await self.get_settings()))
        except MediaError as error:
            return False, str(error)

    async def run_flow(self, flow: flows.Flow[T]) -> T:
        """Run a flow (see ``_api/flows.py``); internal."""
        return await self._transport.run(flow)

    @cached_property
    def _transport(self) -> AsyncTransport:
        from airflow_provider_media._transports.aio import AsyncTransport

        return AsyncTransport(self._read_settings)

    async def _read_settings(self) -> Settings:
        from airflow.providers.common.compat.connection import get_async_connection

        from airflow_provider_media._airflow.connection import read_connection
        from airflow_provider_media._api.settings import Secret

        connection = Secret(await get_async_connection(self.media_conn_id))
        # In a thread, because the secrets masker calls Airflow's supervisor and waits for it.
        return await self._transport.in_thread(read_connection, connection, self.media_conn_id)
