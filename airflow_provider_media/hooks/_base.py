"""The base class of both hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_media._airflow.arguments import NOT_GIVEN
from airflow_provider_media._api import flows
from airflow_provider_media._api.values import format_media, plural, refuse_none, show
from airflow_provider_media._upload.source import file_error, is_object_path
from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_media._airflow.arguments import NotGiven
    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._upload.checkpoint import UploadCheckpoint, UploadState
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media, UploadResult

_PROCESS_BOUND = {"_transport", "_log"}
_SECRET = {"settings"}
"""Attributes with secrets; a copy or a pickle reads the connection again."""


class UploadOptions(TypedDict, total=False):
    """The options of :meth:`MediaHook.upload`, which documents them."""

    name: str | NotGiven | None
    description: str | None
    folder_id: int | str | NotGiven | None
    mime_type: str | None
    file_name: str | None
    channels: Iterable[str] | str
    check_integrity: bool
    if_exists: str
    before_delete: Callable[[Iterable[Media]], None] | None
    on_stored: Callable[[Media], None] | None
    state: TaskState[UploadCheckpoint] | None


class LibraryHook(BaseHook):
    """Base of the hooks: the connection's id, and the flows that both hooks run.

    A copy or a pickle has the same connection id and opens its own HTTP connections.

    :param media_conn_id: the Airflow connection, of type ``media``.
    """

    conn_name_attr = "media_conn_id"
    default_conn_name = "media_default"
    conn_type = "media"
    hook_name = "Media Library"

    def __init__(self, media_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.media_conn_id = media_conn_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.media_conn_id!r})"

    def __getstate__(self) -> dict[str, Any]:
        excluded = _PROCESS_BOUND | _SECRET
        return {name: value for name, value in vars(self).items() if name not in excluded}

    def _upload(self, settings: Settings, file: Any, **options: Unpack[UploadOptions]) -> flows.Flow[UploadResult]:
        from airflow_provider_media._airflow.assets import report_upload
        from airflow_provider_media._channels.rules import channels_of
        from airflow_provider_media._transports.attempts import new_retry_state
        from airflow_provider_media._upload.checkpoint import ContentState, recent_uploads
        from airflow_provider_media._upload.flow import IF_EXISTS, REFUSE_NONE, upload_media
        from airflow_provider_media._upload.source import SAMPLE_BYTES, open_source, sample_digest
        from airflow_provider_media._upload.spec import prepare_upload

        if_exists, state = options.get("if_exists", "upload"), options.get("state")
        name, folder_id = options.get("name", NOT_GIVEN), options.get("folder_id", NOT_GIVEN)
        if if_exists in REFUSE_NONE:
            refuse_none("name", name)
            refuse_none("folder_id", folder_id)
        if if_exists not in IF_EXISTS:
            raise MediaConfigurationError(f"if_exists must be one of {', '.join(IF_EXISTS)}, not {show(if_exists)}.")
        if if_exists == "replace":
            self._require_delete_permission(settings)
        channel_names = channels_of(options.get("channels", ()))
        file = as_path(file)
        source = open_source(file)
        try:
            upload = prepare_upload(
                source,
                name=None if name is NOT_GIVEN else name,
                description=options.get("description"),
                folder_id=None if folder_id is NOT_GIVEN else folder_id,
                mime_type=options.get("mime_type"),
                file_name=options.get("file_name"),
            )
            self._check_file(upload, channel_names, check_integrity=options.get("check_integrity", False))
            if settings.accept_converted:
                upload = upload.with_fingerprint(accepts_converted=True)
            kept: UploadState | None = None
            if state and state.is_kept:
                samples = sample_digest(source)
                state.identify(
                    lambda: {
                        "base_url": settings.base_url,
                        "conn_id": self.media_conn_id,
                        "folder_id": upload.folder_id,
                        "if_exists": if_exists,
                        "name": upload.name,
                        "size": source.size,
                        "samples": samples,
                    }
                )
                is_whole = source.size <= SAMPLE_BYTES
                kept = ContentState(state, source, upload.fingerprint or (samples if is_whole else None))
            result = yield from upload_media(
                upload,
                if_exists=if_exists,
                settle_seconds=settings.settle_seconds,
                retries=new_retry_state(settings),
                before_delete=options.get("before_delete") or (lambda _: None),
                on_stored=options.get("on_stored") or (lambda _: None),
                state=kept,
                recent=recent_uploads(settings),
            )
        finally:
            source.close()
        media = result.media
        action = "Uploaded" if result.created else "Found existing"
        self.log.info("%s %r: %s", action, upload.name, format_media(media))
        for old in result.replaced:
            self.log.info("Deleted media %r, replaced by %r", old, media.id)
        report_upload(self, file, media, upload.name)
        return result

    def _check_file(self, upload: UploadSpec, channels: tuple[str, ...], *, check_integrity: bool) -> None:
        from airflow_provider_media._channels.check import check_file

        report = check_file(upload.source, upload.mime_type, channels, check_integrity=check_integrity)
        if report.errors:
            raise file_error(upload.source.label, ". ".join(report.errors))
        for warning in report.warnings:
            self.log.warning("%s (%r)", warning, upload.source.label)

    def _delete(self, settings: Settings, media_id: int | str) -> flows.Flow[None]:
        self._require_delete_permission(settings)
        yield from flows.delete_media(media_id)
        self.log.info("Deleted media %r", media_id)

    def _test(self, settings: Settings) -> flows.Flow[str]:
        """Return the message for a working connection; without retries, because the user is waiting."""
        page = yield from flows.without_retries(flows.list_page(limit=1))
        count = "" if page.total is None else f"; the library holds {plural(page.total, 'file')}"
        return f"The Media API at {settings.base_url} accepts the key{count}."

    def _require_delete_permission(self, settings: Settings) -> None:
        """Raise MediaConfigurationError if the connection does not allow deletions."""
        if not settings.allow_delete:
            raise MediaConfigurationError(
                f"The connection {self.media_conn_id} does not allow deletions (extra 'allow_delete': false)."
            )


EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "abfss": "azure", "adl": "azure"}
"""The extra of this package that installs the file system of a scheme."""


def as_path(file: Any) -> Any:
    """Return the path object of a URI string, of an HTTP server or an object store; anything else unchanged."""
    is_http = is_object_path(file) and getattr(file, "protocol", None) in {"http", "https"}
    if not is_http and not (isinstance(file, str) and "://" in file):
        return file
    scheme = str(file).partition("://")[0].lower()
    if scheme in {"http", "https"}:
        from airflow_provider_media._airflow.connection import open_url

        return open_url(str(file))
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        path = ObjectStoragePath(file)
        path.fs  # noqa: B018 - imports the file system
    except (ValueError, ImportError) as error:  # a scheme without an Airflow provider, or without its package
        extra = f" Install airflow-provider-media[{EXTRAS[scheme]}]." if scheme in EXTRAS else ""
        raise MediaConfigurationError(f"Cannot open {file!r}: {str(error).rstrip('.')}.{extra}") from error
    except Exception:  # noqa: BLE001 - of the store's connection; raised again, as a MediaError, when the file is read
        return path
    return path
