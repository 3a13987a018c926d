"""Run the samples of docs/guides/assets.md."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AssetAlias

from airflow_provider_media.assets.media import media_asset
from airflow_provider_media.operators.media import MediaSyncOperator, MediaUploadOperator
from tests.dags.helpers.asset_events import IS_AIRFLOW_3, give_all_events_to_runs, read_events, write
from tests.helpers.doc_samples import ROOT, samples_of

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "guides" / "assets.md"
ANY = media_asset("media_default", "any")


@pytest.fixture
def dags(load_dags: Any, media_folder: Path, tmp_path: Path) -> Any:
    """Return the DAGs of the page's samples, with existing files."""
    shutil.copytree(media_folder, tmp_path / "summer")
    for number, sample in enumerate(samples_of(PAGE)):
        if "Partition" in sample.text:
            continue
        copied = sample.code.replace("/data/banner.jpg", str(media_folder / "banner.jpg"))
        copied = copied.replace("/data/card.png", str(media_folder / "card-tonic.png"))
        copied = copied.replace("/data/summer", str(tmp_path / "summer"))
        if not IS_AIRFLOW_3:
            copied = copied.replace("triggering_asset_events", "triggering_dataset_events")
        (tmp_path / f"sample_{number}.py").write_text(copied)
    return dict(load_dags(tmp_path))


def test_sample_dags_share_an_asset(platform: Any, run_dag: Any, dags: Any) -> None:
    """The test of the example DAG, which is the same, checks that events start the second DAG."""
    assert dags.keys() == {"upload_banner", "send_banner", "sync_summer", "send_summer", "upload_cards"}
    upload = dags["upload_banner"].get_task("upload")
    assert upload.outlets == [media_asset("media_default", "daily-banner")]
    assert dags["upload_cards"].get_task("upload").outlets == [AssetAlias("media uploads")]

    write(*dags.values())
    assert run_dag(dags["upload_banner"]).state == "success"
    assert run_dag(dags["upload_cards"]).state == "success"
    assert platform.names() == ["card-2026-07-01", "daily-banner-2026-07-01"]


def test_consumer_uses_the_newest_event(dags: Any, capsys: Any) -> None:
    from types import SimpleNamespace

    send = dags["send_banner"].get_task("send").python_callable
    events = [SimpleNamespace(timestamp=time, extra={"id": media_id}) for time, media_id in ((2, 22), (1, 11))]
    send({"daily": events})
    assert "send media 22" in capsys.readouterr().out


@pytest.mark.skipif(not IS_AIRFLOW_3, reason="xcom_pull of Airflow 2.11 has no run_id")
def test_consumer_reads_the_manifest_of_the_event(
    platform: Any, run_dag: Any, dags: Any, media_folder: Path, monkeypatch: Any
) -> None:
    write(*dags.values())
    manifest = run_dag(dags["sync_summer"]).xcom("sync")
    give_all_events_to_runs(monkeypatch)
    sent = run_dag(dags["send_summer"]).xcom("send")
    assert sent == {path: entry["id"] for path, entry in manifest.items()}
    assert sent.keys() == {file.name for file in media_folder.iterdir()}


def test_partition_key_is_in_the_name_and_in_the_event(
    platform: Any, run_dag: Any, load_dags: Any, media_folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    pytest.importorskip("airflow.partition_mappers", reason="there are no partitions before Airflow 3.2")
    from airflow.models import dagrun
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    make = dagrun.get_or_create_dagrun

    def make_with_key(**arguments: Any) -> Any:
        run = make(**arguments)
        run.partition_key = "2026-07-01"
        arguments["session"].commit()
        return run

    monkeypatch.setattr(dagrun, "get_or_create_dagrun", make_with_key)
    (sample,) = (one for one in samples_of(PAGE) if "Partition" in one.text)
    file = tmp_path / "partitions.py"
    file.write_text(sample.code.replace("/data/banner.jpg", str(media_folder / "banner.jpg")))
    dags = load_dags(file)
    assert run_dag(dags["upload_dated_banner"]).state == "success"
    assert platform.names() == ["dated-banner-2026-07-01"]
    with create_session() as session:
        assert [event.partition_key for event in session.query(AssetEvent)] == ["2026-07-01"]
    assert run_dag(dags["send_dated_banner"]).state == "success"


def test_table_lists_exactly_the_keys_of_events(
    platform: Any, run_dag: Any, media_folder: Path, tmp_path: Path
) -> None:
    rows = re.findall(r"^\| (`.+`) \| (upload|sync) \|", PAGE.read_text(), re.MULTILINE)
    documented = {(key, kind) for keys, kind in rows for key in re.findall(r"`(\w+)`", keys)}

    manifest = str(tmp_path / "manifest.json")
    with DAG("any_event", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        MediaUploadOperator(task_id="upload", file=str(media_folder / "banner.jpg"), outlets=[ANY])
        MediaSyncOperator(task_id="sync", source=str(media_folder), outlets=[ANY])
        MediaSyncOperator(task_id="sync_2", source=str(media_folder), manifest_path=manifest, outlets=[ANY])
        MediaSyncOperator(task_id="sync_dry", source=str(media_folder), dry_run=True, outlets=[ANY])
    write(dag)
    assert run_dag(dag).state == "success"

    extras = [extra for _, extra, _ in read_events()]
    assert {(key, "upload" if "id" in extra else "sync") for extra in extras for key in extra} == documented
    assert (len(extras), {} in extras) == (4, True)
