"""MediaSyncOperator as Airflow's task: templates, mapping over its manifest, retries, the asset's event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, task

from airflow_provider_media.operators.media import MediaSyncOperator
from tests.dags.helpers.older_airflows import needs_the_exception

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


def new_dag(name: str, **arguments: Any) -> DAG:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, **arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for day in ("2026-07-01", "2026-07-02"):
        (tmp_path / day).mkdir()
        for number in range(3):
            (tmp_path / day / f"card-{number}.png").write_bytes(PNG + f"{day} {number}".encode())
    return tmp_path


def test_all_that_differs_from_run_to_run_is_a_template(platform: Any, run_dag: Any, folder: Path) -> None:
    with new_dag("templates", params={"dry": False, "form": "reference"}) as dag:
        MediaSyncOperator(
            task_id="sync",
            source=f"{folder}/{{{{ ds }}}}",
            name_template="{{ ds }}-{name}",
            dry_run="{{ params.dry }}",
            max_workers="{{ 2 + 2 }}",
            output="{{ params.form }}",
            manifest_path=f"{folder}/{{{{ ds }}}}.json",
        )
    run = run_dag(dag)

    assert run.states == {"sync": "success"}
    written = folder / "2026-07-01.json"
    assert run.xcom("sync") == {
        "manifest_path": str(written),
        "counts": {"create": 3, "replace": 0, "keep": 0, "failed": 0},
    }
    assert platform.names() == [f"2026-07-01-card-{number}.png" for number in range(3)]
    assert list(json.loads(written.read_text())) == ["card-0.png", "card-1.png", "card-2.png"]

    dry = run_dag(dag, day=datetime(2026, 7, 2, tzinfo=UTC), conf={"dry": True})
    assert dry.xcom("sync")["counts"] == {"create": 3, "replace": 0, "keep": 0, "refuse": 0}
    assert len(platform.names()) == 3


def test_a_mapped_sync_brings_several_folders(platform: Any, run_dag: Any, folder: Path) -> None:
    with new_dag("mapped_sync") as dag:
        days = ["2026-07-01", "2026-07-02"]
        sync = MediaSyncOperator.partial(task_id="sync").expand_kwargs(
            [{"source": str(folder / day), "name_template": day + "/{path}"} for day in days]
        )

        @task
        def count(manifest: dict[str, Any]) -> int:
            return len(manifest)

        count.expand(manifest=sync.output)
    run = run_dag(dag)

    assert run.state == "success"
    assert [run.xcom(f"count[{index}]") for index in range(2)] == [3, 3]
    assert len(platform.names()) == 6


@needs_the_exception
@pytest.mark.parametrize("output", ["manifest", "reference"])
def test_a_manifest_too_long_to_map_over_is_refused(
    output: str, platform: Any, run_dag: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "2")
    errors: list[str] = []
    with new_dag(f"too_long_{output}") as dag:
        sync = MediaSyncOperator(
            task_id="sync",
            source=str(folder / "2026-07-01"),
            output=output,
            manifest_path=str(folder / "manifest.json"),
            on_failure_callback=lambda context: errors.append(str(context["exception"])),
        )

        @task
        def send(entry: Any) -> None: ...

        send.expand(entry=sync.output)
    run = run_dag(dag)

    if output == "manifest":
        assert run.states["sync"] == "failed"
        (error,) = errors
        assert error.startswith("The folder has 3 files, but Airflow maps a task over at most 2")
        assert platform.names() == []
    else:
        assert run.states["sync"] == "success"
        assert len(platform.names()) == 3


def test_a_retry_uploads_the_remaining_files(platform: Any, run_dag: Any, connect: Any, folder: Path) -> None:
    connect(platform.sandbox.base_url, platform.sandbox.api_key, max_attempts=1, settle_seconds=0.1)
    platform.add_fault(fault="status", method="POST", status=503)
    with new_dag("next_try") as dag:
        MediaSyncOperator(task_id="sync", source=str(folder / "2026-07-01"), retries=1)
    run = run_dag(dag)

    assert run.states == {"sync": "success"}
    assert run.tries == {"sync": 2}
    assert platform.calls("POST") == 4
    assert {item["name"]: item["id"] for item in platform.items()} == {
        path: entry["id"] for path, entry in run.xcom("sync").items()
    }


def test_dry_run_and_output_keep_their_meaning_in_airflow(folder: Path) -> None:
    with new_dag("own_names"):
        sync = MediaSyncOperator(task_id="sync", source=str(folder), dry_run=True, output="reference")

    if hasattr(BaseOperator, "dry_run"):  # not in Airflow 3.0
        assert callable(sync.dry_run)
    assert sync.output.operator is sync
