"""On Airflow 3.3, a task's next retry does not come before the server's ``Retry-After``."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_media._airflow.retry_policy import RetryAfterPolicy
from airflow_provider_media.exceptions import MediaRateLimitError, MediaUnavailableError
from airflow_provider_media.operators.media import MediaListOperator
from airflow_provider_media.sensors.media import MediaExistsSensor

policies = pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="Airflow has policies since 3.3")


def decide(error: BaseException, *, try_number: int = 1, **task: Any) -> Any:
    task = {"retry_delay": timedelta(seconds=10), "retry_exponential_backoff": 0, "max_retry_delay": None, **task}
    return RetryAfterPolicy().evaluate(error, try_number, 3, {"task": SimpleNamespace(**task)})


@pytest.mark.parametrize("error_class", [MediaRateLimitError, MediaUnavailableError])
def test_retry_waits_for_retry_after(error_class: Any) -> None:
    decision = decide(error_class("busy", retry_after=90.0))
    assert decision.action is policies.RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=90)
    assert decision.reason == "Retry-After: 90 s"


@pytest.mark.parametrize(
    ("error", "task"),
    [
        (MediaRateLimitError("busy"), {}),
        (MediaRateLimitError("busy", retry_after=10.0), {}),
        (ValueError("other"), {}),
        (MediaRateLimitError("busy", retry_after=40.0), {"retry_exponential_backoff": 2.0, "try_number": 3}),
        (
            MediaRateLimitError("busy", retry_after=40.0),
            {"retry_exponential_backoff": True, "retry_delay": timedelta(1)},
        ),
    ],
)
def test_longer_delay_of_the_task_stays(error: BaseException, task: dict[str, Any]) -> None:
    assert decide(error, **task).action is policies.RetryAction.DEFAULT


def test_retry_after_beats_a_capped_backoff() -> None:
    options = {"retry_exponential_backoff": 2.0, "max_retry_delay": timedelta(seconds=20)}
    decision = decide(MediaRateLimitError("busy", retry_after=30.0), try_number=9, **options)
    assert decision.retry_delay == timedelta(seconds=30)


def test_tasks_have_the_policy_unless_they_set_another() -> None:
    own = policies.ExceptionRetryPolicy(rules=[])
    for operator in (MediaListOperator, MediaExistsSensor):
        options = {"media_id": 1} if operator is MediaExistsSensor else {}
        assert operator(task_id="a", **options).retry_policy == RetryAfterPolicy()
        assert operator(task_id="a", retry_policy=own, **options).retry_policy is own


def test_airflow_asks_the_policy_when_a_task_fails() -> None:
    from airflow.sdk.execution_time.task_runner import _evaluate_retry_policy

    task = MediaListOperator(task_id="a", retry_delay=timedelta(seconds=1))
    ti: Any = SimpleNamespace(task=task, try_number=1, _ti_context_from_server=None)
    log = SimpleNamespace(info=lambda *_, **__: None, exception=pytest.fail)
    decision = _evaluate_retry_policy(ti, MediaRateLimitError("busy", retry_after=60.0), log, {"task": task})
    assert decision.retry_delay == timedelta(seconds=60)
