"""The operators' default retry policy on Airflow 3.3 and later: no retry before the server's ``Retry-After``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_provider_media.exceptions import MediaError

_MAX_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class RetryAfterPolicy:
    """Delays a task's next retry until ``Retry-After`` has passed, unless its own delay is longer.

    Airflow calls only :meth:`evaluate`. A base class of Airflow would need Airflow 3.3.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002 - Airflow passes it
        context: Any = None,
    ) -> Any:
        """Return Airflow's ``RetryDecision``."""
        from airflow.sdk.definitions.retry_policy import RetryDecision

        seconds = exception.retry_after if isinstance(exception, MediaError) else None
        if seconds is None or seconds <= _own_delay((context or {}).get("task"), try_number):
            return RetryDecision.default()
        return RetryDecision.retry(timedelta(seconds=seconds), f"Retry-After: {seconds:g} s")


def set_default_retry_policy(operator: Any) -> None:
    """Set the policy of a task that has none; without effect before Airflow 3.3, whose tasks have no policies."""
    if getattr(operator, "retry_policy", ...) is None:
        operator.retry_policy = RetryAfterPolicy()


def _own_delay(task: Any, try_number: int) -> float:
    """Return the seconds until the task's next retry by its own settings."""
    delay = getattr(task, "retry_delay", None) or timedelta()
    seconds = float(delay.total_seconds())
    factor = float(getattr(task, "retry_exponential_backoff", 0) or 0)
    if factor > 1:
        seconds *= factor ** min(max(0, try_number - 1), _MAX_DOUBLINGS)
    longest = getattr(task, "max_retry_delay", None)
    return min(seconds, longest.total_seconds()) if longest else seconds
