"""The link "Open in media library" on a task's page.

It leads to the package's own Media library page, at the file: that shows the file with its metadata, on Airflow's own
address, to those who may read the connection, also when the platform's address of the file has changed since. Airflow
before 3.1 has no such page; there the link leads to the file itself.
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
"""Where the Media library page is on Airflow's API server."""


def library_link(media_conn_id: str, media: Media | None = None) -> str | None:
    """Return the address of a file's entry on the Media library page, or that of the file where there is no page.

    :param media_conn_id: the Airflow connection.
    :param media: the file; without one, the address is that of the whole library.
    """
    if not AIRFLOW_V_3_1_PLUS:
        url = media.url if media else None
        return url if url and urlsplit(url).scheme in {"http", "https"} else None
    query = {"connection": media_conn_id, **({"media": media.id} if media else {})}
    # Without a base address, the browser puts that of the page which shows the link before it.
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return f"{base}{PAGE_PREFIX}/?{urlencode(query)}"


class MediaLink(BaseOperatorLink):
    """The button "Open in media library" among a task's details; a task shows it by ``operator_extra_links``.

    The finished address is an XCom, which :meth:`persist` writes as soon as there is a file: so the link is there while
    the task still runs, for each map index, and also when the task fails later. It is written to Airflow's database
    without the configured XCom backend, as Airflow 3 writes links at a task's end: Airflow shows the stored value as it
    is, which a backend would have replaced by a reference to an object of its own.
    """

    name: ClassVar[str] = "Open in media library"
    xcom_key: ClassVar[str] = "media_link"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address; Airflow 3 asks at the task's end, in its process, Airflow 2 its web server."""
        if AIRFLOW_V_3_0_PLUS:  # asking for an XCom that is not there would log an error
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
        """Show the link from now on; a task never fails because of it.

        :param context: the task's context.
        :param url: the address, as :func:`library_link` gives it; None for no link.
        """
        if url is None:
            return
        try:
            ti: Any = context["ti"]
            ti.task._media_link = url  # noqa: SLF001 - a mark of our own
            _base_xcom().set(
                key=cls.xcom_key,
                value=url,
                dag_id=ti.dag_id,
                task_id=ti.task_id,
                run_id=ti.run_id,
                map_index=ti.map_index,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is: the file is stored, and the task goes on
            log.warning("The link to the media library could not be kept: %s", error)


def _base_xcom() -> Any:
    """Return Airflow's own XCom class, which stores values in its database whatever backend is configured."""
    try:
        from airflow.sdk.bases.xcom import BaseXCom
    except ImportError:  # Airflow 2
        from airflow.models.xcom import BaseXCom  # type: ignore[no-redef]
    return BaseXCom
