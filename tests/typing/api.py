"""Calls of the public API that must type-check; ``make types`` reads this file, and nothing runs it.

Each ``assert_type`` is a promise to the type checkers of users. What must be rejected carries a ``type: ignore`` with
its code, which is itself an error where it is not needed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, assert_type

from airflow_provider_media.assets.media import media_asset
from airflow_provider_media.exceptions import MediaAuthError, MediaConflictError, MediaError, MediaNotFoundError
from airflow_provider_media.hooks.media import MediaAsyncHook, MediaHook
from airflow_provider_media.models import Media, MediaPage, UploadResult
from airflow_provider_media.operators.media import (
    MediaCleanupOperator,
    MediaDeleteOperator,
    MediaGetOperator,
    MediaListOperator,
    MediaSyncOperator,
    MediaUploadOperator,
)
from airflow_provider_media.sensors.media import MediaExistsSensor
from airflow_provider_media.triggers.events import MediaEventTrigger
from airflow_provider_media.triggers.media import MediaExistsTrigger


def find_references(media: Media) -> list[str]:
    return [f"campaign of {media.name}"]


def use_the_hook() -> None:
    hook = MediaHook("media_default")
    assert_type(hook.upload("banner.png"), UploadResult)
    assert_type(hook.upload(Path("banner.png"), name="banner", if_exists="reuse", channels=["whatsapp"]), UploadResult)
    assert_type(hook.upload(BytesIO(b""), file_name="banner.png", folder_id=7).media, Media)
    assert_type(hook.get_media(17), Media)
    assert_type(hook.get_media("med_7f3a"), Media)
    assert_type(hook.exists(17), bool)
    assert_type(hook.find_media("banner"), list[Media])
    assert_type(hook.list_page(page=0, limit=100, sort_by="name", sort_order="asc"), MediaPage)
    for media in hook.iter_media(page_size=500):
        assert_type(media, Media)
    hook.delete(17)
    assert_type(hook.test_connection(), tuple[bool, str])
    assert_type(hook.settings.base_url, str)
    hook.upload("banner.png", "banner")  # type: ignore[call-arg]
    hook.get_media(None)  # type: ignore[arg-type]


async def use_the_async_hook() -> None:
    async with MediaAsyncHook("media_default") as hook:
        assert_type(await hook.get_media(17), Media)
        assert_type(await hook.exists(17), bool)
        assert_type(await hook.find_media("banner"), list[Media])
        async for media in hook.iter_media():
            assert_type(media, Media)


def use_the_models(media: Media, result: UploadResult, page: MediaPage) -> None:
    assert_type(media.id, int | str)
    assert_type(media.name, str | None)
    assert_type(media.created_at, datetime | None)
    assert_type(Media.from_dict(media.to_dict()), Media)
    assert_type(media.to_dict(), dict[str, Any])
    assert_type(result.created, bool)
    assert_type(page.total, int | None)
    media.name = "banner"  # type: ignore[misc]


def use_the_errors() -> str:
    try:
        MediaHook().get_media(17)
    except MediaNotFoundError as error:
        return str(error)
    except (MediaAuthError, MediaConflictError):
        raise
    except MediaError:
        return "other"
    return ""


def use_the_operators() -> None:
    upload = MediaUploadOperator(task_id="upload", file="banner.png", channels=["rcs"], references=find_references)
    MediaGetOperator(task_id="get", media_id=17)
    MediaListOperator(task_id="list", name="banner*", max_items=10)
    MediaDeleteOperator(task_id="delete", media_ids=[17, "med_7f3a"], references="campaigns.users_of")
    MediaCleanupOperator(task_id="cleanup", name="banner*", older_than=timedelta(days=30), references=find_references)
    MediaSyncOperator(task_id="sync", source="media", outlets=[media_asset("media_default", "banner")])
    MediaExistsSensor(task_id="wait", media_id=17, needed_by=datetime.now(UTC), deferrable=True, retries=2)
    upload >> MediaExistsSensor(task_id="wait_for_names", names=["banner", "card"])
    MediaUploadOperator(task_id="upload")  # type: ignore[call-arg]


def use_the_triggers() -> None:
    MediaExistsTrigger(media_ids=[17], poll_interval=30.0, deadline="2026-12-01T08:00:00+00:00")
    MediaEventTrigger(media_conn_id="media_default", name="banner*", poll_interval=timedelta(minutes=1))
