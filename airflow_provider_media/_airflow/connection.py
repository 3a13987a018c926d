"""Parse an Airflow connection into settings, and mask its secrets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_media._api.secret import Secret
    from airflow_provider_media._api.settings import Settings

log = logging.getLogger(__name__)

_warned_of: set[str] = set()
"""Base addresses already warned about in this process; at most one per connection."""


def read_connection(connection: Secret[Any], conn_id: str) -> Settings:
    """Parse a connection; register its secrets with Airflow's masker; warn if the key is sent unencrypted.

    :param connection: Airflow's connection, as a secret, because its repr may contain its password.
    :raises MediaConfigurationError: a field is invalid.
    """
    from airflow.providers.common.compat.sdk import mask_secret

    from airflow_provider_media._api.secret import Secret
    from airflow_provider_media._api.settings import read_settings

    password = Secret(connection.reveal().password or "")
    if password.reveal():
        mask_secret(password.reveal())
        mask_secret(password.reveal().strip())
    settings = read_settings(
        host=connection.reveal().host,
        schema=connection.reveal().schema,
        port=connection.reveal().port,
        password=password,
        extra=connection.reveal().extra,
    )
    if settings.proxy:
        from urllib.parse import urlsplit

        mask_secret(urlsplit(settings.proxy).password)
    if settings.sends_key_in_clear and settings.base_url not in _warned_of:
        _warned_of.add(settings.base_url)
        log.warning("The connection %s sends the API key unencrypted to %s; use https", conn_id, settings.base_url)
    return settings
