"""The operator that syncs a folder into the media library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    NotGiven,
    parse_choice,
    parse_list,
    parse_nullable,
    parse_optional,
    parse_path,
    parse_str,
    parse_token,
    parse_urls,
)
from airflow_provider_media._airflow.assets import fill_outlet_events
from airflow_provider_media._api.values import parse_bool, parse_int, plural
from airflow_provider_media.exceptions import MediaConfigurationError
from airflow_provider_media.links.media import MediaLink, library_link
from airflow_provider_media.operators._base import MediaOperator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._deletion.delete import References
    from airflow_provider_media._sync.compare import SyncOptions


class MediaSyncOperator(MediaOperator):
    """Sync the files of a folder, or of an object store's prefix, into the library, and return the manifest.

    The folder and the library are listed once each and compared: new files are uploaded, identical files are kept,
    changed files are replaced. The whole plan is checked before the first upload. Only old versions of replaced files
    are deleted.

    Returns the manifest: by path in the folder, a dict with ``path``, ``id``, ``name``, ``url``, ``mime_type``,
    ``size``, ``action`` (``create``, ``replace``, ``keep``) and ``warnings`` of its channels. A dry run returns the
    plan instead: ``{"counts": ..., "steps": [...]}``.

    :param source: the folder: a path, or the URI of an object store's prefix (``s3://bucket/summer``); or URLs, as a
        list or a mapping of names to URLs. (templated)
    :param pattern: a pattern for paths in the folder: ``*``, ``?`` and ``[...]`` match within one name, ``**`` any
        number of folders, ``{jpg,png}`` either. Hidden files, partial transfers, and files of file managers and network
        storage are skipped. (templated)
    :param exclude: a list of patterns of files to skip; one without ``/`` matches a file or folder at any depth.
        (templated)
    :param on_unsupported: for files of types that the library does not accept: ``fail`` (default) or ``skip``, with a
        warning. (templated)
    :param name_template: the name in the library: ``{path}`` in the folder (default), ``{name}``, ``{stem}`` and
        ``{suffix}`` (``banner.jpg``, ``banner``, ``.jpg``). Two files with one name are refused. (templated)
    :param folder_id: the number of the library folder. Only files of this folder count as existing; by default files of
        any folder do, and are replaced. Set it if several folders share names. (templated)
    :param description: the description of each uploaded file; None for none. (templated)
    :param if_changed: if the library has another file of that name: ``replace`` (default) uploads, verifies, then
        deletes the old versions; ``upload`` uploads and keeps them; ``fail`` refuses. (templated)
    :param channels: the channels of the files, ``whatsapp`` and ``rcs``. A violated limit fails the task before the
        first upload; missed recommendations are in the manifest's ``warnings``. (templated)
    :param check_integrity: whether a truncated or corrupt file is an error (default). If false, and without
        ``channels``, it is a warning in the manifest. (templated)
    :param references: a callable (or the dotted path of one) that returns what still uses a file, as strings. It is
        called before the first upload, and again before old versions are deleted.
    :param on_reference: ``fail`` (default) refuses to replace files in use; ``skip`` keeps them beside the new version,
        with a warning. (templated)
    :param max_workers: the number of parallel uploads, 1 to 16. (templated)
    :param allow_failures: the number of files that may fail without failing the task; they are not in the manifest.
        (templated)
    :param dry_run: log and return the plan; upload and delete nothing. (templated)
    :param fingerprint: compare files by content, not by size and type: the SHA-256 is stored at the end of the
        description. (templated)
    :param output: ``manifest`` (default) returns the manifest; ``reference`` returns its path and counts, for thousands
        of files: ``{"manifest_path": ..., "counts": {...}}``.
    :param manifest_path: where to write the manifest as JSON: a path, or an object store's URI. (templated)
    :param backup_to: a folder, local or of an object store. Before its deletion, each old version is written there as
        ``<id>-<name>``; a file that cannot be written is not deleted. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaFileError: a file or the folder cannot be read, or the library or a channel does not accept a file.
    :raises MediaConflictError: two files would share a name, a name exists (``if_changed="fail"``), or a file to
        replace may be in another folder.
    :raises MediaInUseError: a file to replace is still used.
    :raises MediaConfigurationError: an argument is invalid, or the connection has ``allow_delete: false`` and the plan
        replaces files.
    """

    template_fields: Sequence[str] = (
        "source",
        "pattern",
        "exclude",
        "on_unsupported",
        "name_template",
        "folder_id",
        "description",
        "if_changed",
        "channels",
        "check_integrity",
        "on_reference",
        "max_workers",
        "allow_failures",
        "is_dry_run",
        "fingerprint",
        "returned",
        "manifest_path",
        "backup_to",
        "media_conn_id",
    )
    operator_extra_links = (MediaLink(),)

    def __init__(
        self,
        *,
        source: Any,
        pattern: str = "**/*",
        exclude: Iterable[str] | str = (),
        on_unsupported: str = "fail",
        name_template: str = "{path}",
        folder_id: int | str | NotGiven = NOT_GIVEN,
        description: str | NotGiven | None = NOT_GIVEN,
        if_changed: str = "replace",
        channels: Iterable[str] | str = (),
        check_integrity: bool | str = True,
        references: References | None = None,
        on_reference: str = "fail",
        max_workers: int | str = 8,
        allow_failures: int | str = 0,
        dry_run: bool | str = False,
        fingerprint: bool | str = False,
        output: str = "manifest",
        manifest_path: Any = NOT_GIVEN,
        backup_to: Any = NOT_GIVEN,
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(media_conn_id=media_conn_id, **kwargs)
        self.source = source
        self.pattern = pattern
        self.exclude = exclude
        self.on_unsupported = on_unsupported
        self.name_template = name_template
        self.folder_id = folder_id
        self.description = description
        self.if_changed = if_changed
        self.channels = channels
        self.check_integrity = check_integrity
        self.references = references
        self.on_reference = on_reference
        self.max_workers = max_workers
        self.allow_failures = allow_failures
        self.fingerprint = fingerprint
        self.manifest_path = manifest_path
        self.backup_to = backup_to
        # dry_run and output are a method and a property of Airflow's operators.
        self.is_dry_run = dry_run
        self.returned = output

    def execute(self, context: Context) -> dict[str, Any]:
        """Scan, compare and plan; check the plan, then apply it."""
        from airflow_provider_media._sync.manifest import check_can_be_mapped
        from airflow_provider_media._sync.run import FolderSync

        options = self._parse_options()
        try:
            self.hook.get_conn()
            sync = FolderSync(self.hook, options, context, task_id=self.task_id)
            found = sync.scan()
            if options.returns_manifest and not options.dry_run:
                check_can_be_mapped(self, context, len(found))
            MediaLink.persist(context, library_link(self.media_conn_id))
            plan = sync.plan(found)
            if options.dry_run:
                return plan.to_dict()
            manifest, counts = sync.apply(plan)
            where = {"manifest_path": str(options.manifest_path)} if options.manifest_path else {}
            fill_outlet_events(context, self, {**(where or {"manifest_xcom": _xcom_of(context)}), "counts": counts})
            return manifest if options.returns_manifest else {**where, "counts": counts}
        finally:
            if hook := self.__dict__.pop("hook", None):  # a cancelled hook cannot be used again
                hook.close()

    def _parse_options(self) -> SyncOptions:
        """Parse the arguments, which templates and XComs may have rendered to strings."""
        from airflow_provider_media._channels.rules import channels_of
        from airflow_provider_media._deletion.delete import new_backup
        from airflow_provider_media._sync.compare import SyncOptions
        from airflow_provider_media._sync.plan import IF_CHANGED, MAX_WORKERS
        from airflow_provider_media._sync.scan import check_name_template
        from airflow_provider_media._upload.spec import validate_common_fields
        from airflow_provider_media.hooks._base import as_path

        urls = parse_urls("source", self.source)
        if urls is None:
            source: Any = as_path(parse_path("source", self.source))
        else:
            source = {name: as_path(url) for name, url in urls.items()}
        output = parse_choice("output", self.returned, ("manifest", "reference"))
        path = as_path(parse_optional(parse_path, "manifest_path", self.manifest_path))
        if output == "reference" and path is None:
            raise MediaConfigurationError('output="reference" needs a manifest_path.')
        description = parse_nullable(parse_str, "description", self.description)
        folder = parse_optional(parse_token, "folder_id", self.folder_id)
        description, folder_id = validate_common_fields(description, folder)
        return SyncOptions(
            source=source,
            source_label=plural(len(urls), "URL") if urls else str(self.source),
            pattern=parse_str("pattern", self.pattern),
            exclude=tuple(parse_str("exclude", pattern) for pattern in parse_list("exclude", self.exclude)),
            on_unsupported=parse_choice("on_unsupported", self.on_unsupported, ("fail", "skip")),
            name_template=check_name_template(parse_str("name_template", self.name_template)),
            folder_id=folder_id,
            description=description,
            if_changed=parse_choice("if_changed", self.if_changed, IF_CHANGED),
            channels=channels_of(parse_list("channels", self.channels)),
            check_integrity=parse_bool("check_integrity", self.check_integrity),
            references=self.references,
            on_reference=parse_choice("on_reference", self.on_reference, ("fail", "skip")),
            max_workers=parse_int("max_workers", self.max_workers, most=MAX_WORKERS),
            allow_failures=parse_int("allow_failures", self.allow_failures, least=0),
            dry_run=parse_bool("dry_run", self.is_dry_run),
            fingerprint=parse_bool("fingerprint", self.fingerprint),
            manifest_path=path,
            returns_manifest=output == "manifest",
            back_up=new_backup(self.hook, parse_optional(parse_path, "backup_to", self.backup_to)),
        )


def _xcom_of(context: Context) -> dict[str, Any]:
    """Return the arguments of Airflow 3's ``xcom_pull`` for the task's result."""
    ti = context.get("ti")
    names = {"dag_id": "dag_id", "run_id": "run_id", "task_ids": "task_id", "map_indexes": "map_index"}
    return {argument: getattr(ti, name, None) for argument, name in names.items()}
