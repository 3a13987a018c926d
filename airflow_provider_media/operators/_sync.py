"""The operator that brings a folder's files into the media library."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

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
)
from airflow_provider_media._airflow.asset_events import fill_outlet_events
from airflow_provider_media._api.values import parse_bool, parse_int
from airflow_provider_media._deletion.delete import find_references
from airflow_provider_media._sync.compare import fetch_existing_media, prepare_files, skip_unsupported
from airflow_provider_media._sync.executor import MAX_WORKERS, SyncExecutor, worker_pool
from airflow_provider_media._sync.manifest import ManifestFile, check_can_be_mapped, manifest_of
from airflow_provider_media._sync.options import SyncOptions
from airflow_provider_media._sync.plan import StepResult
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError
from airflow_provider_media.links.media import MediaLink, library_link
from airflow_provider_media.operators._base import MediaOperator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._api.baseline import Baseline
    from airflow_provider_media._deletion.delete import References
    from airflow_provider_media._sync.checkpoint import SyncCheckpoint
    from airflow_provider_media._sync.compare import ExistingMedia
    from airflow_provider_media._sync.plan import LocalFile, PlanStep, SyncPlan
    from airflow_provider_media._sync.receipts import Receipt
    from airflow_provider_media._sync.scan import FoundFile
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_MAX_NAMED = 50
"""How many files an error names."""

_MAX_KEPT_BY_ID = 10
"""So many kept files are read again by their ids; more by pages, and where these are older than what was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousAttempts:
    """What is known of earlier attempts of a sync.

    :param were_interrupted: whether the last of them had no orderly end, so that files may still be being stored.
    :param baseline: what the library held before the first of them.
    :param since: or else when the run began.
    """

    were_interrupted: bool = False
    baseline: Baseline | None = None
    since: datetime | None = None

    @classmethod
    def of(cls, checkpoint: SyncCheckpoint | None, context: Context, *, is_kept: bool) -> Self:
        """Return what the checkpoint shows; before Airflow 3.3, the number of tries.

        :param is_kept: whether Airflow has a store for the checkpoint.
        """
        if checkpoint:
            return cls(were_interrupted=checkpoint.sending, baseline=checkpoint.baseline)
        if is_kept or getattr(context.get("ti"), "try_number", 1) <= 1:
            return cls()
        return cls(were_interrupted=True, since=getattr(context.get("dag_run"), "start_date", None))

    def sent(self, media: Media) -> bool:
        """Return whether one of them can have sent a file; what the API does not show is none of theirs."""
        if self.baseline is not None:
            return self.baseline.is_newer(media) is True
        return self.since is not None and media.created_at is not None and media.created_at >= self.since


class MediaSyncOperator(MediaOperator):
    """Bring the files of a folder, or of an object store's prefix, into the library, and return what is where.

    The folder and the library are listed once each and compared: what the library lacks is sent, what it has is kept,
    what changed is replaced. All of that is a plan, made and checked before anything is sent. Nothing of the library is
    deleted but the old versions of what is replaced.

    Returns the manifest: by path in the folder, a dict with ``path``, ``id``, ``name``, ``url``, ``mime_type``,
    ``size``, ``action`` (``create``, ``replace``, ``keep``) and ``warnings`` of its channels. A dry run returns the
    plan instead: ``{"counts": ..., "steps": [...]}``.

    :param source: the folder: a path, or the URI of an object store's prefix (``s3://bucket/summer``). (templated)
    :param pattern: which files, by their paths in the folder: ``*``, ``?`` and ``[...]`` stay within one name, ``**``
        is any number of folders, ``{jpg,png}`` is either. Hidden files, partial transfers, and what file managers and
        network storage add are skipped. (templated)
    :param exclude: patterns of files to skip, a list; one without ``/`` matches a file or folder of that name at any
        depth. (templated)
    :param on_unsupported: for files whose type the library does not accept: ``fail`` (default) or ``skip``, with a
        warning. (templated)
    :param name_template: the name in the library: ``{path}`` in the folder (default), ``{name}``, ``{stem}`` and
        ``{suffix}`` (``banner.jpg``, ``banner``, ``.jpg``). Two files with one name are refused. (templated)
    :param folder_id: the number of the library folder to put the files in; then only files of that folder count as
        there. By default files of any folder do, and are replaced: give it wherever several folders share names.
        (templated)
    :param description: free text for each file that is sent; None is none. (templated)
    :param if_changed: what to do when the library has another file of that name: ``replace`` (default) sends, makes
        sure, then deletes the old ones; ``upload`` sends it beside them; ``fail`` refuses. (templated)
    :param channels: the channels the files are meant for, ``whatsapp`` and ``rcs``: what they do not accept fails the
        task before anything is sent, what they recommend otherwise is in the manifest's ``warnings``. (templated)
    :param check_integrity: whether a truncated or corrupt file is an error (default); if not, and without ``channels``,
        it is a warning in the manifest. (templated)
    :param references: a callable (or the dotted path of one) that tells what still uses a file, as texts; asked before
        sending and again before old versions are deleted.
    :param on_reference: ``fail`` (default) refuses to replace what is used; ``skip`` keeps it beside the new version,
        with a warning. (templated)
    :param max_workers: how many files are sent at once, 1 to 16. (templated)
    :param allow_failures: how many files may fail without failing the task; they are not in the manifest. (templated)
    :param dry_run: make the plan, log it and return it; send and delete nothing. (templated)
    :param fingerprint: tell by the content what is the same, not by size and type: its SHA-256 is kept at the end of
        the description. (templated)
    :param output: ``manifest`` (default) returns the manifest; ``reference`` returns where it was written, and counts:
        ``{"manifest_path": ..., "counts": {...}}``, for thousands of files. (templated)
    :param manifest_path: where the manifest is written to as JSON: a path, or an object store's URI. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaFileError: a file, or the folder, cannot be read, or its type or a channel refuses it.
    :raises MediaConflictError: two files would get one name, a name is taken (``if_changed="fail"``), or what would be
        deleted may be another folder's.
    :raises MediaInUseError: what ``replace`` would delete is still used.
    :raises MediaConfigurationError: an argument is wrong, or the connection says ``allow_delete: false`` and the plan
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
        "media_conn_id",
    )
    operator_extra_links = (MediaLink(),)

    def __init__(  # noqa: PLR0913 - independent settings, all keyword-only
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
        # Not under their own names: these are Airflow's for a method and for the XCom that others take.
        self.is_dry_run = dry_run
        self.returned = output

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the plan, check it, carry it out."""
        try:
            return self._execute(context, _read_options(self))
        finally:
            if hook := self.__dict__.pop("hook", None):  # a broken-off one is of no further use
                hook.close()

    def _execute(self, context: Context, options: SyncOptions) -> dict[str, Any]:
        from airflow_provider_media._airflow.task_state import TaskState
        from airflow_provider_media._sync.checkpoint import SyncCheckpoint
        from airflow_provider_media._upload.checkpoint import MAX_BASELINE_IDS

        self.hook.get_conn()
        state = TaskState(context, SyncCheckpoint, task_id=self.task_id)
        state.identify(
            lambda: {
                "base_url": self.hook.settings.base_url,
                "conn_id": self.media_conn_id,
                "folder_id": options.folder_id,
                "if_changed": options.if_changed,
                "source": str(self.source),
                "name_template": options.name_template,
            }
        )
        checkpoint = state.load()
        earlier = PreviousAttempts.of(checkpoint, context, is_kept=state.is_kept)
        found = self._find_files(context, options)
        receipts, wait_seconds = self._earlier_receipts(options, checkpoint)
        with worker_pool(self.hook, options.max_workers) as pool:
            prepared = skip_unsupported(prepare_files(self.hook, found, options, pool, receipts), options)
            if earlier.were_interrupted and not options.dry_run:
                self._let_settle()
            known = fetch_existing_media(self.hook, prepared, pool, wait_seconds=wait_seconds)
        MediaLink.persist(context, library_link(self.media_conn_id))
        plan = self._make_plan(prepared, known, options, earlier)
        if options.dry_run:
            return plan.to_dict()
        self._check(plan)
        uploads = {file.path: file.upload for file in prepared if file.upload}
        outcomes = [
            StepResult(step=step, action="keep", media=step.there) for step in plan.steps if step.action == "keep"
        ]
        baseline = (checkpoint and checkpoint.baseline) or known.baseline.reduced(max_known=MAX_BASELINE_IDS)
        checkpoint = checkpoint or SyncCheckpoint(sending=False, baseline=baseline)
        if plan.to_send:
            checkpoint = replace(checkpoint, sending=True, baseline=baseline)
            state.save(checkpoint)
            outcomes += self._carry_out(plan.to_send, uploads, known, options)
        if gone := self._find_gone(outcomes):
            state.save(replace(checkpoint, sending=True, baseline=baseline))
            outcomes = [outcome for outcome in outcomes if outcome.step.path not in {step.path for step in gone}]
            outcomes += self._carry_out(gone, uploads, known, options)
        try:
            result = self._finish_run(context, outcomes, uploads, options)
        except MediaError:
            # Nothing is being sent any more, although not all is done.
            noted = {**checkpoint.receipts, **_receipts_of(outcomes, uploads)}
            state.save(SyncCheckpoint.ended(baseline, noted))
            raise
        state.delete()
        return result

    def _find_files(self, context: Context, options: SyncOptions) -> list[FoundFile]:
        from airflow_provider_media._sync.scan import find_files

        found = find_files(options.source, options.pattern, options.exclude, written=str(self.source))
        if options.returns_manifest and not options.dry_run:
            check_can_be_mapped(self, context, len(found))
        if options.manifest_file and not options.dry_run:
            options.manifest_file.check(found)
        return found

    def _earlier_receipts(
        self, options: SyncOptions, checkpoint: SyncCheckpoint | None
    ) -> tuple[dict[str, Receipt], float]:
        """Return what earlier runs and attempts noted, and how long the library may still take to show that."""
        settle_seconds = self.hook.settings.settle_seconds
        receipts: dict[str, Receipt] = {}
        ages = [float("inf")]
        if options.manifest_file and (receipts := options.manifest_file.read_receipts()):
            ages.append(options.manifest_file.age_seconds())
        if checkpoint and checkpoint.receipts:
            receipts = {**receipts, **checkpoint.receipts}
            ages.append(checkpoint.age_seconds())
        return receipts, max(0.0, settle_seconds - min(ages))

    def _find_gone(self, outcomes: Sequence[StepResult]) -> list[PlanStep]:
        """Read again what is kept, and return the steps that send what is gone: lists may be old, and syncs long."""
        from airflow_provider_media._api.deletion import still_there

        kept = [outcome for outcome in outcomes if outcome.action == "keep"]
        media = [outcome.media for outcome in kept if outcome.media]
        if len(media) > _MAX_KEPT_BY_ID and len(kept) == len(outcomes):
            return []  # nothing was sent, so the list was read just now
        settle_seconds = self.hook.settings.settle_seconds
        still = still_there(media, max_by_id=_MAX_KEPT_BY_ID, settle_seconds=settle_seconds)
        there = {str(one.id) for one in self.hook.run_flow(still)}
        gone = [outcome.step for outcome in kept if outcome.media and str(outcome.media.id) not in there]
        if gone:
            paths = ", ".join(step.path for step in gone[:_MAX_NAMED])
            log.warning("%d files that were listed are gone from the library; uploading them: %s", len(gone), paths)
        return [replace(step, action="create", there=None, reason="the library has it no more") for step in gone]

    def _let_settle(self) -> None:
        from airflow_provider_media._api.flows import sleep

        seconds = self.hook.settings.settle_seconds
        log.info("An earlier try was cut off while it sent files; waiting %g s for what is still on its way", seconds)
        self.hook.run_flow(sleep(seconds))

    def _make_plan(
        self, prepared: Sequence[LocalFile], known: ExistingMedia, options: SyncOptions, earlier: PreviousAttempts
    ) -> SyncPlan:
        """Plan, ask what is still used, and log the outcome."""
        from airflow_provider_media._sync.plan import keep_used, make_plan

        plan = make_plan(prepared, known.namesakes, if_changed=options.if_changed, sent_before=earlier.sent)
        used = find_references([media for step in plan.steps for media in step.old], self.references)
        plan = keep_used(plan, used, on_reference=options.on_reference)
        if used and options.on_reference == "skip":
            users = "; ".join(f"media {media_id} by {', '.join(names)}" for media_id, names in used.items())
            log.warning("Kept beside their new versions, because still used: %s", users)
        counts = ", ".join(f"{count} {action}" for action, count in plan.counts.items() if count)
        log.info("The plan%s: %s\n%s", " (dry run: nothing is sent)" if options.dry_run else "", counts, plan.table())
        return plan

    def _check(self, plan: SyncPlan) -> None:
        """See before anything is sent that all of the plan can be done.

        :raises MediaError: it cannot.
        """
        refused = plan.refused
        if refused:
            kinds = [step.refused for step in refused if step.refused]
            table = _table([(step.path, step.reason) for step in refused])
            files = f"{len(refused)} of {len(plan.steps)} files cannot be synced, and nothing was sent"
            raise kinds[0](f"{files}:\n{table}")
        replaced = sum(bool(step.old) for step in plan.steps)
        if replaced and not self.hook.settings.allow_delete:
            raise MediaConfigurationError(
                f"The plan replaces {replaced} files, but the connection {self.media_conn_id} does not allow to delete"
                ' (extra \'allow_delete\': false): use if_changed="upload" or "fail", or allow it.'
            )

    def _carry_out(
        self,
        steps: Sequence[PlanStep],
        uploads: Mapping[str, UploadSpec],
        known: ExistingMedia,
        options: SyncOptions,
    ) -> list[StepResult]:
        from airflow_provider_media._upload.progress import FilesProgress

        sizes = sum(step.size or 0 for step in steps)
        progress = FilesProgress(len(steps), sizes, clock=time.monotonic)
        with worker_pool(self.hook, options.max_workers) as pool:
            outcomes = SyncExecutor(
                self.hook,
                pool,
                width=options.max_workers,
                uploads=uploads,
                known=known,
                references=self.references,
                on_reference=options.on_reference,
                progress=progress,
            ).execute(steps)
        log.info("Sent %s", progress.summary())
        return outcomes

    def _finish_run(
        self, context: Context, outcomes: list[StepResult], uploads: Mapping[str, UploadSpec], options: SyncOptions
    ) -> dict[str, Any]:
        """Fail, or return what is where."""
        counted = Counter(outcome.action for outcome in outcomes)
        counts = {action: counted[action] for action in ("create", "replace", "keep", "failed")}
        told = ", ".join(f"{count} {action}" for action, count in counts.items() if count)
        log.info("Synced %d files: %s", len(outcomes), told)
        failed = [(outcome.step.path, outcome.error) for outcome in outcomes if outcome.error]
        if len(failed) > options.allow_failures:
            raise _failure(failed, len(outcomes))
        if failed:
            table = _table([(path, str(error)) for path, error in failed])
            log.warning("%d files failed, %d may:\n%s", len(failed), options.allow_failures, table)
        _warn_of_changes(outcomes, uploads, options)
        manifest = manifest_of(outcomes, uploads)
        if options.manifest_file:
            options.manifest_file.write(manifest)
        where = {"manifest_path": str(options.manifest_file)} if options.manifest_file else {}
        fill_outlet_events(context, self, {**(where or {"manifest_xcom": _xcom_of(context)}), "counts": counts})
        return manifest if options.returns_manifest else {**where, "counts": counts}


def _warn_of_changes(outcomes: Iterable[StepResult], uploads: Mapping[str, UploadSpec], options: SyncOptions) -> None:
    """Log one warning of what the library stored differently than it was sent."""
    from airflow_provider_media._upload.stored import changes_of

    sent = [(outcome.step.path, outcome.media) for outcome in outcomes if outcome.action in ("create", "replace")]
    changed = [
        (path, ", ".join(changes)) for path, media in sent if media and (changes := changes_of(uploads[path], media))
    ]
    if not changed:
        return
    is_recognized = options.manifest_file is not None or all(uploads[path].fingerprint for path, _ in changed)
    advice = "" if is_recognized else "; give manifest_path or fingerprint=True, so that later runs recognize them"
    log.warning("The platform changed what it stored of %d files%s:\n%s", len(changed), advice, _table(changed))


def _read_options(operator: MediaSyncOperator) -> SyncOptions:
    """Read what templates and XComs may have made texts.

    :raises MediaConfigurationError: with one sentence.
    """
    from airflow_provider_media._channels.rules import channels_of
    from airflow_provider_media._sync.plan import IF_CHANGED
    from airflow_provider_media._sync.scan import check_name_template
    from airflow_provider_media._upload.spec import validate_common_fields
    from airflow_provider_media.hooks._base import as_path

    output = parse_choice("output", operator.returned, ("manifest", "reference"))
    path = parse_optional(parse_path, "manifest_path", operator.manifest_path)
    if output == "reference" and path is None:
        raise MediaConfigurationError('output="reference" needs a manifest_path: the path that the manifest goes to.')
    description = parse_nullable(parse_str, "description", operator.description)
    folder = parse_optional(parse_token, "folder_id", operator.folder_id)
    description, folder_id = validate_common_fields(description, folder)
    return SyncOptions(
        source=as_path(parse_path("source", operator.source)),
        pattern=parse_str("pattern", operator.pattern),
        exclude=tuple(parse_str("exclude", pattern) for pattern in parse_list("exclude", operator.exclude)),
        on_unsupported=parse_choice("on_unsupported", operator.on_unsupported, ("fail", "skip")),
        name_template=check_name_template(parse_str("name_template", operator.name_template)),
        folder_id=folder_id,
        description=description,
        if_changed=parse_choice("if_changed", operator.if_changed, IF_CHANGED),
        channels=channels_of(parse_list("channels", operator.channels)),
        check_integrity=parse_bool("check_integrity", operator.check_integrity),
        on_reference=parse_choice("on_reference", operator.on_reference, ("fail", "skip")),
        max_workers=parse_int("max_workers", operator.max_workers, most=MAX_WORKERS),
        allow_failures=parse_int("allow_failures", operator.allow_failures, least=0),
        dry_run=parse_bool("dry_run", operator.is_dry_run),
        fingerprint=parse_bool("fingerprint", operator.fingerprint),
        manifest_file=None if path is None else ManifestFile(as_path(path)),
        returns_manifest=output == "manifest",
    )


def _receipts_of(outcomes: Iterable[StepResult], uploads: Mapping[str, UploadSpec]) -> dict[str, Receipt]:
    """Return what was sent, and is in the library, by path."""
    from airflow_provider_media._sync.receipts import Receipt

    sent = [outcome for outcome in outcomes if outcome.action in ("create", "replace")]
    return {
        outcome.step.path: Receipt.of(uploads[outcome.step.path], outcome.media) for outcome in sent if outcome.media
    }


def _xcom_of(context: Context) -> dict[str, Any]:
    """Tell where Airflow keeps what the task returns, in the words of ``xcom_pull``; Airflow 2.11's knows no run_id."""
    ti = context.get("ti")
    names = {"dag_id": "dag_id", "run_id": "run_id", "task_ids": "task_id", "map_indexes": "map_index"}
    return {argument: getattr(ti, name, None) for argument, name in names.items()}


def _failure(failed: list[tuple[str, MediaError]], files: int) -> MediaError:
    """Sum up: Airflow tries again when that can help one of the files at least."""
    errors = [error for _, error in failed]
    kind = type(next((error for error in errors if error.retryable), errors[0]))
    done = files - len(failed)
    table = _table([(path, str(error)) for path, error in failed])
    return kind(f"{len(failed)} of {files} files failed; the other {done} are in the library:\n{table}")


def _table(rows: list[tuple[str, str]]) -> str:
    from airflow_provider_media._sync.plan import as_table

    more = len(rows) - _MAX_NAMED
    return as_table(rows[:_MAX_NAMED]) + (f"\nand {more} more; the log names them" if more > 0 else "")
