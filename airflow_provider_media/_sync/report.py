"""Log lines and errors of a sync."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_media._api.values import plural
from airflow_provider_media._sync.plan import as_table
from airflow_provider_media._upload.source import escape_controls
from airflow_provider_media._upload.spec import changes_of
from airflow_provider_media.exceptions import MediaConfigurationError, MediaInUseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_media._sync.plan import PlanStep, StepResult, SyncPlan
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.hooks.media import MediaHook

log = logging.getLogger(__name__)

_MAX_NAMED = 50
"""How many files an error names."""


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
