"""Secrets backends that do not do what they should, to be named in Airflow's settings."""

from __future__ import annotations

import threading

from airflow.secrets import BaseSecretsBackend


class FailingBackend(BaseSecretsBackend):
    """Cannot reach where the secrets are."""

    def get_connection(self, conn_id: str, team_name: str | None = None) -> None:
        raise ConnectionError(conn_id)


class SilentBackend(BaseSecretsBackend):
    """Answers when it is let to."""

    may_answer = threading.Event()

    def get_connection(self, conn_id: str, team_name: str | None = None) -> None:
        self.may_answer.wait(30)
