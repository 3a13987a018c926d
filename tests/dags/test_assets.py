"""Uploads emit asset events that say what was uploaded, and the DAGs that these start read it there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias

from airflow_provider_media.assets.media import media_asset
from airflow_provider_media.operators.media import MediaUploadOperator
from tests.dags.helpers.asset_events import give_all_events_to_runs, read_events, write

if TYPE_CHECKING:
    from pathlib import Path

BANNER = media_asset("media_default", "Banner of the Week")


def new_dag(name: str) -> DAG:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)


def file_info(media: dict[str, Any]) -> dict[str, Any]:
    """What an event says of an upload's result."""
    return {**{key: media[key] for key in ("id", "name", "url", "size")}, "type": media["mime_type"]}


def test_each_outlet_has_an_event_with_the_file(platform: Any, run_dag: Any, media_folder: Path) -> None:
    with new_dag("outlets") as dag:
        MediaUploadOperator(
            task_id="upload", file=str(media_folder / "banner.jpg"), outlets=[BANNER, Asset(uri="x-any://of-yours")]
        )
    write(dag)
    run = run_dag(dag)

    assert run.state == "success"
    extra = file_info(run.xcom("upload"))
    assert sorted(read_events()) == [(BANNER.uri, extra, -1), ("x-any://of-yours", extra, -1)]
    assert (extra["type"], extra["size"]) == ("image/jpeg", (media_folder / "banner.jpg").stat().st_size)


def test_each_mapped_upload_has_an_event(platform: Any, run_dag: Any, media_folder: Path) -> None:
    files = [str(media_folder / name) for name in ("card-latte.jpg", "card-tonic.png")]
    with new_dag("mapped_outlets") as dag:
        MediaUploadOperator.partial(task_id="upload", outlets=[BANNER]).expand(file=files)
    write(dag)
    run = run_dag(dag)

    assert run.state == "success"
    expected = [(BANNER.uri, file_info(run.xcom(f"upload[{index}]")), index) for index in range(2)]
    assert sorted(read_events(), key=lambda event: event[2]) == expected


def test_alias_resolves_to_the_uploaded_names(platform: Any, run_dag: Any, media_folder: Path) -> None:
    with new_dag("alias") as dag:
        MediaUploadOperator(
            task_id="upload",
            file=str(media_folder / "banner.jpg"),
            name="banner {{ ds }}",
            outlets=[AssetAlias("uploaded today")],
        )
    write(dag)
    run = run_dag(dag)

    assert run.state == "success"
    assert read_events() == [("media://media_default/banner%202026-07-01", file_info(run.xcom("upload")), -1)]


def test_name_too_long_for_an_asset_is_uploaded(platform: Any, run_dag: Any, media_folder: Path, caplog: Any) -> None:
    with new_dag("long_alias") as dag:
        MediaUploadOperator(
            task_id="upload", file=str(media_folder / "banner.jpg"), name="ö" * 300, outlets=[AssetAlias("any")]
        )
    write(dag)
    run = run_dag(dag)

    assert run.state == "success"
    assert platform.names() == ["ö" * 300]
    assert read_events() == []
    assert "No asset event for the alias any: The URI of the media asset" in caplog.text


def test_event_keeps_the_extra_of_the_author(platform: Any, run_dag: Any, media_folder: Path) -> None:
    def note(context: Any) -> None:
        context["outlet_events"][BANNER].extra["campaign"] = "summer"

    with new_dag("own_extra") as dag:
        MediaUploadOperator(task_id="upload", file=str(media_folder / "banner.jpg"), outlets=[BANNER], pre_execute=note)
    write(dag)
    run = run_dag(dag)

    assert [extra for _, extra, _ in read_events()] == [{"campaign": "summer", **file_info(run.xcom("upload"))}]


def test_failed_upload_emits_no_event(platform: Any, run_dag: Any) -> None:
    with new_dag("no_event") as dag:
        MediaUploadOperator(task_id="upload", file="no-such-file.png", outlets=[BANNER])
    write(dag)

    assert run_dag(dag).state == "failed"
    assert read_events() == []


def test_example_uses_the_newest_id_of_its_events(
    platform: Any, run_dag: Any, load_dag: Any, media_folder: Path, monkeypatch: Any
) -> None:
    """The events are assigned to the run like the scheduler does; the system tests use a real scheduler."""
    file = media_folder.parent / "example_media_assets.py"
    producer = load_dag(file, "example_media_assets")
    write(producer)
    newest = [run_dag(producer, day=datetime(2026, 7, day, tzinfo=UTC)) for day in (1, 2)][-1].xcom("upload_banner")
    give_all_events_to_runs(monkeypatch)
    run = run_dag(load_dag(file, "example_media_assets_send"))

    assert run.states == {"build_message": "success", "send": "success"}
    assert newest["name"] == "daily-banner-2026-07-02"
    assert run.xcom("build_message") == {
        "title": newest["name"],
        "media": {"mediaId": newest["id"], "height": "TALL"},
    }
