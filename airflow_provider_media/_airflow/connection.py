"""Parse Airflow connections, and mask their secrets: into settings, or into the credentials of a URL."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media._api.settings import Secret, Settings
    from airflow_provider_media._transports.url import UrlPath

log = logging.getLogger(__name__)

_warned_of: set[str] = set()
"""Base addresses already warned about in this process; at most one per connection."""


def read_connection(connection: Secret[Any], conn_id: str) -> Settings:
    """Parse a connection; register its secrets with Airflow's masker; warn if the key is sent unencrypted.

    :param connection: Airflow's connection, as a secret, because its repr may contain its password.
    """
    from airflow_provider_media._api.settings import Secret, read_settings

    mask_secret = _secrets_masker()
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
        mask_secret(urlsplit(settings.proxy).password)
    if settings.sends_key_in_clear and settings.base_url not in _warned_of:
        _warned_of.add(settings.base_url)
        log.warning("The connection %s sends the API key unencrypted to %s; use https", conn_id, settings.base_url)
    return settings


def _secrets_masker() -> Callable[[Any], None]:
    """Return Airflow's mask_secret; common-compat has it only from 1.22 on, which is newer than constraint files."""
    from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS

    if AIRFLOW_V_3_1_PLUS:
        name = "airflow.sdk.log"
    else:
        name = "airflow.sdk.execution_time.secrets_masker" if AIRFLOW_V_3_0_PLUS else "airflow.utils.log.secrets_masker"
    mask_secret: Callable[[Any], None] = import_module(name).mask_secret
    return mask_secret


_REQUEST_OPTIONS = {"timeout", "allow_redirects", "proxies", "proxy", "verify", "cert", "stream", "trust_env"}
"""Keys of an ``http`` connection's extra that are no headers, as in Airflow's HttpHook."""


def open_url(address: str) -> UrlPath:
    """Return the path object of a URL; its user is the id of an Airflow connection of type ``http``.

    :raises MediaConfigurationError: the connection is of another host.
    """
    from airflow.providers.common.compat.sdk import BaseHook

    from airflow_provider_media._transports.url import UrlPath
    from airflow_provider_media.exceptions import MediaConfigurationError

    path = UrlPath(address)
    conn_id = unquote(urlsplit(address).username or "")
    if not conn_id:
        return path
    connection = BaseHook.get_connection(conn_id)
    given, own = urlsplit(path.path), urlsplit(connection.host or "")
    host, scheme = own.hostname or (connection.host or "").partition("/")[0], own.scheme or connection.schema or "https"
    if (given.hostname, given.scheme) != (host.lower(), scheme):
        raise MediaConfigurationError(
            f"The connection {conn_id} is for {scheme}://{host}, not for {given.scheme}://{given.hostname}: its"
            " credentials are not sent there."
        )
    mask_secret = _secrets_masker()
    mask_secret(connection.password)
    headers = {name: value for name, value in connection.extra_dejson.items() if name not in _REQUEST_OPTIONS}
    mask_secret(headers)
    auth = (connection.login, connection.password or "") if connection.login else None
    return UrlPath(address, auth=auth, headers={name: str(value) for name, value in headers.items()})
