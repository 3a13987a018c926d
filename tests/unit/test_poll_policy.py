"""The policy for failed polls, shared by the sensor and its triggers."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException, AirflowSkipException

from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaRateLimitError,
    MediaRequestError,
    MediaResponseError,
    MediaUnavailableError,
)
from airflow_provider_media.triggers._poller import (
    MAX_CONSECUTIVE_FAILURES,
    UNLIMITED_FAILURES,
    PollPolicy,
    jitter,
)

COUNTED = [MediaUnavailableError("x"), MediaResponseError("x"), MediaRequestError("x")]
PERMANENT = [MediaAuthError("x"), MediaConfigurationError("x"), AirflowFailException("x"), AirflowSkipException("x")]
FOREIGN = [AirflowNotFoundException("x"), OSError("x"), RuntimeError("x")]


@pytest.mark.parametrize("error", COUNTED, ids=repr)
def test_counted_error_ends_the_wait_after_max_failures(error: Exception) -> None:
    policy, failures = PollPolicy(), 0
    for number in range(1, MAX_CONSECUTIVE_FAILURES + 1):
        failures = policy.count(failures, error)
        assert failures == number
        assert policy.ends_wait(failures, error) == (number == MAX_CONSECUTIVE_FAILURES)
    assert not policy.is_permanent(error)
    assert not PollPolicy(UNLIMITED_FAILURES).ends_wait(1_000_000, error)


@pytest.mark.parametrize("error", PERMANENT, ids=repr)
def test_permanent_error_ends_the_wait_even_with_silent_fail(error: Exception) -> None:
    assert PollPolicy(UNLIMITED_FAILURES).ends_wait(1, error)
    assert PollPolicy().is_permanent(error)


@pytest.mark.parametrize("error", FOREIGN, ids=repr)
def test_other_exception_ends_the_wait_except_with_silent_fail(error: Exception) -> None:
    assert PollPolicy().ends_wait(1, error)
    assert not PollPolicy(UNLIMITED_FAILURES).ends_wait(1, error)
    assert not PollPolicy().is_permanent(error)


def test_rate_limit_is_not_counted() -> None:
    assert PollPolicy().count(2, MediaRateLimitError("x")) == 2


def test_success_resets_the_count() -> None:
    assert PollPolicy().count(4, None) == 0


@pytest.mark.parametrize(("interval", "longest"), [(0.5, 0.05), (5, 0.5), (60, 1.0)])
def test_jitter_is_at_most_a_tenth_of_the_interval_and_a_second(interval: float, longest: float) -> None:
    assert all(0 <= jitter(interval) <= longest for _ in range(100))
