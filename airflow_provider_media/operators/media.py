"""Operators that put files into the media library, look them up and delete them."""

from __future__ import annotations

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
from airflow_provider_media._airflow.asset_events import fill_outlet_events
from airflow_provider_media._api.formatting import format_media, plural
from airflow_provider_media._api.values import parse_bool, parse_int
from airflow_provider_media._deletion.delete import delete_all, deletion_state, refuse_if_used
from airflow_provider_media.assets.media import media_asset, media_extra
from airflow_provider_media.links.media import MediaLink, library_link
from airflow_provider_media.operators._base import MediaOperator
from airflow_provider_media.operators._cleanup import MediaCleanupOperator
from airflow_provider_media.operators._sync import MediaSyncOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media.models import Media

    References = Callable[[Media], Iterable[str]] | str

__all__ = [
    "MediaCleanupOperator",
    "MediaDeleteOperator",
    "MediaGetOperator",
    "MediaListOperator",
    "MediaSyncOperator",
    "MediaUploadOperator",
]


class MediaUploadOperator(MediaOperator):
    """Upload one file and return what the library made of it.

    Returns ``Media.to_dict()`` plus ``created`` and ``replaced``. Each of its keys is an XCom of its own as well
    (``multiple_outputs``), so that ``upload.output["id"]`` works downstream, plain and mapped.

    :param file: a path, or the URI of an object store (``s3://bucket/banner.png``). (templated)
    :param name: the human-readable name; by default the file's base name. Let it carry ``{{ ds }}`` where each run
        brings its own file, so that a repeated run finds what it stored. (templated)
    :param description: free text; None is none. (templated)
    :param folder_id: the number of the library folder to put it in; then only files of that folder count as there. By
        default files of any folder do, for ``replace`` too: give it wherever several folders share names. (templated)
    :param mime_type: by default, or if None, found from the file's bytes. (templated)
    :param if_exists: ``reuse`` (default) returns the oldest file with this name, size and type and sends only when
        there is none; ``upload`` always sends; ``replace`` sends, makes sure, then deletes the files of that name
        seen before; ``fail`` raises. (templated)
    :param channels: the channels it is meant for, ``whatsapp`` and ``rcs``: what they do not accept is an error before
        anything is sent, what they recommend otherwise a warning in the log. (templated)
    :param check_integrity: whether a truncated or corrupt file is an error; by default it is a warning in the log,
        unless ``channels`` are given. (templated)
    :param references: for ``replace``: a callable (or the dotted path of one) that tells what still uses a file, as an
        iterable of texts. It is asked before sending, and again before deleting; while anything does, no old file is
        deleted and the task fails.
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaFileError: the file is missing, empty, unreadable, unsupported, or changed while being sent.
    :raises MediaConflictError: the name is taken (``fail``), or what ``replace`` would delete may be another folder's.
    :raises MediaInUseError: what ``replace`` would delete is still used.
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
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        # Every key of the result as its own XCom, and None (not an error) for those of an upload that failed: a
        # teardown that is given upload.output["id"] could not even render its arguments otherwise.
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

    def execute(self, context: Context) -> dict[str, Any]:
        """Upload the file."""
        from airflow_provider_media._airflow.task_state import TaskState
        from airflow_provider_media._upload.checkpoint import UploadCheckpoint
        from airflow_provider_media._upload.flow import IF_EXISTS

        arguments = {
            "name": parse_optional(parse_str, "name", self.name),
            "description": parse_nullable(parse_str, "description", self.description),
            "folder_id": parse_optional(parse_token, "folder_id", self.folder_id),
            "mime_type": parse_nullable(parse_token, "mime_type", self.mime_type),
        }
        file = parse_path("file", self.file)
        channels = parse_list("channels", self.channels)
        check_integrity = parse_bool("check_integrity", self.check_integrity)
        if_exists = parse_choice("if_exists", self.if_exists, IF_EXISTS)
        result = self.hook.upload(
            file,
            **{name: value for name, value in arguments.items() if value is not None},
            channels=channels,
            check_integrity=check_integrity,
            if_exists=if_exists,
            before_delete=lambda found: refuse_if_used(found, self.references),
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
        kwargs.setdefault("multiple_outputs", True)  # as of an upload
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

    The API cannot filter, so the list is read page by page and filtered here.

    :param name: only files whose name is this or matches it; ``*``, ``?`` and ``[...]`` are wildcards. (templated)
    :param wildcards: whether ``*``, ``?`` and ``[...]`` in ``name`` are wildcards; true by default. A name from
        ``upload.output["name"]`` is always taken literally. (templated)
    :param mime_type: only files of this type; wildcards too (``image/*``). (templated)
    :param folder_id: only files that are known to be in this folder. (templated)
    :param sort_by: ``id``, ``name``, ``mime_type``, ``size`` or ``created_at``. (templated)
    :param sort_order: ``asc`` or ``desc``. (templated)
    :param max_items: stop after so many files; by default all. (templated)
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
        from itertools import islice

        from airflow_provider_media._api.filters import folder_matches, name_matches, type_matches

        most = parse_optional(parse_int, "max_items", self.max_items)
        name = parse_optional(parse_name, "name", self.name)
        is_exact = takes_literally(name, wildcards=parse_bool("wildcards", self.wildcards))
        mime_type = parse_optional(parse_token, "mime_type", self.mime_type)
        folder_id = parse_optional(parse_token, "folder_id", self.folder_id)
        sort_by = parse_optional(parse_token, "sort_by", self.sort_by)
        sort_order = parse_optional(parse_token, "sort_order", self.sort_order)

        def fits(media: Media) -> bool:
            right_name = name_matches(media, name, is_exact=is_exact)
            return right_name and type_matches(media, mime_type) and folder_matches(media, folder_id)

        library = self.hook.iter_media(sort_by=sort_by, sort_order=sort_order)
        found = [media.to_dict() for media in islice(filter(fits, library), most)]
        self.log.info("Listed %s", plural(len(found), "file"))
        return found


class MediaDeleteOperator(MediaOperator):
    """Delete files for good; fit for a teardown.

    Messages and campaigns not yet sent that name a deleted id will fail, and the API cannot tell which do: let
    ``references`` tell it. First all files are asked about, then deleted; if any is used, none is deleted (unless
    ``on_reference="skip"``). On Airflow 3.3 a retry goes on where the last try was broken off; before that, use
    ``if_missing="ignore"`` with retries.

    Returns ``{"deleted": [ids], "missing": [ids], "skipped": [ids]}``.

    :param media_id: the id of one file. (templated)
    :param media_ids: or the ids of several. (templated)
    :param if_missing: ``fail`` (default) raises for an id that the library does not have; ``ignore`` does not, and
        takes None, also inside a list, as nothing to delete: what a half-failed setup never made. (templated)
    :param references: a callable (or the dotted path of one) that tells what still uses a file, as texts.
    :param on_reference: ``fail`` (default) deletes nothing when any file is used; ``skip`` leaves out the used ones.
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaNotFoundError: an id is not in the library (``if_missing="fail"``); checked before anything is deleted.
    :raises MediaInUseError: a file is still used.
    :raises MediaConfigurationError: the connection says ``allow_delete: false``.
    """

    template_fields: Sequence[str] = ("media_id", "media_ids", "if_missing", "media_conn_id")

    def __init__(
        self,
        *,
        media_id: int | str | NotGiven = NOT_GIVEN,
        media_ids: Any = NOT_GIVEN,
        if_missing: str = "fail",
        references: References | None = None,
        on_reference: str = "fail",
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(media_conn_id=media_conn_id, **kwargs)
        self.media_id = media_id
        self.media_ids = media_ids
        self.if_missing = if_missing
        self.references = references
        self.on_reference = on_reference

    def execute(self, context: Context) -> dict[str, list[int | str]]:
        """Ask, then delete."""
        if_missing = parse_choice("if_missing", self.if_missing, ("fail", "ignore"))
        return delete_all(
            self.hook,
            parse_media_ids(self.media_id, self.media_ids, ignore_none=if_missing == "ignore"),
            if_missing=if_missing,
            references=self.references,
            on_reference=parse_choice("on_reference", self.on_reference, ("fail", "skip")),
            state=deletion_state(context, self.task_id, self.hook),
        )
