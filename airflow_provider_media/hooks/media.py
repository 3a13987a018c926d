"""The hook for operators, sensors and ``@task`` functions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_media._airflow.arguments import NOT_GIVEN, NotGiven
from airflow_provider_media._api import flows
from airflow_provider_media.exceptions import MediaError, MediaNotFoundError, MediaUnavailableError
from airflow_provider_media.hooks._async import MediaAsyncHook
from airflow_provider_media.hooks._base import LibraryHook, as_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._transports.sync import SyncTransport
    from airflow_provider_media._upload.checkpoint import UploadCheckpoint
    from airflow_provider_media.models import Media, MediaPage, UploadResult

__all__ = ["MediaAsyncHook", "MediaHook"]

T = TypeVar("T")


class MediaHook(LibraryHook):
    """Access the media library of one Airflow connection.

    All requests share one session and one retry policy; see the connection's extras ``max_attempts``, ``retry_budget``
    and ``timeout``. The methods raise the errors of :mod:`airflow_provider_media.exceptions`.

    :param media_conn_id: the Airflow connection, of type ``media``.
    """

    # Airflow 2 finds these two only in this class, not in its base classes.

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form fields of Airflow 2; Airflow 3 reads them from the provider info."""
        from airflow_provider_media.provider_info import connection_form_widgets

        return connection_form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the hidden fields and labels of Airflow 2."""
        from airflow_provider_media.provider_info import UI_FIELD_BEHAVIOUR

        # Airflow 2 spells this key with an underscore, the provider info with a hyphen.
        behaviour = dict(UI_FIELD_BEHAVIOUR)
        return {"hidden_fields": behaviour.pop("hidden-fields"), **behaviour}

    @cached_property
    def settings(self) -> Settings:
        """The validated connection, read once.

        :raises MediaConfigurationError: a field is invalid; the message names it.
        """
        from airflow_provider_media._airflow.connection import read_connection
        from airflow_provider_media._api.settings import Secret

        return read_connection(Secret(self.get_connection(self.media_conn_id)), self.media_conn_id)

    @cached_property
    def _transport(self) -> SyncTransport:
        from airflow_provider_media._transports.sync import SyncTransport

        return SyncTransport(self.settings)

    def get_conn(self) -> SyncTransport:
        """Return the transport, created at first use."""
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
        """Upload one file; memory use does not depend on its size.

        :param file: a path, an ``ObjectStoragePath`` (or its URI), an ``https`` URL, or a binary file object, read from
            its position.
        :param name: the name in the library; by default the file's base name.
        :param description: free text.
        :param folder_id: the number of the library folder; then only files of that folder count as existing. By default
            files of all folders count, also for ``replace``, so set it if several folders share names. ``replace`` and
            ``reuse`` reject None for ``folder_id`` and ``name``: omit the argument instead.
        :param mime_type: by default detected from the file's bytes.
        :param file_name: the file name sent to the platform; by default the file's base name.
        :param channels: ``whatsapp``, ``rcs``: a violated requirement of these channels is an error before anything is
            sent, a violated recommendation a warning in the log.
        :param check_integrity: whether a truncated or corrupt file is an error; by default only with ``channels``,
            otherwise a warning in the log.
        :param if_exists: what to do if the name is taken: ``upload`` uploads anyway; ``reuse`` returns the oldest file
            of the same name, size and type, and uploads only if there is none; ``replace`` uploads, verifies, then
            deletes the previous files of that name; ``fail`` raises.
        :param before_delete: for ``replace``: called with the files to delete, before the upload and before the
            deletion; raises to refuse.
        :param on_stored: called as soon as the library has the file, before verification and deletions; called again if
            the verification returned more metadata.
        :param state: stores the upload's checkpoint for retries of the task; set by the operator.
        :raises MediaFileError: the file is missing, empty, unreadable, of an unsupported type, or changed during the
            upload.
        :raises MediaConflictError: the name is taken (``fail``), two files could be the uploaded one, or ``replace``
            could delete a file of another folder.
        :raises MediaRequestError: the platform permanently rejects the file.
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
        :param limit: files per page, 1 to 1000.
        :param sort_by: ``id``, ``name``, ``mimeType``, ``size`` or ``createdAt``; by default the server's order.
        :param sort_order: ``asc`` or ``desc``.
        :raises MediaConfigurationError: an argument is out of range; nothing is sent.
        """
        return self.run_flow(flows.list_page(page=page, limit=limit, sort_by=sort_by, sort_order=sort_order))

    def iter_media(
        self, *, page_size: int = 1000, sort_by: str | None = None, sort_order: str | None = None
    ) -> Iterator[Media]:
        """Iterate over the whole library, one page at a time; no file is returned twice.

        :param page_size: files per request, 1 to 1000.
        :param sort_by: see :meth:`list_page`.
        :param sort_order: see :meth:`list_page`.
        :raises MediaResponseError: also if the server repeats its pages endlessly.
        """
        return self._iterate(flows.Paginator(page_size=page_size, sort_by=sort_by, sort_order=sort_order))

    def _iterate(self, paginator: flows.Paginator) -> Iterator[Media]:
        while paginator.next_request:
            yield from self.run_flow(flows.next_page(paginator))

    def get_media(self, media_id: int | str) -> Media:
        """Return one file's metadata.

        :param media_id: the library's id.
        :raises MediaNotFoundError: the library has no such file.
        """
        return self.run_flow(flows.get_media(media_id))

    def exists(self, media_id: int | str) -> bool:
        """Return whether the library has a file of this id: False only for a 404; other failures raise."""
        try:
            self.get_media(media_id)
        except MediaNotFoundError:
            return False
        return True

    def download(self, media: Media | int | str, target: Any, *, must_not_replace: bool = False) -> None:
        """Write a file's content to a path or an object store, and verify its size.

        :param media: the file, or its id.
        :param target: a path, an ``ObjectStoragePath``, or its URI; missing local folders are created.
        :param must_not_replace: whether an existing target is an error, unless it has the same content.
        :raises MediaFileError: it cannot be read or written.
        :raises MediaNotFoundError: the library has no file of this id.
        """
        from airflow_provider_media._airflow.files import download_file

        found = self.get_media(media) if isinstance(media, (int, str)) else media
        download_file(found, as_path(target), verify=self.settings.verify, must_not_replace=must_not_replace)

    def delete(self, media_id: int | str) -> None:
        """Delete one file permanently. Messages not yet sent that use its id will fail.

        :param media_id: the library's id.
        :raises MediaNotFoundError: the library has no such file.
        :raises MediaConfigurationError: the connection has ``allow_delete: false``.
        """
        self.run_flow(self._delete(self.settings, media_id))

    def check_may_delete(self) -> None:
        """Raise MediaConfigurationError if the connection does not allow deletions."""
        self._require_delete_permission(self.settings)

    def find_media(self, name: str) -> list[Media]:
        """Return the files with exactly this name, oldest first."""
        return self.run_flow(flows.find_media(name))

    def run_flow(self, flow: flows.Flow[T], *, seconds: float | None = None) -> T:
        """Run a flow (see ``_api/flows.py``); internal.

        :param seconds: max duration; by default only the timeouts of each request apply.
        :raises MediaUnavailableError: also if the time limit passed.
        """
        if seconds is None:
            return self._transport.run(flow)
        from airflow_provider_media._transports.rate_limit import CancelTimer

        transport = self._transport
        timer = CancelTimer(seconds, transport.cancel)
        try:
            with timer:
                return transport.run(flow)
        except MediaError:
            if not timer.has_fired:
                raise
            raise MediaUnavailableError(f"The Media API did not respond within {round(seconds, 1):g} s.") from None
        finally:
            if timer.has_fired:  # a cancelled transport cannot be reused
                self.__dict__.pop("_transport", transport).close()

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the connection works, and a message; the connection form's "Test" button calls it."""
        try:
            return True, self.run_flow(self._test(self.settings))
        except MediaError as error:
            return False, str(error)

    def close(self) -> None:
        """Close the HTTP connections."""
        if "_transport" in self.__dict__:
            self._transport.close()

    def cancel(self) -> None:
        """Abort running requests; for ``on_kill`` of operators."""
        if "_transport" in self.__dict__:
            self._transport.cancel()
