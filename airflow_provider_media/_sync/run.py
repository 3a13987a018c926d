"""Sync a folder in steps: scan, compare, plan, check, upload, read again what is kept."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.task_state import TaskState
from airflow_provider_media._api.deletion import find_unchanged
from airflow_provider_media._api.flows import sleep
from airflow_provider_media._api.values import escape_controls, plural
from airflow_provider_media._deletion.delete import find_references
from airflow_provider_media._sync.compare import fetch_existing_media, prepare_files
from airflow_provider_media._sync.executor import SyncExecutor, worker_pool
from airflow_provider_media._sync.manifest import (
    Receipt,
    SyncCheckpoint,
    check_manifest_path,
    read_receipts,
    write_manifest,
)
from airflow_provider_media._sync.plan import as_table, keep_used, make_plan
from airflow_provider_media._sync.scan import find_files
from airflow_provider_media._upload.checkpoint import MAX_BASELINE_IDS
from airflow_provider_media._upload.spec import changes_of
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaInUseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._sync.compare import SyncOptions
    from airflow_provider_media._sync.plan import LocalFile, PlanStep, SyncPlan
    from airflow_provider_media._sync.scan import FoundFile
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_MAX_NAMED = 50
"""How many files a log line or an error names."""

_MAX_KEPT_BY_ID = 10
"""How many kept files are read again by their ids; more are read by pages."""


class FolderSync:
    """One sync of a folder; its methods are the steps, in their order."""

    def __init__(self, hook: MediaHook, options: SyncOptions, context: Context, *, task_id: str) -> None:
        self._hook = hook
        self._options = options
        self._state = TaskState(context, SyncCheckpoint, task_id=task_id)
        self._state.identify(
            lambda: {
                "base_url": hook.settings.base_url,
                "conn_id": hook.media_conn_id,
                "folder_id": options.folder_id,
                "if_changed": options.if_changed,
                "source": options.source_label,
                "name_template": options.name_template,
            }
        )
        self._previous = SyncCheckpoint.load(self._state, context)

    def scan(self) -> list[FoundFile]:
        """List the folder, and check that the manifest can be written."""
        options = self._options
        found = find_files(options.source, options.pattern, options.exclude, written=options.source_label)
        if options.manifest_path and not options.dry_run:
            check_manifest_path(options.manifest_path, found)
        return found

    def plan(self, found: Sequence[FoundFile]) -> SyncPlan:
        """Check each file, list the library, and decide what becomes of each file; log the plan."""
        options = self._options
        files, existing = self._compare(found)
        plan = make_plan(files, existing, if_changed=options.if_changed, sent_before=self._previous.may_have_sent)
        used = find_references([media for step in plan.steps for media in step.old], options.references)
        plan = keep_used(plan, used, on_reference=options.on_reference)
        log_plan(plan, used if options.on_reference == "skip" else {}, is_dry_run=options.dry_run)
        return plan

    def _compare(self, found: Sequence[FoundFile]) -> tuple[list[LocalFile], dict[str, list[Media]]]:
        options, settle_seconds = self._options, self._hook.settings.settle_seconds
        receipts, age = read_receipts(options.manifest_path) if options.manifest_path else ({}, float("inf"))
        if self._previous.receipts:
            receipts |= {path: Receipt.from_dict(receipt) for path, receipt in self._previous.receipts.items()}
            age = min(age, max(0.0, time.time() - self._previous.ended_at))
        with worker_pool(self._hook, options.max_workers) as pool:
            files = prepare_files(self._hook, found, options, pool, receipts)
            if self._previous.sending and not options.dry_run:
                log.info(
                    "A previous attempt was interrupted; waiting %g s for the library to show its uploads",
                    settle_seconds,
                )
                self._hook.run_flow(sleep(settle_seconds))
            existing, self._baseline = fetch_existing_media(self._hook, files, pool, wait_seconds=settle_seconds - age)
        return files, existing

    def apply(self, plan: SyncPlan) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
        """Execute the plan; return the manifest, and the number of files by action."""
        check_plan(plan, self._hook)
        baseline = self._previous.baseline or self._baseline.reduced(max_known=MAX_BASELINE_IDS)
        checkpoint = replace(self._previous, sending=True, baseline=baseline)
        results = [step for step in plan.steps if step.action == "keep"]
        if to_upload := [step for step in plan.steps if step.action in ("create", "replace")]:
            self._state.save(checkpoint)
            results += SyncExecutor(self._hook, self._options, self._baseline, to_upload).execute()
        if gone := self._find_gone(results):
            self._state.save(checkpoint)
            results = [result for result in results if result.file.path not in {step.file.path for step in gone}]
            results += SyncExecutor(self._hook, self._options, self._baseline, gone).execute()
        try:
            finished = self._finish(results)
        except MediaError:
            # No upload is running any more, although not all files are done.
            self._state.save(checkpoint.ended(manifest_of(results)))
            raise
        self._state.delete()
        return finished

    def _find_gone(self, results: Sequence[PlanStep]) -> list[PlanStep]:
        """Read the kept files again; return steps that upload those that are gone, because lists may be stale."""
        kept = [result for result in results if result.action == "keep"]
        media = [result.media for result in kept if result.media]
        if len(media) > _MAX_KEPT_BY_ID and len(kept) == len(results):
            return []  # nothing was uploaded, so the list is fresh
        settle_seconds = self._hook.settings.settle_seconds
        still = find_unchanged(media, max_by_id=_MAX_KEPT_BY_ID, settle_seconds=settle_seconds)
        there = {str(one.id) for one in self._hook.run_flow(still)}
        gone = [step for step in kept if step.media and str(step.media.id) not in there]
        if gone:
            paths = ", ".join(repr(step.file.path) for step in gone[:_MAX_NAMED])
            log.warning("%s no longer in the library, uploading again: %s", plural(len(gone), "kept file"), paths)
        return [replace(step, action="create", media=None, reason="no longer in the library") for step in gone]

    def _finish(self, results: list[PlanStep]) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
        """Raise if too many files failed; otherwise write and return the manifest, and the counts."""
        counted = Counter(result.action for result in results)
        counts = {action: counted[action] for action in ("create", "replace", "keep", "failed")}
        shown = ", ".join(f"{count} {action}" for action, count in counts.items() if count)
        log.info("Synced %s: %s", plural(len(results), "file"), shown)
        raise_if_failed(results, self._options.allow_failures)
        path = self._options.manifest_path
        log_changes(results, has_manifest=path is not None)
        manifest = manifest_of(results)
        if path:
            write_manifest(path, manifest)
        return manifest, counts


def manifest_of(results: Iterable[PlanStep]) -> dict[str, dict[str, Any]]:
    """Return one entry for each file in the library, by path in the folder, sorted."""
    entries = {step.file.path: step.manifest_entry() for step in results}
    return {path: entry for path, entry in sorted(entries.items()) if entry}


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
        log.info("::group::%s", plural(plan.counts["keep"], "kept file"))
        log.info("%s", plan.table("keep"))
        log.info("::endgroup::")


def check_plan(plan: SyncPlan, hook: MediaHook) -> None:
    """Check before the first upload that the whole plan can be executed."""
    refused = plan.refused
    if refused:
        files = f"{len(refused)} of {plural(len(plan.steps), 'file')}"
        table = _table([(step.file.path, step.reason) for step in refused])
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
    rejecters = {step.file.rejected_by for step in refused}
    if len(rejecters) == 1 and (titles := rejecters.pop()):
        return f"{' and '.join(titles)} {'does' if len(titles) == 1 else 'do'} not accept {files}"
    if all(step.error_class is MediaInUseError for step in refused):
        return f"Cannot replace {files}, because the old versions are still used"
    return f"Cannot sync {files}"


def raise_if_failed(results: Sequence[PlanStep], allow_failures: int) -> None:
    """Raise if more than ``allow_failures`` files failed, a retryable error if possible; otherwise log the failures."""
    failed = [(result.file.path, result.error) for result in results if result.error]
    if not failed:
        return
    files, table = plural(len(results), "file"), _table([(path, str(error)) for path, error in failed])
    if len(failed) <= allow_failures:
        log.warning("%d of %s failed (allow_failures=%d)\n%s", len(failed), files, allow_failures, table)
        return
    errors = [error for _, error in failed]
    kind = type(next((error for error in errors if error.retryable), errors[0]))
    done = len(results) - len(failed)
    raise kind(f"{len(failed)} of {files} failed; the other {done} are in the library\n{table}")


def log_changes(results: Iterable[PlanStep], *, has_manifest: bool) -> None:
    """Log one warning of the files that the platform changed."""
    changed = [
        (step.file, ", ".join(changes))
        for step in results
        if step.action != "keep" and step.file.upload and step.media
        if (changes := changes_of(step.file.upload, step.media))
    ]
    if not changed:
        return
    is_recognized = has_manifest or all(file.upload and file.upload.fingerprint for file, _ in changed)
    advice = "" if is_recognized else ". Set manifest_path or fingerprint=True, so that later runs recognize them"
    table = _table([(file.path, changes) for file, changes in changed])
    log.warning("The platform changed what it stored of %s%s\n%s", plural(len(changed), "file"), advice, table)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return as_table(rows, max_rows=_MAX_NAMED, hint="; the log names them")
