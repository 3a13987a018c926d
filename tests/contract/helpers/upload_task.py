"""The attempts of one upload task, of which some are killed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from airflow_provider_media.links.media import MediaLink
from airflow_provider_media.operators.media import MediaUploadOperator
from tests.helpers.fake_store import FakeStore


class Killed(BaseException):
    """Ends an attempt as a SIGKILL does."""


class UploadTask:
    """One task with ``if_exists="upload"``, which finds no file by its name.

    :param file: its file.
    :param conn_id: its connection.
    """

    def __init__(self, file: object, conn_id: str) -> None:
        self.store = FakeStore()
        self._operator = MediaUploadOperator(
            task_id="upload", file=str(file), if_exists="upload", media_conn_id=conn_id, do_xcom_push=False
        )
        self._attempts = 0

    def run(self) -> dict[str, Any]:
        """Run the next attempt."""
        self._attempts += 1
        ti = SimpleNamespace(id=f"{id(self)} {self._attempts}", max_tries=3, task=SimpleNamespace(retries=3))
        context: Any = {"task_state_store": self.store, "ti": ti}
        return self._operator.execute(context)

    def run_until_stored(self) -> None:
        """Run an attempt that is killed as soon as it has the response."""
        with patch.object(MediaLink, "persist", side_effect=Killed), pytest.raises(Killed):
            self.run()

    @property
    def checkpoint(self) -> Any:
        """The stored checkpoint."""
        return self.store.checkpoint("media_upload")
