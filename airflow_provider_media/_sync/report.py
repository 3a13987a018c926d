"""Log lines and errors of a sync."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_media._sync.plan import as_table
from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_media._sync.plan import StepResult, SyncPlan
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.exceptions import MediaError
    from airflow_provider_media.hooks.media import MediaHook

log = logging.getLogger(__name__)

_MAX_NAMED = 50
"""How many files an error names."""


def log_plan(plan: SyncPlan, kept: Mapping[int | str, list[str]], *, is_dry_run: bool) -> None:
    """Log the plan.

    :param kept: by id, the users of old versions that are kept.
    """
    if kept:
        users = "; ".join(f"media {media_id} by {', '.join(names)}" for media_id, names in kept.items())
        log.warning("Kept beside their new versions, because still used: %s", users)
    counts = ", ".join(f"{count} {action}" for action, count in plan.counts.items() if count)
    log.info("The plan%s: %s\n%s", " (dry run: nothing is sent)" if is_dry_run else "", counts, plan.table())


def check_plan(plan: SyncPlan, hook: MediaHook) -> None:
    """Check before anything is sent that the whole plan can be executed.

    :raises MediaError: it cannot.
    """
    refused = plan.refused
    if refused:
        kinds = [step.refused for step in refused if step.refused]
        table = _table([(step.path, step.reason) for step in refused])
        files = f"{len(refused)} of {len(plan.steps)} files cannot be synced, and nothing was sent"
        raise kinds[0](f"{files}:\n{table}")
    replaced = sum(bool(step.old) for step in plan.steps)
    if replaced and not hook.settings.allow_delete:
        raise MediaConfigurationError(
            f"The plan replaces {replaced} files, but the connection {hook.media_conn_id} does not allow to delete"
            ' (extra \'allow_delete\': false): use if_changed="upload" or "fail", or allow it.'
        )


def count_results(results: Sequence[StepResult]) -> dict[str, int]:
    """Log and return how many files there are of each action."""
    counted = Counter(result.action for result in results)
    counts = {action: counted[action] for action in ("create", "replace", "keep", "failed")}
    shown = ", ".join(f"{count} {action}" for action, count in counts.items() if count)
    log.info("Synced %d files: %s", len(results), shown)
    return counts


def raise_if_failed(results: Sequence[StepResult], allow_failures: int) -> None:
    """Raise if more files failed than may; otherwise log those that did.

    :raises MediaError: of the kind of one of the errors: a transient one if there is one, so that Airflow retries.
    """
    failed = [(result.step.path, result.error) for result in results if result.error]
    if len(failed) > allow_failures:
        raise _failure(failed, len(results))
    if failed:
        table = _table([(path, str(error)) for path, error in failed])
        log.warning("%d files failed, %d may:\n%s", len(failed), allow_failures, table)


def log_changes(results: Iterable[StepResult], uploads: Mapping[str, UploadSpec], *, has_manifest: bool) -> None:
    """Log one warning of what the library stored differently than it was sent.

    :param has_manifest: whether later runs recognize the files by the manifest.
    """
    from airflow_provider_media._upload.stored import changes_of

    sent = [(result.step.path, result.media) for result in results if result.action in ("create", "replace")]
    changed = [
        (path, ", ".join(changes)) for path, media in sent if media and (changes := changes_of(uploads[path], media))
    ]
    if not changed:
        return
    is_recognized = has_manifest or all(uploads[path].fingerprint for path, _ in changed)
    advice = "" if is_recognized else "; give manifest_path or fingerprint=True, so that later runs recognize them"
    log.warning("The platform changed what it stored of %d files%s:\n%s", len(changed), advice, _table(changed))


def _failure(failed: list[tuple[str, MediaError]], files: int) -> MediaError:
    errors = [error for _, error in failed]
    kind = type(next((error for error in errors if error.retryable), errors[0]))
    done = files - len(failed)
    table = _table([(path, str(error)) for path, error in failed])
    return kind(f"{len(failed)} of {files} files failed; the other {done} are in the library:\n{table}")


def _table(rows: list[tuple[str, str]]) -> str:
    more = len(rows) - _MAX_NAMED
    return as_table(rows[:_MAX_NAMED]) + (f"\nand {more} more; the log names them" if more > 0 else "")
