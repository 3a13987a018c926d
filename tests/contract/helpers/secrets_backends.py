"""Failing secrets backends, selected by class path in the Airflow configuration."""

from __future__ import annotations

import threading

from airflow.secrets import BaseSecretsBackend


class FailingBackend(BaseSecretsBackend):
    """Raises ConnectionError."""

    def get_connection(self, conn_id: str, team_name: str | None = None) -> None:
        raise ConnectionError(conn_id)


class SilentBackend(BaseSecretsBackend):
    """Blocks until ``may_respond`` is set, at most 30 seconds."""

    may_respond = threading.Event()

    def get_connection(self, conn_id: str, team_name: str | None = None) -> None:
        self.may_respond.wait(30)
