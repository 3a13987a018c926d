"""The example that tidies a library up, on real Airflow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cleanup_dag(load_example: Any) -> Any:
    dag = load_example("example_media_cleanup")
    dag.get_task("clean_up").older_than = timedelta(microseconds=1)  # what the test stores is not a month old
    return dag


def test_dry_run_reports_what_the_real_run_deletes(
    platform: Any, run_dag: Any, cleanup_dag: Any, media_folder: Path
) -> None:
    names = ("summer-banner", "summer-card", "summer-banner", "autumn-banner")
    ids = [platform.store(media_folder / "card-latte.jpg", name) for name in names]

    dry_run = run_dag(cleanup_dag).xcom("clean_up")
    assert dry_run == {"dry_run": True, "deleted": [ids[0]], "missing": [], "refused": {}, "error": None}
    assert len(platform.items()) == 4

    run = run_dag(cleanup_dag, day=datetime(2026, 7, 2, tzinfo=UTC), conf={"delete": True})
    assert run.states == {"write_references": "success", "clean_up": "success"}
    assert run.xcom("clean_up") == {**dry_run, "dry_run": False}
    assert [item["id"] for item in platform.items()] == ids[1:]


def test_listed_files_are_not_deleted(
    platform: Any, run_dag: Any, cleanup_dag: Any, media_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = (platform.store(media_folder / "card-latte.jpg", "summer-banner") for _ in range(2))
    listing = f'{{"updated_at": "{datetime.now(UTC).isoformat()}", "media": {{"{old}": ["autumn"]}}}}'
    monkeypatch.setenv("AIRFLOW_VAR_MEDIA_IN_USE", listing)  # it is read before the one that the task writes

    run = run_dag(cleanup_dag, conf={"delete": True})
    outcome = run.xcom("clean_up")
    assert (outcome["deleted"], outcome["refused"]) == ([], {str(old): ["autumn"]})
    assert len(platform.items()) == 2
