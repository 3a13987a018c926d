"""Tasks that used a file, according to the links that they stored as XComs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.models.xcom import XComModel
from sqlalchemy import String, cast, select

from airflow_provider_media.links.media import MediaLink

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

DAYS = 30
MAX_USES = 20


def find_uses(conn_id: str, media_id: str, user: Any, session: Session) -> list[dict[str, Any]]:
    """Return the newest uses of a file in the last ``DAYS`` days, only of DAGs whose tasks the user may read.

    The query uses the index of XCom keys: links are few among a deployment's XComs.
    """
    manager = get_auth_manager()
    link = f"?{urlencode({'connection': conn_id, 'media': media_id})}"
    columns = (XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index, XComModel.timestamp)
    query = (
        select(*columns, XComModel.value)
        .where(
            XComModel.key == MediaLink.xcom_key,
            XComModel.timestamp >= datetime.now(UTC) - timedelta(days=DAYS),
            XComModel.dag_id.in_(manager.get_authorized_dag_ids(user=user, session=session)),
            # The value is the URL in quotes; the quote ends the id, so that 17 does not match 170.
            cast(XComModel.value, String).endswith(f'{link}"', autoescape=True),
        )
        .order_by(XComModel.timestamp.desc())
        .limit(MAX_USES)
    )
    rows = [row for row in session.execute(query) if str(row.value).endswith(link)]  # SQLite ignores case
    readable = {
        dag_id
        for dag_id in {row.dag_id for row in rows}
        if manager.is_authorized_dag(
            method="GET", access_entity=DagAccessEntity.TASK_INSTANCE, details=DagDetails(id=dag_id), user=user
        )
    }
    return [
        {"dag": row.dag_id, "run": row.run_id, "task": row.task_id, "map_index": row.map_index}
        | {"at": row.timestamp.isoformat(), "path": _path(row)}
        for row in rows
        if row.dag_id in readable
    ]


def _path(row: Any) -> str:
    """Return the path of a task instance in Airflow's UI."""
    dag, run, task = (quote(part, safe="") for part in (row.dag_id, row.run_id, row.task_id))
    mapped = f"/mapped/{row.map_index}" if row.map_index >= 0 else ""
    return f"dags/{dag}/runs/{run}/tasks/{task}{mapped}"
