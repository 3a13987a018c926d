"""Plugin that adds the Media Library page to Airflow's Browse menu, on Airflow 3.1 and later.

Every Airflow component imports this module, so the page's application is imported at the first request.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS, get_base_airflow_version_tuple

from airflow_provider_media.links.media import PAGE_PREFIX


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Run the page's ASGI application, imported at the first request."""
    from airflow_provider_media.plugins._app import app

    await app(scope, receive, send)


# Relative, so that it also works when Airflow's base URL has a path.
_FOLDER = f"{PAGE_PREFIX.strip('/')}/"


class MediaLibraryPlugin(AirflowPlugin):
    """Registers the page, and on Airflow 3.4 a tab of tasks; does nothing before 3.1, which has no external views."""

    name = "media_library"

    if AIRFLOW_V_3_1_PLUS:
        fastapi_apps = [{"app": _app, "url_prefix": PAGE_PREFIX, "name": "Media Library"}]
        external_views: list[dict[str, Any]] = [
            {
                "name": "Media Library",
                "href": _FOLDER,
                "url_route": "media-library",
                "destination": "nav",
                "category": "browse",
            }
        ]
    if get_base_airflow_version_tuple() >= (3, 4, 0):  # before, a tab cannot be limited to some operators
        external_views.append(
            {
                "name": "Media",
                "href": f"{_FOLDER}task?dag={{DAG_ID}}&run={{RUN_ID}}&task={{TASK_ID}}&map={{MAP_INDEX}}",
                "url_route": "media",
                "destination": "task_instance",
                # The operators that leave a link to the page.
                "applies_to": {
                    "operator": ["MediaUploadOperator", "MediaGetOperator", "MediaSyncOperator", "MediaExistsSensor"]
                },
            }
        )
