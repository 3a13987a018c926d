"""Remember uploads and deletes in Airflow's task state, so that the retry of a broken-off task goes on from there.

Airflow has a task state store from 3.3 on; it is kept for the tries of one task in one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._api.upload import Upload
    from airflow_provider_media._api.upload_flow import Mark, Memory

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
