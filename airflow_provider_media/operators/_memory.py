"""Remember uploads and deletes in Airflow's task state, so that the retry of a broken-off task goes on from there.

Airflow has a task state store from 3.3 on; it is kept for the tries of one task in one run. What an operator did stays
remembered beyond its end: Airflow may still not take the result, or the worker die, and then the task is tried again.
A task that is cleared starts afresh, save for what was cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._api.baseline import Baseline
    from airflow_provider_media._api.upload import Upload
    from airflow_provider_media._api.upload_memory import Begun, Memory
    from airflow_provider_media.models import Media

KEY = "media_upload"
"""The name under which the task state store keeps it."""


DELETED_KEY = "media_deleted"


class DeletedMemory:
    """The ids that earlier tries of this task deleted; knows of none where Airflow has no task state.

    :param context: the task's context.
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")
        self._first_try = first_try_number(context)

    def recall(self) -> list[int | str]:
        """Return the ids."""
        kept = None if self._store is None else self._store.get(DELETED_KEY)
        if kept is None or (kept["done"] and kept["first_try"] != self._first_try):
            return []
        return list(kept["ids"])

    def keep(self, begun: list[int | str]) -> None:
        """Remember which were begun to be deleted, before they are."""
        self._keep(begun, done=False)

    def end(self, deleted: list[int | str]) -> None:
        """Remember which were deleted, now that all is done."""
        self._keep(deleted, done=True)

    def _keep(self, ids: list[int | str], *, done: bool) -> None:
        if self._store is not None:
            self._store.set(DELETED_KEY, {"ids": list(ids), "done": done, "first_try": self._first_try})


SYNC_KEY = "media_sync"

_MOST_IDS = 1200
"""Airflow keeps 64 KiB of a task's state; a library whose ids have no order may have more namesakes than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierTries:
    """What is known of earlier tries of a sync.

    :param were_cut_off: whether the last of them had no orderly end, so that files may still be on their way.
    :param baseline: what the library held before the first of them.
    :param since: or else when the run began.
    """

    were_cut_off: bool = False
    baseline: Baseline | None = None
    since: datetime | None = None

    def sent(self, media: Media) -> bool:
        """Whether one of them can have sent a file; what the API does not tell is none of theirs."""
        if self.baseline is not None:
            return self.baseline.is_newer(media) is True
        return self.since is not None and media.created_at is not None and media.created_at >= self.since


class SyncMemory:
    """Remembers that a sync has begun to send, and what the library held before; before Airflow 3.3, tries count.

    :param context: the task's context.
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")
        self._context = context
        self._began_with: dict[str, Any] | None = None

    def recall(self) -> EarlierTries:
        """Return what earlier tries left."""
        from airflow_provider_media._api.baseline import Baseline

        if self._store is None:
            if getattr(self._context.get("ti"), "try_number", 1) <= 1:
                return EarlierTries()
            return EarlierTries(were_cut_off=True, since=getattr(self._context.get("dag_run"), "start_date", None))
        kept = self._store.get(SYNC_KEY)
        if kept is None:
            return EarlierTries()
        self._began_with = kept["baseline"]
        baseline = None if kept["baseline"] is None else Baseline.from_dict(kept["baseline"])
        return EarlierTries(were_cut_off=kept["sending"], baseline=baseline)

    def begin(self, baseline: Baseline) -> None:
        """Remember, before the first byte, that files are being sent.

        :param baseline: what the library holds now; that of an earlier try counts for more.
        """
        if self._began_with is None and (kept := baseline.reduced(max_known=_MOST_IDS)):
            self._began_with = kept.to_dict()
        self._keep(sending=True)

    def end(self) -> None:
        """Remember that nothing is on its way any more, although not all is done."""
        self._keep(sending=False)

    def forget(self) -> None:
        """Remember nothing: the sync is done."""
        if self._store is not None:
            self._store.delete(SYNC_KEY)

    def _keep(self, *, sending: bool) -> None:
        if self._store is not None:
            self._store.set(SYNC_KEY, {"sending": sending, "baseline": self._began_with})


def upload_memory(context: Context) -> Memory | None:
    """Return the memory of this task, or None where Airflow has none."""
    store: Any = context.get("task_state_store")
    return None if store is None else _TaskMemory(store, first_try_number(context))


class _TaskMemory:
    """A memory in the task state store: baseline, name, size and SHA-256 of what is being sent, and what came of it.

    :param store: the accessor that Airflow puts into the context.
    :param first_try: the number of the first try since the task was last cleared.
    """

    def __init__(self, store: Any, first_try: int | None) -> None:
        self._store = store
        self._first_try = first_try
        self._identity: dict[str, Any] = {}

    def recall(self, upload: Upload) -> Begun | None:
        from airflow_provider_media._api.baseline import Baseline
        from airflow_provider_media._api.upload_memory import Begun

        kept = self._store.get(KEY)
        if kept is None or (kept["stored_id"] is not None and kept["first_try"] != self._first_try):
            return None
        if kept["upload"] != self._identify(upload):  # another file now: what was begun is not this
            return None
        return Begun(
            baseline=Baseline.from_dict(kept["baseline"]), stored_id=kept["stored_id"], replaced=tuple(kept["replaced"])
        )

    def keep(self, upload: Upload, begun: Begun) -> None:
        kept = {
            "upload": self._identify(upload),
            "baseline": begun.baseline.to_dict(),
            "stored_id": begun.stored_id,
            "replaced": list(begun.replaced),
            "first_try": self._first_try,
        }
        self._store.set(KEY, kept)

    def forget(self) -> None:
        self._store.delete(KEY)

    def _identify(self, upload: Upload) -> dict[str, Any]:
        from airflow_provider_media._api.source import sha256

        if not self._identity:
            self._identity = {"name": upload.name, "size": upload.source.size, "sha256": sha256(upload.source)}
        return self._identity


def first_try_number(context: Context) -> int | None:
    """Tell the number of the first try since the task was last cleared: clearing raises ``max_tries``."""
    ti: Any = context.get("ti")
    max_tries, retries = getattr(ti, "max_tries", None), getattr(getattr(ti, "task", None), "retries", None)
    return max_tries - (retries or 0) + 1 if isinstance(max_tries, int) else None
