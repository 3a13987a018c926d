"""Operators that upload, get, list, sync, delete and clean up files of the media library."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    NotGiven,
    parse_choice,
    parse_list,
    parse_media_id,
    parse_media_ids,
    parse_name,
    parse_nullable,
    parse_optional,
    parse_path,
    parse_str,
    parse_token,
    takes_literally,
)
from airflow_provider_media._airflow.assets import fill_outlet_events
from airflow_provider_media._airflow.task_state import TaskState
from airflow_provider_media._airflow.templates import name_map_index
from airflow_provider_media._api.flows import folder_matches, name_matches, type_matches
from airflow_provider_media._api.values import format_media, parse_bool, parse_int, plural
from airflow_provider_media._deletion.delete import delete_all, deletion_state, new_backup, refuse_if_used
from airflow_provider_media.assets.media import media_asset, media_extra
from airflow_provider_media.links.media import MediaLink, library_link
from airflow_provider_media.operators._base import MediaOperator
from airflow_provider_media.operators._cleanup import MediaCleanupOperator
from airflow_provider_media.operators._sync import MediaSyncOperator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._deletion.delete import References
    from airflow_provider_media.models import Media

__all__ = [
    "MediaCleanupOperator",
    "MediaDeleteOperator",
    "MediaGetOperator",
    "MediaListOperator",
    "MediaSyncOperator",
    "MediaUploadOperator",
]


class MediaUploadOperator(MediaOperator):
    """Upload one file and return its metadata.

    Returns ``Media.to_dict()`` plus ``created`` and ``replaced``. Each key is also an XCom (``multiple_outputs``), so
    that ``upload.output["id"]`` works downstream, plain and mapped.

    :param file: a path (a string or a ``Path``), the URI of an object store (``s3://bucket/banner.png``), or an
        ``https`` URL. (templated)
    :param name: the name in the library; by default the file's base name. Include the date or ``{{ run_id }}`` if each
        run has its own file, so that a repeated run finds the file it uploaded. (templated)
    :param description: the description; None for none. (templated)
    :param folder_id: the number of the library folder. Only files of this folder count as existing; by default files of
        any folder do, also for ``replace``. Set it if several folders share names. (templated)
    :param mime_type: by default, or if None, detected from the file's first bytes. (templated)
    :param if_exists: ``reuse`` (default) returns the oldest file with this name, size and type, and uploads only if
        there is none; ``upload`` always uploads; ``replace`` uploads, verifies, then deletes the existing files of this
        name; ``fail`` raises. (templated)
    :param channels: the channels of the file, ``whatsapp`` and ``rcs``. A violated limit is an error before the upload,
        a missed recommendation a warning in the log. (templated)
    :param check_integrity: whether a truncated or corrupt file is an error; by default it is a warning in the log,
        unless ``channels`` are set. (templated)
    :param references: for ``replace``, a callable (or the dotted path of one) that returns what still uses a file, as
        strings. It is called before the upload and again before the deletion. If a file is in use, the task fails and
        no old file is deleted.
    :param backup_to: a folder, local or of an object store. Before its deletion, each replaced file is written there as
        ``<id>-<name>``; a file that cannot be written is not deleted. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaFileError: the file is missing, empty, unreadable, unsupported, or changed during the upload.
    :raises MediaConflictError: the name exists (``fail``), or a file to replace may be in another folder.
    :raises MediaInUseError: a file to replace is still used.
    """

    template_fields: Sequence[str] = (
        "file",
        "name",
        "description",
        "folder_id",
        "mime_type",
        "if_exists",
        "channels",
        "check_integrity",
        "backup_to",
        "media_conn_id",
    )
    operator_extra_links = (MediaLink(),)
    returns_media = True

    def __init__(
        self,
        *,
        file: Any,
        name: str | NotGiven = NOT_GIVEN,
        description: str | NotGiven | None = NOT_GIVEN,
        folder_id: int | str | NotGiven = NOT_GIVEN,
        mime_type: str | NotGiven | None = NOT_GIVEN,
        if_exists: str = "reuse",
        channels: Iterable[str] | str = (),
        check_integrity: bool | str = False,
        references: References | None = None,
        backup_to: Any = NOT_GIVEN,
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        # One XCom per key, so that upload.output["id"] of a failed upload is None, and a teardown can render it.
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(media_conn_id=media_conn_id, **kwargs)
        self.file = file
        self.name = name
        self.description = description
        self.folder_id = folder_id
        self.mime_type = mime_type
        self.if_exists = if_exists
        self.channels = channels
        self.check_integrity = check_integrity
        self.references = references
        self.backup_to = backup_to

    def execute(self, context: Context) -> dict[str, Any]:
        """Upload the file."""
        from airflow_provider_media._upload.checkpoint import UploadCheckpoint
        from airflow_provider_media._upload.flow import IF_EXISTS

        arguments = {
            "name": parse_optional(parse_str, "name", self.name),
            "description": parse_nullable(parse_str, "description", self.description),
            "folder_id": parse_optional(parse_token, "folder_id", self.folder_id),
            "mime_type": parse_nullable(parse_token, "mime_type", self.mime_type),
        }
        file = parse_path("file", self.file)
        name_map_index(context, arguments["name"], file)
        channels = parse_list("channels", self.channels)
        check_integrity = parse_bool("check_integrity", self.check_integrity)
        if_exists = parse_choice("if_exists", self.if_exists, IF_EXISTS)
        back_up = new_backup(self.hook, parse_optional(parse_path, "backup_to", self.backup_to))

        def before_delete(found: Iterable[Media]) -> None:
            found = list(found)
            refuse_if_used(found, self.references)
            if back_up:
                back_up(found)

        result = self.hook.upload(
            file,
            **{name: value for name, value in arguments.items() if value is not None},
            channels=channels,
            check_integrity=check_integrity,
            if_exists=if_exists,
            before_delete=before_delete,
            on_stored=lambda media: MediaLink.persist(context, library_link(self.media_conn_id, media)),
            state=TaskState(context, UploadCheckpoint, task_id=self.task_id),
        )
        media = result.media
        fill_outlet_events(
            context,
            self,
            media_extra(media),
            alias_asset=lambda: media_asset(self.media_conn_id, media.name or str(media.id)),
        )
        outcome = {**media.to_dict(), "created": result.created, "replaced": list(result.replaced)}
        return self.with_own_xcoms(outcome, context)


class MediaGetOperator(MediaOperator):
    """Return one file's metadata, as ``Media.to_dict()``.

    :param media_id: the library's id. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaNotFoundError: the library has no such file.
    """

    template_fields: Sequence[str] = ("media_id", "media_conn_id")
    operator_extra_links = (MediaLink(),)
    returns_media = True

    def __init__(self, *, media_id: int | str, media_conn_id: str = "media_default", **kwargs: Any) -> None:
        kwargs.setdefault("multiple_outputs", True)  # as for an upload
        super().__init__(media_conn_id=media_conn_id, **kwargs)
        self.media_id = media_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Get the metadata."""
        media_id = parse_media_id("media_id", self.media_id)
        media = self.hook.get_media(media_id)
        MediaLink.persist(context, library_link(self.media_conn_id, media))
        self.log.info("Found %r: %s", media.name, format_media(media))
        return self.with_own_xcoms(media.to_dict(), context)


class MediaListOperator(MediaOperator):
    """Return the metadata of the library's files, as a list of ``Media.to_dict()``.

    The API cannot filter, so the operator reads the list page by page and filters it.

    :param name: only files whose name matches; ``*``, ``?`` and ``[...]`` are wildcards. (templated)
    :param wildcards: whether ``*``, ``?`` and ``[...]`` in ``name`` are wildcards; true by default. A name from
        ``upload.output["name"]`` is always literal. (templated)
    :param mime_type: only files of this type; may have wildcards (``image/*``). (templated)
    :param folder_id: only files known to be in this folder. (templated)
    :param sort_by: ``id``, ``name``, ``mime_type``, ``size`` or ``created_at``. (templated)
    :param sort_order: ``asc`` or ``desc``. (templated)
    :param max_items: the maximum number of files; by default all. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    """

    template_fields: Sequence[str] = (
        "name",
        "wildcards",
        "mime_type",
        "folder_id",
        "sort_by",
        "sort_order",
        "max_items",
        "media_conn_id",
    )

    def __init__(
        self,
        *,
        name: str | NotGiven = NOT_GIVEN,
        wildcards: bool | str = True,
        mime_type: str | NotGiven = NOT_GIVEN,
        folder_id: int | str | NotGiven = NOT_GIVEN,
        sort_by: str | NotGiven = NOT_GIVEN,
        sort_order: str | NotGiven = NOT_GIVEN,
        max_items: int | str | NotGiven = NOT_GIVEN,
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(media_conn_id=media_conn_id, **kwargs)
        self.name = name
        self.wildcards = wildcards
        self.mime_type = mime_type
        self.folder_id = folder_id
        self.sort_by = sort_by
        self.sort_order = sort_order
        self.max_items = max_items

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002 - Airflow's signature
        """List the files."""
        max_items = parse_optional(parse_int, "max_items", self.max_items)
        name = parse_optional(parse_name, "name", self.name)
        is_exact = takes_literally(name, wildcards=parse_bool("wildcards", self.wildcards))
        mime_type = parse_optional(parse_token, "mime_type", self.mime_type)
        folder_id = parse_optional(parse_token, "folder_id", self.folder_id)
        sort_by = parse_optional(parse_token, "sort_by", self.sort_by)
        sort_order = parse_optional(parse_token, "sort_order", self.sort_order)

        def matches(media: Media) -> bool:
            has_name = name_matches(media, name, is_exact=is_exact)
            return has_name and type_matches(media, mime_type) and folder_matches(media, folder_id)

        library = self.hook.iter_media(sort_by=sort_by, sort_order=sort_order)
        found = [media.to_dict() for media in islice(filter(matches, library), max_items)]
        self.log.info("Listed %s", plural(len(found), "file"))
        return found


class MediaDeleteOperator(MediaOperator):
    """Delete files permanently; suitable for a teardown.

    Unsent messages and campaigns that reference a deleted id will fail, and the API does not return them, so set
    ``references``. All files are checked before the first deletion; if any is in use, none is deleted (unless
    ``on_reference="skip"``). On Airflow 3.3, a retry continues where the last attempt was interrupted; on earlier
    versions, use ``if_missing="ignore"`` with retries.

    Returns ``{"deleted": [ids], "missing": [ids], "skipped": [ids]}``.

    :param media_id: the id of one file. (templated)
    :param media_ids: the ids of several files, a list. (templated)
    :param if_missing: ``fail`` (default) raises for an id that the library does not have; ``ignore`` does not, and
        skips None, also in a list, because a failed setup has no id. (templated)
    :param references: a callable (or the dotted path of one) that returns what still uses a file, as strings.
    :param on_reference: ``fail`` (default) deletes nothing if any file is in use; ``skip`` skips files in use.
    :param backup_to: a folder, local or of an object store. Before its deletion, each file is written there as
        ``<id>-<name>``; a file that cannot be written is not deleted. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaNotFoundError: an id is not in the library (``if_missing="fail"``); checked before anything is deleted.
    :raises MediaInUseError: a file is still used.
    :raises MediaConfigurationError: the connection has ``allow_delete: false``.
    """

    template_fields: Sequence[str] = ("media_id", "media_ids", "if_missing", "backup_to", "media_conn_id")

    def __init__(
        self,
        *,
        media_id: int | str | NotGiven = NOT_GIVEN,
        media_ids: Any = NOT_GIVEN,
        if_missing: str = "fail",
        references: References | None = None,
        on_reference: str = "fail",
        backup_to: Any = NOT_GIVEN,
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(media_conn_id=media_conn_id, **kwargs)
        self.media_id = media_id
        self.media_ids = media_ids
        self.if_missing = if_missing
        self.references = references
        self.on_reference = on_reference
        self.backup_to = backup_to

    def execute(self, context: Context) -> dict[str, list[int | str]]:
        """Check references, then delete the files."""
        if_missing = parse_choice("if_missing", self.if_missing, ("fail", "ignore"))
        return delete_all(
            self.hook,
            parse_media_ids(self.media_id, self.media_ids, ignore_none=if_missing == "ignore"),
            if_missing=if_missing,
            references=self.references,
            on_reference=parse_choice("on_reference", self.on_reference, ("fail", "skip")),
            state=deletion_state(context, self.task_id, self.hook),
            back_up=new_backup(self.hook, parse_optional(parse_path, "backup_to", self.backup_to)),
        )
