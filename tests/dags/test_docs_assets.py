"""What docs/assets.md shows to copy works as it stands there."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AssetAlias
from doc_samples import ROOT, samples_of

from airflow_provider_media.assets.media import media_asset

IS_AIRFLOW_3 = version("apache-airflow").startswith("3.")

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def dags(load_dags: Any, media_folder: Path, tmp_path: Path) -> Any:
    """The DAGs of a page's samples, with files that are there."""

    def load(page: str) -> dict[str, Any]:
        for number, sample in enumerate(samples_of(ROOT / "docs" / page)):
            copied = sample.code.replace("/data/banner.jpg", str(media_folder / "banner.jpg"))
            copied = copied.replace("/data/card.png", str(media_folder / "card-tonic.png"))
            (tmp_path / f"sample_{number}.py").write_text(copied)
        return dict(load_dags(tmp_path))

    return load


def test_the_dags_that_share_an_asset(platform: Any, run_dag: Any, dags: Any) -> None:
    """That events reach the second one is tested with the example, which is the same."""
    loaded = dags("assets.md")
    assert loaded.keys() == {"upload_banner", "send_banner", "upload_cards"}
    upload = loaded["upload_banner"].get_task("upload")
    assert upload.outlets == [media_asset("media_default", "daily-banner")]
    assert loaded["upload_cards"].get_task("upload").outlets == [AssetAlias("media uploads")]

    if not IS_AIRFLOW_3:  # on Airflow 3, run_dag writes DAGs into the database, and their assets with them
        loaded["upload_banner"].bulk_write_to_db(loaded.values())
    assert run_dag(loaded["upload_banner"]).state == "success"
    assert run_dag(loaded["upload_cards"]).state == "success"
    assert platform.names() == ["card-2026-07-01", "daily-banner-2026-07-01"]


def test_the_consumer_takes_the_newest_event(dags: Any, capsys: Any) -> None:
    from types import SimpleNamespace

    send = dags("assets.md")["send_banner"].get_task("send").python_callable
    events = [SimpleNamespace(timestamp=time, extra={"id": media_id}) for time, media_id in ((2, 22), (1, 11))]
    send({"daily": events})
    assert "send media 22" in capsys.readouterr().out
