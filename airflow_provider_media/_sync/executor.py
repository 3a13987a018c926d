"""Execute the plan of a sync: several files in parallel; stop when the library is unavailable."""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.assets import report_upload
from airflow_provider_media._api.deletion import delete_unchanged
from airflow_provider_media._api.values import escape_controls, format_ids, format_media
from airflow_provider_media._deletion.delete import find_references, format_references
from airflow_provider_media._sync.plan import StepResult
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
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from airflow_provider_media._api.flows import Flow
    from airflow_provider_media._deletion.delete import References
    from airflow_provider_media._sync.compare import ExistingMedia, SyncOptions
    from airflow_provider_media._sync.plan import PlanStep
    from airflow_provider_media._upload.body import FilesProgress
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

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

    Threads upload and delete.
    """

    def __init__(
        self,
        hook: MediaHook,
        pool: ThreadPoolExecutor,
        options: SyncOptions,
        references: References | None,
        *,
        uploads: Mapping[str, UploadSpec],
        existing: ExistingMedia,
        progress: FilesProgress,
    ) -> None:
        self._hook = hook
        self._pool = pool
        self._options = options
        self._references = references
        self._uploads = uploads
        self._existing = existing
        self._progress = progress
        self._most_running = 2 * options.max_workers  # so that no thread waits for this one
        self._max_failures = max(MAX_CONSECUTIVE_FAILURES, self._most_running)
        self._references_lock = threading.Lock()
        self._running: dict[Future[Any], tuple[Callable[[Any], None], Callable[[MediaError], None]]] = {}
        self._consecutive_failures = 0
        self._results: list[StepResult] = []

    def execute(self, steps: Sequence[PlanStep]) -> list[StepResult]:
        """Execute all steps; the failure of one does not stop the others.

        :raises MediaAuthError: the API rejects the key or the address; no further step is started.
        """
        waiting = deque(steps)
        while waiting or self._running:
            while waiting and len(self._running) < self._most_running and not self._is_unavailable:
                self._start(waiting.popleft())
            if self._is_unavailable:
                self._skip(waiting)
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                self._finish_job(future, *self._running.pop(future))
        return self._results

    @property
    def _is_unavailable(self) -> bool:
        return self._consecutive_failures >= self._max_failures

    def _skip(self, waiting: deque[PlanStep]) -> None:
        if waiting:
            log.warning("%d consecutive files failed; skipping %d more", self._consecutive_failures, len(waiting))
        while waiting:
            self._fail(waiting.popleft(), MediaUnavailableError("Skipped, because too many consecutive files failed."))

    def _start(self, step: PlanStep) -> None:
        if step.existing:
            self._uploaded(step, step.existing)
            return
        upload = self._uploads[step.path]
        flow = upload_for_sync(
            upload,
            self._existing.baseline,
            settle_seconds=self._hook.settings.settle_seconds,
            retries=self._hook.get_conn().new_retry_state(),
            replaces=bool(step.old),
            recent=recent_uploads(self._hook.settings),
        )
        self._submit(flow, partial(self._uploaded, step), partial(self._fail, step))

    def _submit(self, flow: Flow[Any], succeed: Callable[[Any], None], fail: Callable[[MediaError], None]) -> None:
        self._running[self._pool.submit(self._hook.run_flow, flow)] = (succeed, fail)

    def _finish_job(
        self, future: Future[Any], succeed: Callable[[Any], None], fail: Callable[[MediaError], None]
    ) -> None:
        try:
            result = future.result()
        except MediaAuthError:
            raise
        except MediaError as error:
            if self._hook.get_conn().is_cancelled:
                raise
            is_transient = isinstance(error, (MediaUnavailableError, MediaRateLimitError))
            self._consecutive_failures = self._consecutive_failures + 1 if is_transient else 0
            fail(error)
        else:
            self._consecutive_failures = 0
            succeed(result)

    def _uploaded(self, step: PlanStep, media: Media) -> None:
        if media is not step.existing:
            log.info("Uploaded %r: %s", step.path, format_media(media))
            report_upload(self._hook, self._uploads[step.path].source.label, media, step.name)
        # Never the new file itself: a platform may return the id of an identical file that it already had.
        old = [one for one in step.old if str(one.id) != str(media.id)]
        try:
            deletable = self._without_used(step, media, old)
        except MediaError as error:
            self._fail(step, error)
            return
        if deletable:
            fail = partial(self._not_deleted, step, media, deletable)
            self._submit(self._delete(deletable), partial(self._deleted, step, media), fail)
        else:
            self._finish(StepResult(step=step, action="create", media=media))

    def _delete(self, old: list[Media]) -> Flow[tuple[int | str, ...]]:
        if self._options.back_up:
            self._options.back_up(old)  # here, because the workers run the flow
        return (yield from delete_unchanged(old, self._must_keep))

    def _must_keep(self, old: Iterable[Media]) -> bool:
        """Return whether an old file with an id that only a GET shows is in use; called by the workers."""
        used = self._find_used(old)
        if used and self._options.on_reference == "fail":
            raise MediaInUseError(f"{format_references(used)} Nothing was deleted.")
        if used:
            log.warning("Kept the old version beside the new one. %s", format_references(used))
        return bool(used)

    def _find_used(self, old: Iterable[Media]) -> dict[int | str, list[str]]:
        try:
            with self._references_lock:
                return find_references(old, self._references)
        except MediaError:
            raise
        except Exception as error:  # any error of the user's callable concerns this file only
            raise MediaError(f"references failed ({type(error).__name__}: {error}).") from error

    def _without_used(self, step: PlanStep, media: Media, old: list[Media]) -> list[Media]:
        """Check again what still uses the old files, because the transfer took time."""
        try:
            used = self._find_used(old)
        except MediaError as error:
            sentence = f"{_stored(media)}, but {format_ids(old)} was not deleted: {error}"
            raise type(error)(sentence, status=error.status) from error
        if not used:
            return old
        users = "; ".join(f"{media_id} is used by {', '.join(names)}" for media_id, names in used.items())
        if self._options.on_reference == "fail":
            raise MediaInUseError(f"{_stored(media)}, but {format_ids(old)} was not deleted, because {users}.")
        log.warning(
            "Kept the old version of %r beside the new one (%r): %s", step.name, media.id, escape_controls(users)
        )
        return [one for one in old if one.id not in used]

    def _not_deleted(self, step: PlanStep, media: Media, old: list[Media], error: MediaError) -> None:
        sentence = f"{_stored(media)}, but could not delete {format_ids(old)}: {error}"
        self._fail(step, type(error)(sentence, status=error.status))

    def _deleted(self, step: PlanStep, media: Media, replaced: tuple[int | str, ...]) -> None:
        for media_id in replaced:
            log.info("Deleted media %r, replaced by %r", media_id, media.id)
        action = "replace" if replaced else "create"
        self._finish(StepResult(step=step, action=action, media=media, replaced=replaced))

    def _finish(self, result: StepResult) -> None:
        self._results.append(result)
        if not result.error:
            self._progress.add(result.step.size or 0)

    def _fail(self, step: PlanStep, error: MediaError) -> None:
        log.warning("Could not sync %r: %s", step.path, error)
        self._finish(StepResult(step=step, action="failed", error=error))


def _stored(media: Media) -> str:
    return f"Uploaded as {media.id}"
