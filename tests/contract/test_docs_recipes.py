"""Run the samples of docs/guides/recipes.md, and the approval of docs/guides/campaign.md."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from tests.helpers.doc_samples import ROOT, Sample, samples_of

if TYPE_CHECKING:
    from pathlib import Path


CAMPAIGN = ROOT / "docs" / "guides" / "campaign.md"


def names_of(test: str) -> dict[str, Any]:
    """Run the sample that a test covers; return its names."""
    (sample,) = (
        one for one in samples_of(ROOT / "docs" / "guides" / "recipes.md") if one.tested_by.endswith(f"::{test}")
    )
    names: dict[str, Any] = {}
    exec(compile(sample.code, str(sample), "exec"), names)  # noqa: S102 - the sample
    return names


@pytest.mark.filterwarnings("ignore:The .airflow.utils.operator_helpers")  # Airflow's own, of @task.sensor
def test_sync_waits_until_the_folder_has_stopped_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dag = names_of("test_sync_waits_until_the_folder_has_stopped_growing")["dag"]
    assert dag.get_task("folder_is_complete").downstream_task_ids == {"sync"}
    is_complete = dag.get_task("folder_is_complete").python_callable
    slept: list[float] = []
    changes = iter(
        [
            lambda: None,
            lambda: (tmp_path / "a.jpg").write_bytes(b"1"),
            lambda: (tmp_path / "a.jpg").write_bytes(b"12"),
            lambda: (tmp_path / "b.jpg").write_bytes(b"1"),
            (tmp_path / "b.jpg").unlink,
            lambda: None,
        ]
    )

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        next(changes)()

    monkeypatch.setattr(time, "sleep", sleep)
    assert [is_complete(str(tmp_path)) for _ in range(6)] == [False] * 5 + [True]
    assert slept == [60] * 6


def test_missed_event_is_caught_by_the_next_run(
    media_sandbox: Any, media_connection: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    sdk = pytest.importorskip("airflow.sdk", reason="the sample is for Airflow 3")
    if not hasattr(sdk, "AssetOrTimeSchedule"):
        pytest.skip("the sample is for Airflow 3.1 and later")
    stored: dict[str, Any] = {}
    monkeypatch.setattr(sdk.Variable, "get", lambda key, default=None, **_: list(stored.get(key, default)))
    monkeypatch.setattr(sdk.Variable, "set", lambda key, value, **_: stored.update({key: list(value)}))
    send_new = names_of("test_missed_event_is_caught_by_the_next_run")["dag"].get_task("send_new").python_callable

    media_sandbox.store(b"GIF89a1", "banner-1")
    send_new()
    for name in ("banner-2", "other", "banner-3"):  # of which only one starts a run
        media_sandbox.store(b"GIF89a1", name)
    send_new()
    send_new()
    sent = [line for line in capsys.readouterr().out.splitlines() if line.startswith("send ")]
    assert sent == ["send banner-1", "send banner-2", "send banner-3"]


def campaign_names(*samples: Sample) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for sample in samples:
        exec(compile(sample.code, str(sample), "exec"), names)  # noqa: S102 - the sample
    return names


def test_partner_delivers_what_the_campaign_waits_for() -> None:
    campaign, partner, *_ = samples_of(CAMPAIGN)
    names = campaign_names(campaign, partner)
    assert names["partner"].name == names["wait"].name


@pytest.mark.skipif(
    Version(version("apache-airflow")) < Version("3.2"), reason="response_timeout is new in Airflow 3.2"
)
def test_approval_extends_the_campaign() -> None:
    campaign, _, approval, *_ = samples_of(CAMPAIGN)
    start, last_line, _ = campaign.code.rpartition("    send.expand(media=gate.output)\n")
    assert last_line
    dag = campaign_names(replace(campaign, text=start), approval)["dag"]
    assert dag.get_task("approve").upstream_task_ids == {"describe"}
    assert dag.get_task("approve").downstream_task_ids == {"check_again"}
    assert dag.get_task("send").upstream_task_ids == {"check_again"}
