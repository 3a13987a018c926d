"""The connection to the media library, for operators, sensors and ``@task`` functions."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_media._airflow.arguments import NOT_GIVEN, NotGiven
from airflow_provider_media.exceptions import MediaError, MediaUnavailableError
from airflow_provider_media.hooks._async import MediaAsyncHook
from airflow_provider_media.hooks._base import LibraryHook, describe_success, fetch_first_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._api.flows import Flow
    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._transports.sync import SyncTransport
    from airflow_provider_media._upload.checkpoint import UploadCheckpoint
    from airflow_provider_media.models import Media, MediaPage, UploadResult

__all__ = ["MediaAsyncHook", "MediaHook"]

T = TypeVar("T")


class MediaHook(LibraryHook):
    """Talk to the media library of one Airflow connection.

    Requests share one session (kept-alive connections) and one retry policy; see the connection's extras
    ``max_attempts``, ``retry_budget``, ``timeout``. All methods raise the errors of
    :mod:`airflow_provider_media.exceptions`, above all ``MediaAuthError`` (key or address refused),
    ``MediaRateLimitError`` and ``MediaUnavailableError`` (after the retries), ``MediaResponseError``.

    :param media_conn_id: the Airflow connection, of type ``media``.
    """

    # These two stand here, because Airflow 2 looks for them in this very class and not in those that it inherits from.

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form fields of Airflow 2; Airflow 3 takes them from the provider info."""
        from airflow_provider_media.provider_info import connection_form_widgets

        return connection_form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which fields Airflow 2 hides and how it labels the others."""
        from airflow_provider_media.provider_info import UI_FIELD_BEHAVIOUR

        # Airflow 2 writes this one key with an underscore where the provider info has a hyphen.
        behaviour = dict(UI_FIELD_BEHAVIOUR)
        return {"hidden_fields": behaviour.pop("hidden-fields"), **behaviour}

    @cached_property
    def settings(self) -> Settings:
        """The connection, read once and checked.

        :raises MediaConfigurationError: with one sentence that names the wrong field.
        """
        from airflow_provider_media._airflow.connection import read_connection
        from airflow_provider_media._api.secret import Secret

        return read_connection(Secret(self.get_connection(self.media_conn_id)), self.media_conn_id)

    @cached_property
    def _transport(self) -> SyncTransport:
        from airflow_provider_media._transports.sync import SyncTransport

        return SyncTransport(self.settings)

    def get_conn(self) -> SyncTransport:
        """Return the session with the server, made when first asked for."""
        return self._transport

    def upload(
        self,
        file: Any,
        *,
        name: str | NotGiven | None = NOT_GIVEN,
        description: str | None = None,
        folder_id: int | str | NotGiven | None = NOT_GIVEN,
        mime_type: str | None = None,
        file_name: str | None = None,
        channels: Iterable[str] | str = (),
        check_integrity: bool = False,
        if_exists: str = "upload",
        before_delete: Callable[[Iterable[Media]], None] | None = None,
        on_stored: Callable[[Media], None] | None = None,
        state: TaskState[UploadCheckpoint] | None = None,
    ) -> UploadResult:
        """Store one file; memory does not grow with its size.

        :param file: a path, an ``ObjectStoragePath`` (or the text of its URI), or a binary file object, which is sent
            from where it stands.
        :param name: the human-readable name; by default the file's base name.
        :param description: free text.
        :param folder_id: the number of the library folder to put it in; then only files of that folder count as there.
            By default files of any folder do, for ``replace`` too: give it wherever several folders share names. None
            is refused for ``replace`` and ``reuse``, and so is a name that is None: leave the argument out instead.
        :param mime_type: by default found from the file's bytes.
        :param file_name: the file name told to the platform; by default the file's base name.
        :param channels: the channels it is meant for, ``whatsapp`` and ``rcs``: what they do not accept is an error
            before anything is sent, what they recommend otherwise a warning in the log.
        :param check_integrity: whether a truncated or corrupt file is an error; by default it is a warning in the log,
            unless ``channels`` are given.
        :param if_exists: what to do when the name is taken: ``upload`` sends anyway; ``reuse`` returns the oldest file
            with this name, size and type and sends only when there is none;
            ``replace`` sends, makes sure, then deletes the files of that name seen before; ``fail`` raises.
        :param before_delete: for ``replace``: called with the files to be deleted, before sending and again before
            deleting; raises to refuse.
        :param on_stored: called as soon as the library has the file: before it is verified and before others are
            deleted; once more when verifying told more about it.
        :param state: where the upload's checkpoint is kept for the retries of a task; the operator gives it.
        :raises MediaFileError: the file is missing, empty, unreadable, of an unsupported type, or changed meanwhile.
        :raises MediaConflictError: the name is taken (``fail``), two files could be the one that was sent, or what
            ``replace`` would delete may be another folder's.
        :raises MediaRequestError: the platform refuses it for good.
        """
        return self.run_flow(
            self._upload(
                self.settings,
                file,
                name=name,
                description=description,
                folder_id=folder_id,
                mime_type=mime_type,
                file_name=file_name,
                channels=channels,
                check_integrity=check_integrity,
                if_exists=if_exists,
                before_delete=before_delete,
                on_stored=on_stored,
                state=state,
            )
        )

    def list_page(
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

        return self.run_flow(list_page(page=page, limit=limit, sort_by=sort_by, sort_order=sort_order))

    def iter_media(
        self, *, page_size: int = 1000, sort_by: str | None = None, sort_order: str | None = None
    ) -> Iterator[Media]:
        """Walk the whole library, page by page as the iterator is used; no file is given twice.

        :param page_size: files a request, 1 to 1000.
        :param sort_by: see :meth:`list_page`.
        :param sort_order: see :meth:`list_page`.
        :raises MediaResponseError: also when the server repeats its pages without end.
        """
        from airflow_provider_media._api.flows import Paginator

        walk = Paginator(page_size=page_size, sort_by=sort_by, sort_order=sort_order)
        return self._iterate(walk)

    def _iterate(self, walk: Any) -> Iterator[Media]:
        from airflow_provider_media._api.flows import next_page

        while walk.next_request:
            yield from self.run_flow(next_page(walk))

    def get_media(self, media_id: int | str) -> Media:
        """Return one file's metadata.

        :param media_id: the library's id.
        :raises MediaNotFoundError: the library has no such file.
        """
        from airflow_provider_media._api.flows import get_media

        return self.run_flow(get_media(media_id))

    def exists(self, media_id: int | str) -> bool:
        """Tell whether the library has a file of this id; every doubt but a plain "no" (404) raises.

        :param media_id: the library's id.
        """
        from airflow_provider_media.exceptions import MediaNotFoundError

        try:
            self.get_media(media_id)
        except MediaNotFoundError:
            return False
        return True

    def delete(self, media_id: int | str) -> None:
        """Delete one file for good. Messages not yet sent that name its id will fail: make sure that none does.

        :param media_id: the library's id.
        :raises MediaNotFoundError: the library has no such file.
        :raises MediaConfigurationError: the connection says ``allow_delete: false``.
        """
        self.run_flow(self._delete(self.settings, media_id))

    def check_may_delete(self) -> None:
        """Return when the connection allows to delete.

        :raises MediaConfigurationError: it says ``allow_delete: false``.
        """
        self._refuse_to_delete(self.settings)

    def find_media(self, name: str) -> list[Media]:
        """Return the files of exactly this name, oldest first; the API has no search, so the whole list is read.

        :param name: the human-readable name.
        """
        from airflow_provider_media._api.flows import find_media

        return self.run_flow(find_media(name))

    def run_flow(self, flow: Flow[T], *, seconds: float | None = None) -> T:
        """Carry out one of this package's own sequences of requests (see ``_api/flows.py``).

        :param seconds: how long it may take in all; by default just each request has its time-outs.
        :raises MediaUnavailableError: also when it was broken off, because it took longer.
        """
        transport = self._transport
        if seconds is None:
            return transport.run(flow)
        timer = _CancelTimer(seconds, transport)
        try:
            with timer:
                return transport.run(flow)
        except MediaError as error:
            if not timer.has_fired:
                raise
            raise MediaUnavailableError(
                f"The Media API did not give all answers within the {round(seconds, 1):g} s that were left for them."
            ) from error
        finally:
            if timer.has_fired:  # a transport that broke off starts nothing more
                self.__dict__.pop("_transport", transport).close()

    def test_connection(self) -> tuple[bool, str]:
        """Ask for one file; say in words what works or what is wrong (the "Test" button of the connection form)."""
        try:
            return True, describe_success(self.settings, self.run_flow(fetch_first_item()))
        except MediaError as error:
            return False, str(error)

    def close(self) -> None:
        """Close the connections, where there are any."""
        if "_transport" in self.__dict__:
            self._transport.close()

    def cancel(self) -> None:
        """Break off what is under way, promptly; for ``on_kill`` of operators."""
        if "_transport" in self.__dict__:
            self._transport.cancel()


class _CancelTimer:
    """Breaks off a transport when the time is over, as on_kill would.

    :param seconds: how long that is from the start of the ``with`` block.
    :param transport: what to break off.
    """

    def __init__(self, seconds: float, transport: SyncTransport) -> None:
        self.has_fired = False
        self._transport = transport
        self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._fire)
        self._timer.daemon = True

    def _fire(self) -> None:
        self.has_fired = True
        self._transport.cancel()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # it may be striking just now
