"""Execute the plan of a sync: several files in parallel; stop when the library is unavailable."""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.assets import report_upload
from airflow_provider_media._api.deletion import delete_unchanged
from airflow_provider_media._api.values import escape_controls, format_ids, format_media
from airflow_provider_media._deletion.delete import find_references, format_references, in_use_error
from airflow_provider_media._upload.body import FilesProgress
from airflow_provider_media._upload.checkpoint import recent_uploads
from airflow_provider_media._upload.flow import upload_for_sync
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaError,
    MediaInUseError,
    MediaRateLimitError,
    MediaUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from airflow_provider_media._api.baseline import Baseline
    from airflow_provider_media._api.flows import Flow
    from airflow_provider_media._sync.compare import SyncOptions
    from airflow_provider_media._sync.plan import PlanStep
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

    Work = Generator[Flow[Any], Any, PlanStep]

log = logging.getLogger(__name__)

MAX_CONSECUTIVE_FAILURES = 8
"""After this many consecutive failures of an unavailable library, the remaining files are skipped."""


@contextmanager
def worker_pool(hook: MediaHook, count: int) -> Iterator[ThreadPoolExecutor]:
    """Run threads; an exception in the block cancels all transfers."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="media-sync")
    try:
        yield pool
    except BaseException:
        hook.cancel()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class SyncExecutor:
    """Executes the steps of a plan: upload, verify, delete what is replaced.

    Threads upload and delete; references are checked in the task's thread.
    """

    def __init__(self, hook: MediaHook, options: SyncOptions, baseline: Baseline, steps: Sequence[PlanStep]) -> None:
        self._hook = hook
        self._options = options
        self._baseline = baseline
        self._steps = steps
        self._references_lock = threading.Lock()
        self._running: dict[Future[Any], tuple[PlanStep, Work]] = {}
        self._results: list[PlanStep] = []
        self._consecutive_failures = 0
        self._progress = FilesProgress(len(steps), sum(step.file.size or 0 for step in steps))

    def execute(self) -> list[PlanStep]:
        """Execute all steps, and return their results; the failure of one does not stop the others.

        :raises MediaAuthError: the API rejects the key or the address; no further step is started.
        """
        waiting = deque(self._steps)
        most_running = 2 * self._options.max_workers  # so that no thread waits for this one
        with worker_pool(self._hook, self._options.max_workers) as self._pool:
            while waiting or self._running:
                failures = self._consecutive_failures
                if waiting and failures >= max(MAX_CONSECUTIVE_FAILURES, most_running):
                    log.warning("%d consecutive files failed; skipping %d more", failures, len(waiting))
                    while waiting:
                        error = MediaUnavailableError("Skipped, because too many consecutive files failed.")
                        self._fail(waiting.popleft(), error)
                while waiting and len(self._running) < most_running:
                    step = waiting.popleft()
                    self._proceed(step, self._sync_file(step))
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    self._proceed(*self._running.pop(future), future)
        log.info("Uploaded %s", self._progress.summary())
        return self._results

    def _proceed(self, step: PlanStep, work: Work, future: Future[Any] | None = None) -> None:
        """Continue a step in this thread until its next flow, which a worker runs."""
        error = future.exception() if future else None
        if error and (isinstance(error, MediaAuthError) or self._hook.get_conn().is_cancelled):
            raise error
        if future:
            is_transient = isinstance(error, (MediaUnavailableError, MediaRateLimitError))
            self._consecutive_failures = self._consecutive_failures + 1 if is_transient else 0
        try:
            flow = work.throw(error) if error else work.send(future and future.result())
        except StopIteration as finished:
            self._results.append(finished.value)
            self._progress.add(step.file.size or 0)
        except MediaError as failure:
            self._fail(step, failure)
        else:
            self._running[self._pool.submit(self._hook.run_flow, flow)] = (step, work)

    def _fail(self, step: PlanStep, error: MediaError) -> None:
        log.warning("Could not sync %r: %s", step.file.path, error)
        self._results.append(replace(step, action="failed", media=None, error=error))

    def _sync_file(self, step: PlanStep) -> Work:
        """Upload a file, then delete what it replaces; yield the flows, which workers run."""
        media, upload = step.media, step.file.upload
        if media is None:
            assert upload  # noqa: S101 - for the type checker; files without are refused
            media = yield upload_for_sync(
                upload,
                self._baseline,
                settle_seconds=self._hook.settings.settle_seconds,
                retries=self._hook.get_conn().new_retry_state(),
                replaces=bool(step.old),
                recent=recent_uploads(self._hook.settings),
            )
            log.info("Uploaded %r: %s", step.file.path, format_media(media))
            report_upload(self._hook, upload.source.label, media, step.file.name)
        # Never the new file itself: a platform may return the id of an identical file that it already had.
        old = [one for one in step.old if str(one.id) != str(media.id)]
        replaced: tuple[int | str, ...] = ()
        if old and (unused := self._without_used(step, media, old)):
            try:
                replaced = yield self._delete(unused)
            except MediaError as error:
                sentence = f"Uploaded as {media.id}, but could not delete {format_ids(unused)}: {error}"
                raise type(error)(sentence, status=error.status) from error
        for media_id in replaced:
            log.info("Deleted media %r, replaced by %r", media_id, media.id)
        return replace(step, action="replace" if replaced else "create", media=media)

    def _delete(self, old: list[Media]) -> Flow[tuple[int | str, ...]]:
        if self._options.back_up:
            self._options.back_up(old)  # here, because the workers run the flow
        return (yield from delete_unchanged(old, self._must_keep))

    def _must_keep(self, old: Iterable[Media]) -> bool:
        """Return whether an old file with an id that only a GET shows is in use; called by the workers."""
        used = self._find_used(old)
        if used and self._options.on_reference == "fail":
            raise in_use_error(used)
        if used:
            log.warning("Kept the old version beside the new one. %s", format_references(used))
        return bool(used)

    def _find_used(self, old: Iterable[Media]) -> dict[int | str, list[str]]:
        try:
            with self._references_lock:
                return find_references(old, self._options.references)
        except MediaError:
            raise
        except Exception as error:  # any error of the user's callable concerns this file only
            raise MediaError(f"references failed ({type(error).__name__}: {error}).") from error

    def _without_used(self, step: PlanStep, media: Media, old: list[Media]) -> list[Media]:
        """Check again what still uses the old files, because the transfer took time."""
        kept = f"Uploaded as {media.id}, but {format_ids(old)} was not deleted"
        try:
            used = self._find_used(old)
        except MediaError as error:
            raise type(error)(f"{kept}: {error}", status=error.status) from error
        if not used:
            return old
        users = "; ".join(f"{media_id} is used by {', '.join(names)}" for media_id, names in used.items())
        if self._options.on_reference == "fail":
            raise MediaInUseError(f"{kept}, because {users}.")
        log.warning(
            "Kept the old version of %r beside the new one (%r): %s", step.file.name, media.id, escape_controls(users)
        )
        return [one for one in old if one.id not in used]
