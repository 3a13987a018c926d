"""Remember uploads and deletes in Airflow's task state, so that the retry of a broken-off task goes on from there.

Airflow has a task state store from 3.3 on; it is kept for the tries of one task in one run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._api.upload import Upload
    from airflow_provider_media._api.upload_flow import Mark, Memory
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

    def recall(self) -> list[int | str]:
        """Return the ids."""
        return [] if self._store is None else list(self._store.get(DELETED_KEY) or [])

    def keep(self, deleted: list[int | str]) -> None:
        """Remember them."""
        if self._store is not None:
            self._store.set(DELETED_KEY, list(deleted))

    def forget(self) -> None:
        """Remember nothing: the task is done."""
        if self._store is not None:
            self._store.delete(DELETED_KEY)


SYNC_KEY = "media_sync"

_MOST_IDS = 2000
"""Airflow keeps 64 KiB of a task's state; a library whose ids have no order may have more namesakes than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierTries:
    """What is known of earlier tries of a sync.

    :param were_cut_off: whether the last of them had no orderly end, so that files may still be on their way.
    :param mark: what the library held before the first of them.
    :param since: or else when the run began.
    """

    were_cut_off: bool = False
    mark: Mark | None = None
    since: datetime | None = None

    def sent(self, media: Media) -> bool:
        """Whether one of them can have sent a file; what the API does not tell is none of theirs."""
        if self.mark is not None:
            return self.mark.precedes(media)
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
        from airflow_provider_media._api.upload_flow import Mark

        if self._store is None:
            if getattr(self._context.get("ti"), "try_number", 1) <= 1:
                return EarlierTries()
            return EarlierTries(were_cut_off=True, since=getattr(self._context.get("dag_run"), "start_date", None))
        kept = self._store.get(SYNC_KEY)
        if kept is None:
            return EarlierTries()
        self._began_with = kept["mark"]
        mark = None if kept["mark"] is None else Mark.from_dict(kept["mark"])
        return EarlierTries(were_cut_off=kept["sending"], mark=mark)

    def begin(self, mark: Mark) -> None:
        """Remember, before the first byte, that files are being sent.

        :param mark: what the library holds now; that of an earlier try counts for more.
        """
        if self._began_with is None and len(mark.namesakes) <= _MOST_IDS:
            self._began_with = mark.to_dict()
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
            self._store.set(SYNC_KEY, {"sending": sending, "mark": self._began_with})


def upload_memory(context: Context) -> Memory | None:
    """Return the memory of this task, or None where Airflow has none."""
    store: Any = context.get("task_state_store")
    return None if store is None else _TaskMemory(store)


class _TaskMemory:
    """A memory in the task state store: mark, name, size and SHA-256 of what is being sent.

    :param store: the accessor that Airflow puts into the context.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._identity: dict[str, Any] = {}

    def recall(self, upload: Upload) -> Mark | None:
        from airflow_provider_media._api.upload_flow import Mark

        kept = self._store.get(KEY)
        if kept is None or kept["upload"] != self._identify(upload):  # another file now: what was begun is not this
            return None
        return Mark.from_dict(kept["mark"])

    def keep(self, upload: Upload, mark: Mark) -> None:
        self._store.set(KEY, {"upload": self._identify(upload), "mark": mark.to_dict()})

    def forget(self) -> None:
        self._store.delete(KEY)

    def _identify(self, upload: Upload) -> dict[str, Any]:
        from airflow_provider_media._api.source import sha256

        if not self._identity:
            self._identity = {"name": upload.name, "size": upload.source.size, "sha256": sha256(upload.source)}
        return self._identity
