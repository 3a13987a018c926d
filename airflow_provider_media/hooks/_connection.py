"""Read an Airflow connection into settings, with its secrets masked first; for both hooks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_media.exceptions import public_errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_media._api.settings import Settings

log = logging.getLogger(__name__)

_warned_of: set[str] = set()
"""Base addresses whose unencrypted key was warned of; once in a process is enough."""


def read_connection(connection: Connection, conn_id: str) -> Settings:
    """Check a connection; register its secrets with Airflow's masker; warn of a key that travels in clear.

    :raises MediaConfigurationError: with one sentence that names the wrong field.
    """
    from airflow.providers.common.compat.sdk import mask_secret

    from airflow_provider_media._api.settings import read_settings

    if connection.password:
        mask_secret(connection.password)
        mask_secret(connection.password.strip())
    with public_errors(secret=connection.password):
        settings = read_settings(
            host=connection.host,
            schema=connection.schema,
            port=connection.port,
            password=connection.password,
            extra=connection.extra,
        )
    if settings.proxy:
        from urllib.parse import urlsplit

        mask_secret(urlsplit(settings.proxy).password)
    if settings.sends_key_in_clear and settings.base_url not in _warned_of:
        _warned_of.add(settings.base_url)
        log.warning("The connection %s sends the API key unencrypted to %s; use https", conn_id, settings.base_url)
    return settings
