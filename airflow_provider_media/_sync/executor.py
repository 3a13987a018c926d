"""Carry a sync's plan out: several files at once, each on its own, until all are done or going on makes no sense."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.formatting import format_ids
from airflow_provider_media._deletion.delete import find_references
from airflow_provider_media._sync.plan import StepResult
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaError,
    MediaInUseError,
    MediaRateLimitError,
    MediaUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_media._api.flows import Flow
    from airflow_provider_media._deletion.delete import References
    from airflow_provider_media._sync.compare import ExistingMedia
    from airflow_provider_media._sync.plan import PlanStep
    from airflow_provider_media._upload.progress import FilesProgress
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

MAX_WORKERS = 16
"""More would need more connections than a session keeps open."""

MAX_CONSECUTIVE_FAILURES = 8
"""After so many failures in a row of a library that cannot be reached, the other files are not tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What is to follow on a flow.

    :param go_on: takes what the flow came to.
    :param fail: takes the error.
    """

    go_on: Callable[[Any], None]
    fail: Callable[[MediaError], None]


@contextmanager
def worker_pool(hook: MediaHook, count: int) -> Iterator[ThreadPoolExecutor]:
    """Run threads; whatever ends the block early breaks off all that is under way.

    :param count: how many threads.
    """
    pool = ThreadPoolExecutor(count, thread_name_prefix="media-sync")
    try:
        yield pool
    except BaseException:
        hook.cancel()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class SyncExecutor:
    """Sends what a plan says, makes sure of it, deletes what it replaces.

    Threads send and delete; the callables of the user are called in this thread only.

    :param hook: the connection, one for all threads.
    :param pool: the threads.
    :param width: how many they are.
    :param uploads: by path, what is to be sent.
    :param known: what the library held before.
    :param references: tells what still uses a file.
    :param on_reference: ``fail`` or ``skip``.
    :param progress: is told of each file that is done.
    """

    def __init__(
        self,
        hook: MediaHook,
        pool: ThreadPoolExecutor,
        *,
        width: int,
        uploads: Mapping[str, UploadSpec],
        known: ExistingMedia,
        references: References | None,
        on_reference: str,
        progress: FilesProgress,
    ) -> None:
        self._hook = hook
        self._pool = pool
        self._most_running = 2 * width  # so that no thread waits for this one
        self._hopeless = max(MAX_CONSECUTIVE_FAILURES, self._most_running)
        self._uploads = uploads
        self._known = known
        self._references = references
        self._on_reference = on_reference
        self._progress = progress
        self._running: dict[Future[Any], _Job] = {}
        self._failures_in_a_row = 0
        self._outcomes: list[StepResult] = []

    def execute(self, steps: Sequence[PlanStep]) -> list[StepResult]:
        """Do all steps; a failure of one does not stop the others.

        :raises MediaAuthError: the key or the address is refused; nothing more is begun.
        :raises MediaError: the task was stopped.
        """
        waiting = deque(steps)
        while waiting or self._running:
            while waiting and len(self._running) < self._most_running and not self._is_hopeless:
                self._begin(waiting.popleft())
            if self._is_hopeless:
                self._give_up(waiting)
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                self._take(future, self._running.pop(future))
        return self._outcomes

    @property
    def _is_hopeless(self) -> bool:
        return self._failures_in_a_row >= self._hopeless

    def _give_up(self, waiting: deque[PlanStep]) -> None:
        if waiting:
            log.warning("The last %d files all failed; %d more are not tried", self._failures_in_a_row, len(waiting))
        while waiting:
            self._fail(waiting.popleft(), MediaUnavailableError("Not tried: too many files before it failed."))

    def _begin(self, step: PlanStep) -> None:
        from airflow_provider_media._upload.flow import upload_for_sync
        from airflow_provider_media._upload.recent import RECENT_UPLOADS

        if step.there:
            self._sent(step, step.there)
            return
        upload = self._uploads[step.path]
        flow = upload_for_sync(
            upload,
            self._known.baseline,
            settle_seconds=self._hook.settings.settle_seconds,
            retries=self._hook.get_conn().new_retry_state(),
            replaces=bool(step.old),
            latest_id=RECENT_UPLOADS.latest_of(self._hook.settings),
        )
        self._submit(flow, _Job(go_on=partial(self._sent, step), fail=partial(self._fail, step)))

    def _submit(self, flow: Flow[Any], job: _Job) -> None:
        self._running[self._pool.submit(self._hook.run_flow, flow)] = job

    def _take(self, future: Future[Any], job: _Job) -> None:
        try:
            result = future.result()
        except MediaAuthError:
            raise
        except MediaError as error:
            if self._hook.get_conn().is_cancelled:
                raise
            passing = isinstance(error, (MediaUnavailableError, MediaRateLimitError))
            self._failures_in_a_row = self._failures_in_a_row + 1 if passing else 0
            job.fail(error)
        else:
            self._failures_in_a_row = 0
            job.go_on(result)

    def _sent(self, step: PlanStep, media: Media) -> None:
        from airflow_provider_media._airflow.lineage import report_upload
        from airflow_provider_media._api.deletion import delete_unchanged
        from airflow_provider_media._upload.recent import RECENT_UPLOADS

        if media is not step.there:
            RECENT_UPLOADS.add(self._hook.settings, self._uploads[step.path].name, media.id)
            log.info("Sent %r: id %s, %s bytes, %s", step.path, media.id, media.size, media.url)
            report_upload(self._hook, self._uploads[step.path].source.label, media, step.name)
        # Never the new file itself, should a platform answer with the id of an equal one that was there.
        old = [one for one in step.old if str(one.id) != str(media.id)]
        try:
            deletable = self._without_used(step, media, old)
        except MediaError as error:
            self._fail(step, error)
            return
        if deletable:
            fail = partial(self._not_deleted, step, media, deletable)
            self._submit(delete_unchanged(deletable), _Job(go_on=partial(self._deleted, step, media), fail=fail))
        else:
            self._finish(StepResult(step=step, action="create", media=media))

    def _without_used(self, step: PlanStep, media: Media, old: list[Media]) -> list[Media]:
        """Ask again what still uses the old files: the transfer took time.

        :raises MediaInUseError: something does (``on_reference="fail"``).
        :raises MediaError: the user's callable fails.
        """
        try:
            used = find_references(old, self._references)
        except MediaError:
            raise
        except Exception as error:  # whatever the user's callable raises concerns this file only
            cause = f"{type(error).__name__}: {error}"
            sentence = f"{_stored(media)}, but references failed ({cause}), so the old {format_ids(old)} was kept."
            raise MediaError(sentence) from error
        if not used:
            return old
        users = "; ".join(f"{media_id} is used by {', '.join(names)}" for media_id, names in used.items())
        if self._on_reference == "fail":
            raise MediaInUseError(f"{_stored(media)}, but by now {users}, so the old {format_ids(old)} was kept.")
        log.warning("%r is kept beside the new version %s: %s", step.name, media.id, users)
        return [one for one in old if one.id not in used]

    def _not_deleted(self, step: PlanStep, media: Media, old: list[Media], error: MediaError) -> None:
        told = type(error)(
            f"{_stored(media)}, but deleting the old {format_ids(old)} failed: {error}", status=error.status
        )
        self._fail(step, told)

    def _deleted(self, step: PlanStep, media: Media, replaced: tuple[int | str, ...]) -> None:
        for media_id in replaced:
            log.info("Deleted the media %s, which %s replaces", media_id, media.id)
        self._finish(StepResult(step=step, action="replace", media=media, replaced=replaced))

    def _finish(self, outcome: StepResult) -> None:
        self._outcomes.append(outcome)
        if not outcome.error:
            self._progress.add(outcome.step.size or 0)

    def _fail(self, step: PlanStep, error: MediaError) -> None:
        log.warning("%r failed: %s", step.path, error)
        self._finish(StepResult(step=step, action="failed", error=error))


def _stored(media: Media) -> str:
    return f"The new version is stored as {media.id}"
