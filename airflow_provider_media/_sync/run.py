"""Sync a folder in steps: scan, compare, plan, check, upload, read again what is kept."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.deletion import find_unchanged
from airflow_provider_media._api.flows import sleep
from airflow_provider_media._api.values import escape_controls, plural
from airflow_provider_media._deletion.delete import find_references
from airflow_provider_media._sync.checkpoint import PreviousAttempts, Receipt, SyncCheckpoint
from airflow_provider_media._sync.compare import fetch_existing_media, prepare_files, skip_unsupported
from airflow_provider_media._sync.executor import SyncExecutor, worker_pool
from airflow_provider_media._sync.manifest import manifest_of
from airflow_provider_media._sync.plan import StepResult, as_table, keep_used, make_plan
from airflow_provider_media._sync.scan import find_files
from airflow_provider_media._upload.body import FilesProgress
from airflow_provider_media._upload.checkpoint import MAX_BASELINE_IDS
from airflow_provider_media._upload.spec import changes_of
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaInUseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._deletion.delete import References
    from airflow_provider_media._sync.compare import ExistingMedia, SyncOptions
    from airflow_provider_media._sync.plan import LocalFile, PlanStep, SyncPlan
    from airflow_provider_media._sync.scan import FoundFile
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.hooks.media import MediaHook

log = logging.getLogger(__name__)

_MAX_NAMED = 50
"""How many files a log line or an error names."""

_MAX_KEPT_BY_ID = 10
"""How many kept files are read again by their ids; more are read by pages."""


class FolderSync:
    """One sync of a folder; its methods are the steps, in their order."""

    def __init__(
        self,
        hook: MediaHook,
        options: SyncOptions,
        references: References | None,
        *,
        state: TaskState[SyncCheckpoint],
        context: Context,
    ) -> None:
        self._hook = hook
        self._options = options
        self._references = references
        self._state = state
        state.identify(
            lambda: {
                "base_url": hook.settings.base_url,
                "conn_id": hook.media_conn_id,
                "folder_id": options.folder_id,
                "if_changed": options.if_changed,
                "source": options.source_label,
                "name_template": options.name_template,
            }
        )
        self._checkpoint = state.load()
        self._previous = PreviousAttempts.of(self._checkpoint, context, is_kept=state.is_kept)

    def scan(self) -> list[FoundFile]:
        """List the folder, and check that the manifest can be written."""
        options = self._options
        found = find_files(options.source, options.pattern, options.exclude, written=options.source_label)
        if options.manifest_file and not options.dry_run:
            options.manifest_file.check(found)
        return found

    def compare(self, found: Sequence[FoundFile]) -> tuple[list[LocalFile], ExistingMedia]:
        """Check each file of the folder, then list the library."""
        options = self._options
        receipts, wait_seconds = self._previous_receipts()
        with worker_pool(self._hook, options.max_workers) as pool:
            files = skip_unsupported(prepare_files(self._hook, found, options, pool, receipts), options)
            if self._previous.were_interrupted and not options.dry_run:
                seconds = self._hook.settings.settle_seconds
                log.info(
                    "A previous attempt was interrupted; waiting %g s for the library to show its uploads", seconds
                )
                self._hook.run_flow(sleep(seconds))
            return files, fetch_existing_media(self._hook, files, pool, wait_seconds=wait_seconds)

    def plan(self, files: Sequence[LocalFile], existing: ExistingMedia) -> SyncPlan:
        """Decide what becomes of each file; check references of the files to delete; log the plan."""
        options, sent_before = self._options, self._previous.sent
        plan = make_plan(files, existing.by_name, if_changed=options.if_changed, sent_before=sent_before)
        used = find_references([media for step in plan.steps for media in step.old], self._references)
        plan = keep_used(plan, used, on_reference=options.on_reference)
        log_plan(plan, used if options.on_reference == "skip" else {}, is_dry_run=options.dry_run)
        return plan

    def apply(
        self, plan: SyncPlan, files: Iterable[LocalFile], existing: ExistingMedia
    ) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
        """Execute the plan; return the manifest, and the number of files by action."""
        check_plan(plan, self._hook)
        uploads = {file.path: file.upload for file in files if file.upload}
        results = [
            StepResult(step=step, action="keep", media=step.existing) for step in plan.steps if step.action == "keep"
        ]
        checkpoint = self._checkpoint
        baseline = (checkpoint and checkpoint.baseline) or existing.baseline.reduced(max_known=MAX_BASELINE_IDS)
        checkpoint = checkpoint or SyncCheckpoint(sending=False, baseline=baseline)
        if plan.to_upload:
            checkpoint = replace(checkpoint, sending=True, baseline=baseline)
            self._state.save(checkpoint)
            results += self._execute(plan.to_upload, uploads, existing)
        if gone := self._find_gone(results):
            self._state.save(replace(checkpoint, sending=True, baseline=baseline))
            results = [result for result in results if result.step.path not in {step.path for step in gone}]
            results += self._execute(gone, uploads, existing)
        try:
            return self._finish(results, uploads)
        except MediaError:
            # No upload is running any more, although not all files are done.
            receipts = {
                result.step.path: Receipt.of(uploads[result.step.path], result.media)
                for result in results
                if result.action in ("create", "replace") and result.media
            }
            self._state.save(SyncCheckpoint.ended(baseline, {**checkpoint.receipts, **receipts}))
            raise

    def _previous_receipts(self) -> tuple[dict[str, Receipt], float]:
        """Return the receipts of earlier runs and attempts, and how long the library may still take to show them."""
        settle_seconds = self._hook.settings.settle_seconds
        manifest_file, checkpoint = self._options.manifest_file, self._checkpoint
        receipts: dict[str, Receipt] = {}
        ages = [float("inf")]
        if manifest_file and (receipts := manifest_file.read_receipts()):
            ages.append(manifest_file.age_seconds())
        if checkpoint and checkpoint.receipts:
            receipts = {**receipts, **checkpoint.receipts}
            ages.append(checkpoint.age_seconds())
        return receipts, max(0.0, settle_seconds - min(ages))

    def _execute(
        self, steps: Sequence[PlanStep], uploads: Mapping[str, UploadSpec], existing: ExistingMedia
    ) -> list[StepResult]:
        sizes = sum(step.size or 0 for step in steps)
        progress = FilesProgress(len(steps), sizes)
        with worker_pool(self._hook, self._options.max_workers) as pool:
            executor = SyncExecutor(
                self._hook, pool, self._options, self._references, uploads=uploads, existing=existing, progress=progress
            )
            results = executor.execute(steps)
        log.info("Uploaded %s", progress.summary())
        return results

    def _find_gone(self, results: Sequence[StepResult]) -> list[PlanStep]:
        """Read the kept files again; return steps that upload those that are gone, because lists may be stale."""
        kept = [result for result in results if result.action == "keep"]
        media = [result.media for result in kept if result.media]
        if len(media) > _MAX_KEPT_BY_ID and len(kept) == len(results):
            return []  # nothing was uploaded, so the list is fresh
        settle_seconds = self._hook.settings.settle_seconds
        still = find_unchanged(media, max_by_id=_MAX_KEPT_BY_ID, settle_seconds=settle_seconds)
        there = {str(one.id) for one in self._hook.run_flow(still)}
        gone = [result.step for result in kept if result.media and str(result.media.id) not in there]
        if gone:
            paths = ", ".join(repr(step.path) for step in gone[:_MAX_NAMED])
            log.warning("%s no longer in the library, uploading again: %s", plural(len(gone), "kept file"), paths)
        return [replace(step, action="create", existing=None, reason="no longer in the library") for step in gone]

    def _finish(
        self, results: list[StepResult], uploads: Mapping[str, UploadSpec]
    ) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
        """Raise if too many files failed; otherwise write and return the manifest."""
        manifest_file = self._options.manifest_file
        counts = count_results(results)
        raise_if_failed(results, self._options.allow_failures)
        log_changes(results, uploads, has_manifest=manifest_file is not None)
        manifest = manifest_of(results, uploads)
        if manifest_file:
            manifest_file.write(manifest)
        return manifest, counts


def log_plan(plan: SyncPlan, kept: Mapping[int | str, list[str]], *, is_dry_run: bool) -> None:
    """Log the plan; if it is refused, only what the error does not name."""
    if kept:
        users = "; ".join(f"media {media_id} by {', '.join(names)}" for media_id, names in kept.items())
        log.warning("Kept old versions beside the new ones, because they are still used: %s", escape_controls(users))
    title = "Plan (dry run, nothing is uploaded)" if is_dry_run else "Plan"
    counts = ", ".join(f"{count} {action}" for action, count in plan.counts.items() if count)
    if plan.refused and not is_dry_run:
        is_named = len(plan.refused) <= _MAX_NAMED
        log.info("%s: %s%s", title, counts, "" if is_named else f"\n{plan.table('refuse')}")
        return
    changes = plan.table("refuse", "replace", "create")
    log.info("%s: %s%s", title, counts, f"\n{changes}" if changes else "")
    if plan.counts["keep"]:
        log.info("::group::%s in the library", plural(plan.counts["keep"], "file"))
        log.info("%s", plan.table("keep"))
        log.info("::endgroup::")


def check_plan(plan: SyncPlan, hook: MediaHook) -> None:
    """Check before the first upload that the whole plan can be executed."""
    refused = plan.refused
    if refused:
        files = f"{len(refused)} of {plural(len(plan.steps), 'file')}"
        table = _table([(step.path, step.reason) for step in refused])
        error_class = next(step.error_class for step in refused if step.error_class)
        raise error_class(f"{_refusal(refused, files)}; nothing was uploaded\n{table}")
    replaced = sum(bool(step.old) for step in plan.steps)
    if replaced and not hook.settings.allow_delete:
        raise MediaConfigurationError(
            f"The plan replaces {plural(replaced, 'file')}, but the connection {hook.media_conn_id!r} does not allow"
            ' deletions (extra \'allow_delete\': false). Use if_changed="upload" or "fail", or allow deletions.'
        )


def _refusal(refused: Sequence[PlanStep], files: str) -> str:
    """Return why files are refused, if all are for one reason."""
    rejecters = {step.rejected_by for step in refused}
    if len(rejecters) == 1 and (titles := rejecters.pop()):
        return f"{' and '.join(titles)} {'does' if len(titles) == 1 else 'do'} not accept {files}"
    if all(step.error_class is MediaInUseError for step in refused):
        return f"Cannot replace {files}, because the old versions are still used"
    return f"Cannot sync {files}"


def count_results(results: Sequence[StepResult]) -> dict[str, int]:
    """Log and return the number of files by action."""
    counted = Counter(result.action for result in results)
    counts = {action: counted[action] for action in ("create", "replace", "keep", "failed")}
    shown = ", ".join(f"{count} {action}" for action, count in counts.items() if count)
    log.info("Synced %s: %s", plural(len(results), "file"), shown)
    return counts


def raise_if_failed(results: Sequence[StepResult], allow_failures: int) -> None:
    """Raise if more than ``allow_failures`` files failed; otherwise log the failures.

    :raises MediaError: of the class of one of the errors, a retryable one if possible, so that Airflow retries.
    """
    failed = [(result.step.path, result.error) for result in results if result.error]
    files, table = plural(len(results), "file"), _table([(path, str(error)) for path, error in failed])
    if len(failed) > allow_failures:
        errors = [error for _, error in failed]
        kind = type(next((error for error in errors if error.retryable), errors[0]))
        done = len(results) - len(failed)
        raise kind(f"{len(failed)} of {files} failed; the other {done} are in the library\n{table}")
    if failed:
        log.warning("%d of %s failed (allow_failures=%d)\n%s", len(failed), files, allow_failures, table)


def log_changes(results: Iterable[StepResult], uploads: Mapping[str, UploadSpec], *, has_manifest: bool) -> None:
    """Log one warning of the files that the platform changed."""
    sent = [(result.step.path, result.media) for result in results if result.action in ("create", "replace")]
    changed = [
        (path, ", ".join(changes)) for path, media in sent if media and (changes := changes_of(uploads[path], media))
    ]
    if not changed:
        return
    is_recognized = has_manifest or all(uploads[path].fingerprint for path, _ in changed)
    advice = "" if is_recognized else ". Set manifest_path or fingerprint=True, so that later runs recognize them"
    log.warning(
        "The platform changed what it stored of %s%s\n%s", plural(len(changed), "file"), advice, _table(changed)
    )


def _table(rows: list[tuple[str, str]]) -> str:
    more = len(rows) - _MAX_NAMED
    return as_table(rows[:_MAX_NAMED]) + (f"\nand {more} more; the log names them" if more > 0 else "")
