"""The Media library page in Airflow's navigation, under Browse; on Airflow 3.1 and later.

Every component of Airflow imports this module; what serves the page is imported by the first request to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_provider_media.links.media import PAGE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping


class _LazyApp:
    """The page's ASGI application, loaded when it is first used."""

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        from airflow_provider_media.plugins._app import app

        await app(scope, receive, send)


# Without a slash in front, so that they are found where Airflow's base address has a path, too.
_FOLDER = f"{PAGE_PREFIX.strip('/')}/"


class MediaLibraryPlugin(AirflowPlugin):
    """Registers the page; Airflow before 3.1 has no place for it, and gets nothing."""

    name = "media_library"

    if AIRFLOW_V_3_1_PLUS:
        fastapi_apps = [{"app": _LazyApp(), "url_prefix": PAGE_PREFIX, "name": "Media library"}]
        external_views = [
            {
                "name": "Media library",
                "href": _FOLDER,
                "url_route": "media-library",
                "destination": "nav",
                "category": "browse",
                "icon": f"{_FOLDER}assets/icon.svg",
                "icon_dark_mode": f"{_FOLDER}assets/icon-dark.svg",
            }
        ]
