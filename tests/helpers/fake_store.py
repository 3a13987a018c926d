"""An in-memory replacement of Airflow's task state store."""

from __future__ import annotations

import json
from typing import Any


class FakeStore:
    """Stores JSON, like Airflow's store."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.written_bytes = 0

    def get(self, key: str) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else None

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)
        self.written_bytes += len(self.kept[key])

    def checkpoint(self, kind: str) -> Any:
        """Return the only checkpoint of a kind."""
        (key,) = (key for key in self.kept if key.startswith(kind) and "_part" not in key)
        return self.get(key)["checkpoint"]

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)
