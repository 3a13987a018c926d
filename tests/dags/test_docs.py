"""What docs/assets.md and docs/testing.md show to copy works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AssetAlias

from airflow_provider_media.assets.media import media_asset

IS_AIRFLOW_3 = version("apache-airflow").startswith("3.")
DOCS = Path(__file__).parents[2] / "docs"


def samples(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def dags(load_dags: Any, media_folder: Path, tmp_path: Path) -> Any:
    """The DAGs of a page's samples, with files that are there."""

    def load(page: str) -> dict[str, Any]:
        for number, source in enumerate(samples(page)):
            copied = source.replace("/data/banner.jpg", str(media_folder / "banner.jpg"))
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


def test_the_tests_to_copy_pass(tmp_path: Path) -> None:
    conftest, tests = samples("testing.md")
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_copied.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, check=False, cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
