"""The extra link "Open in media library" of tasks.

It opens the file on the Media Library page: that page shows the metadata to users who can read the connection, even if
the platform's URL of the file has changed. Before Airflow 3.1 there is no page, and the link opens the file itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode, urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

PAGE_PREFIX = "/media-library"
"""Path of the Media Library page on Airflow's API server."""

FRAME_PATH = f"/plugin{PAGE_PREFIX}"
"""Path of Airflow's own page that shows the Media Library page in a frame."""


def library_link(media_conn_id: str, media: Media | None = None) -> str | None:
    """Return the URL of a file on the Media Library page, or the file's own URL before Airflow 3.1.

    :param media_conn_id: the Airflow connection.
    :param media: the file; None for the whole library.
    """
    if not AIRFLOW_V_3_1_PLUS:
        url = media.url if media else None
        return url if url and urlsplit(url).scheme in {"http", "https"} else None
    query = {"connection": media_conn_id, **({"media": media.id} if media else {})}
    # Without a base URL the link is relative to the page that shows it.
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return f"{base}{FRAME_PATH}?{urlencode(query)}"


class MediaLink(BaseOperatorLink):
    """The link "Open in media library" of a task; add it to an operator's ``operator_extra_links``.

    :meth:`persist` writes the URL to an XCom as soon as the library has the file, so that the link exists while the
    task runs, for each map index, and if the task fails later. Like Airflow 3 at a task's end, it bypasses the
    configured XCom backend, because Airflow displays the stored value, which a backend might replace with a reference.
    """

    name: ClassVar[str] = "Open in media library"
    xcom_key: ClassVar[str] = "media_link"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the URL; called by Airflow 3 in the task's process at its end, by Airflow 2 in the webserver."""
        if AIRFLOW_V_3_0_PLUS:  # without a lookup, because a missing XCom would log an error
            return str(getattr(operator, "_media_link", ""))
        from airflow.utils.session import create_session

        xcom = _base_xcom()
        of_task = {"dag_ids": ti_key.dag_id, "task_ids": ti_key.task_id, "map_indexes": ti_key.map_index}
        with create_session() as session:
            found = xcom.get_many(key=self.xcom_key, run_id=ti_key.run_id, **of_task, limit=1, session=session)
            stored = found.with_entities(xcom.value).first()
            return str(xcom.deserialize_value(stored)) if stored else ""

    @classmethod
    def persist(cls, context: Context, url: str | None) -> None:
        """Store the link; failures are logged and do not fail the task.

        :param context: the task's context.
        :param url: the URL from :func:`library_link`; None for no link.
        """
        if url is None:
            return
        try:
            ti: Any = context["ti"]
            ti.task._media_link = url  # noqa: SLF001 - our own attribute, for get_link
            _base_xcom().set(
                key=cls.xcom_key,
                value=url,
                dag_id=ti.dag_id,
                task_id=ti.task_id,
                run_id=ti.run_id,
                map_index=ti.map_index,
            )
        except Exception as error:  # noqa: BLE001 - the file is stored, so the task must not fail
            log.warning("Could not store the link to the media library: %s", error)


def _base_xcom() -> Any:
    """Return Airflow's base XCom class, which stores values in the database instead of the configured backend."""
    try:
        from airflow.sdk.bases.xcom import BaseXCom
    except ImportError:  # Airflow 2
        from airflow.models.xcom import BaseXCom  # type: ignore[no-redef]
    return BaseXCom
