"""A folder to sync, and the sync operator of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_media.operators.media import MediaSyncOperator
from tests.helpers.fake_store import FakeStore

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


class Folder:
    """A folder of images.

    :param root: its path.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, *paths: str, content: bytes | None = None) -> None:
        """Write images; each has different content unless ``content`` is given."""
        for path in paths:
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(PNG + (path.encode() if content is None else content))


class Syncing:
    """One task; each call is an attempt.

    :param source: the folder.
    :param conn_id: the connection.
    """

    def __init__(self, source: Path, conn_id: str) -> None:
        self.arguments: dict[str, Any] = {"task_id": "sync", "source": str(source), "media_conn_id": conn_id}
        self.store = FakeStore()

    def operator(self, **arguments: Any) -> MediaSyncOperator:
        """Create the operator."""
        return MediaSyncOperator(**{**self.arguments, **arguments})

    def __call__(self, **arguments: Any) -> dict[str, Any]:
        """Run the operator."""
        context: Any = {"task_state_store": self.store}
        return self.operator(**arguments).execute(context)
