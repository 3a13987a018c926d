"""Test each row of the table in docs/guides/from-http-operator.md, by hand and with this package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.doc_samples import ROOT, samples_of, with_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BY_HAND, WITH_PROVIDER = samples_of(ROOT / "docs" / "guides" / "from-http-operator.md")
BOTH = pytest.mark.parametrize("sample", [BY_HAND, WITH_PROVIDER], ids=["by_hand", "with_provider"])


@pytest.fixture
def load(
    platform: Any, load_dags: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Any, Path]]:
    """Return a loader of a sample's DAG and the folder of its files."""
    connection = {
        "conn_type": "http",
        "host": platform.sandbox.base_url,
        "extra": {"X-Api-Key": platform.sandbox.api_key},
    }
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_HTTP", json.dumps(connection))

    def load_sample(sample: Any) -> tuple[Any, Path]:
        file = tmp_path / "sample.py"
        file.write_text(with_files(sample.source, tmp_path / "data"))
        (dag,) = load_dags(file).values()
        return dag, tmp_path / "data"

    return load_sample


@BOTH
def test_upload_without_faults_stores_one_file(sample: Any, platform: Any, run_dag: Any, load: Any) -> None:
    dag, _ = load(sample)

    run = run_dag(dag)

    assert run.states == {"upload": "success", "send": "success"}
    assert platform.names() == ["banner-2026-07-01"]


@BOTH
def test_lost_response(sample: Any, platform: Any, run_dag: Any, load: Any) -> None:
    dag, _ = load(sample)
    platform.add_fault(fault="store_then_drop", method="POST")

    run = run_dag(dag)

    files = {BY_HAND: 2, WITH_PROVIDER: 1}[sample]
    assert run.state == "success"
    assert platform.names() == ["banner-2026-07-01"] * files
    assert platform.calls("POST") == files


@BOTH
def test_second_run_of_the_day(sample: Any, platform: Any, run_dag: Any, load: Any) -> None:
    dag, _ = load(sample)
    platform.store(ROOT / "example_dags" / "media" / "banner.jpg", "banner-2026-07-01")

    run_dag(dag)

    assert platform.names() == ["banner-2026-07-01"] * {BY_HAND: 2, WITH_PROVIDER: 1}[sample]


@BOTH
def test_rate_limit(sample: Any, platform: Any, run_dag: Any, load: Any) -> None:
    dag, _ = load(sample)
    platform.add_fault(fault="status", status=429, method="POST", headers={"Retry-After": "1"})

    run = run_dag(dag)

    assert run.state == "success"
    assert run.tries["upload"] == {BY_HAND: 2, WITH_PROVIDER: 1}[sample]


@BOTH
def test_file_that_is_not_an_image(sample: Any, platform: Any, run_dag: Any, load: Any) -> None:
    dag, data = load(sample)
    (data / "banner.jpg").write_text("a text")

    run = run_dag(dag)

    assert run.states["upload"] == "failed"
    assert platform.calls("POST") == {BY_HAND: 3, WITH_PROVIDER: 0}[sample]
