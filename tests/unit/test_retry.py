"""One retry policy: how often, how long, and when to give up."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.retry import (
    FIRST_DELAY_SECONDS,
    MAX_WAIT_SECONDS,
    RetryState,
    backoff_seconds,
    parse_retry_after,
)
from airflow_provider_media._api.settings import Secret, Settings
from airflow_provider_media.exceptions import MediaError, MediaUnavailableError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failure(retry_after: float | None = None, *, is_transient: bool = True) -> MediaError:
    return MediaUnavailableError("down", is_transient=is_transient, retry_after=retry_after)


def test_permanent_failure_is_not_retried(clock: Clock) -> None:
    retries = RetryState(max_attempts=5, budget_seconds=100, clock=clock)
    assert retries.next_delay(failure(is_transient=False)) is None


def test_retries_end_with_the_last_attempt(clock: Clock) -> None:
    retries = RetryState(max_attempts=3, budget_seconds=100, clock=clock)
    assert [retries.next_delay(failure()) is None for _ in range(3)] == [False, False, True]
    assert retries.attempts == 3


def test_one_attempt_means_no_retry(clock: Clock) -> None:
    assert RetryState(max_attempts=1, budget_seconds=100, clock=clock).next_delay(failure()) is None


def test_delays_double_up_to_the_maximum_with_jitter() -> None:
    for attempt in range(1, 2000, 7):
        longest = min(MAX_WAIT_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(attempt - 1, 20))
        waits = {backoff_seconds(attempt) for _ in range(5)}
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(waits) > 1


def test_the_budget_counts_from_the_first_failure_not_from_the_first_attempt(clock: Clock) -> None:
    retries = RetryState(max_attempts=99, budget_seconds=10, clock=clock)
    clock.now += 3600
    assert retries.next_delay(failure(retry_after=9)) is not None
    clock.now += 2
    assert retries.next_delay(failure(retry_after=9)) is None


def test_transfer_time_is_excluded_from_the_budget(clock: Clock) -> None:
    retries = RetryState(max_attempts=99, budget_seconds=10, clock=clock)
    assert retries.next_delay(failure(retry_after=0)) is not None
    clock.now += 3600
    retries.exclude_time(3595)
    assert retries.next_delay(failure(retry_after=5)) is not None
    assert retries.next_delay(failure(retry_after=5.1)) is None


def test_transfer_before_the_first_failure_does_not_extend_the_budget(clock: Clock) -> None:
    retries = RetryState(max_attempts=99, budget_seconds=10, clock=clock)
    retries.exclude_time(3600)
    assert retries.next_delay(failure(retry_after=0)) is not None
    clock.now += 11
    assert retries.next_delay(failure(retry_after=0)) is None


def test_retry_after_beyond_the_budget_ends_retries(clock: Clock) -> None:
    retries = RetryState(max_attempts=99, budget_seconds=10, clock=clock)
    assert retries.next_delay(failure(retry_after=10.01)) is None


def test_retry_after_equal_to_the_budget_is_obeyed(clock: Clock) -> None:
    assert RetryState(max_attempts=99, budget_seconds=10, clock=clock).next_delay(failure(retry_after=10)) == 10


@given(asked=st.floats(min_value=0, max_value=1e6), budget=st.floats(min_value=0, max_value=1e6))
def test_delay_is_at_least_retry_after_and_within_the_budget(asked: float, budget: float) -> None:
    wait = RetryState(max_attempts=9, budget_seconds=budget, clock=lambda: 0.0).next_delay(failure(retry_after=asked))
    assert (wait is None) == (asked > budget or budget == 0)
    if wait is not None:
        assert asked <= wait <= max(asked, min(budget, max(asked * 1.05, FIRST_DELAY_SECONDS)))


@pytest.mark.parametrize("asked", [0, 0.001])
def test_backoff_applies_to_retry_after_zero(clock: Clock, asked: float) -> None:
    retries = RetryState(max_attempts=6, budget_seconds=100, clock=clock)
    for attempt in range(1, 6):
        wait = retries.next_delay(failure(retry_after=asked))
        assert wait is not None
        assert wait >= FIRST_DELAY_SECONDS * 2 ** (attempt - 1) / 2


def test_delay_is_the_remaining_budget_if_the_backoff_exceeds_it(
    clock: Clock,
) -> None:
    retries = RetryState(max_attempts=99, budget_seconds=10, clock=clock, attempts=20)
    assert retries.next_delay(failure(retry_after=1)) == 10
    clock.now += 10
    assert retries.next_delay(failure(retry_after=0)) is None


def test_without_a_budget_nothing_is_retried(clock: Clock) -> None:
    assert RetryState(max_attempts=9, budget_seconds=0, clock=clock).next_delay(failure()) is None
    assert RetryState(max_attempts=9, budget_seconds=0, clock=clock).next_delay(failure(retry_after=0)) is None


@pytest.mark.parametrize(
    ("header", "body_value", "seconds"),
    [
        ("12", None, 12.0),
        ("0", 7, 0.0),
        (" 1.5 ", None, 1.5),
        (None, 12, 12.0),
        (None, "12", 12.0),
        (None, 0.25, 0.25),
        ("3", 12, 3.0),
        ("soon", 12, 12.0),
        ("-3", 12, 12.0),
        ("nan", 12, 12.0),
        ("inf", None, None),
        ("", 12, 12.0),
        (format_datetime(NOW.replace(second=30), usegmt=True), None, 30.0),
        ("Sun Mar  1 12:00:30 2026", None, 30.0),
        ("Sun, 01 Mar 2026 13:00:30 +0100", 99, 30.0),
        (format_datetime(NOW.replace(year=2020), usegmt=True), 99, 0.0),
        ("Sun, 99 Mar 2026 13:00:30 GMT", 7, 7.0),
        (None, None, None),
        (None, True, None),
        (None, "later", None),
        (None, [3], None),
        pytest.param(None, 10**400, None, id="a number of 400 digits"),
        (None, -1, None),
    ],
)
def test_retry_after_is_parsed(header: str | None, body_value: Any, seconds: float | None) -> None:
    assert parse_retry_after(header, body_value, now=NOW) == seconds


DATES = st.from_regex(
    r"[A-Z][a-z]{2}, \d{1,3} (Jan|Feb|Dec) \d{1,6} \d{2}:\d{2}:\d{2} (GMT|[+-]\d{2,6}|)", fullmatch=True
)


@given(header=st.none() | st.text() | DATES, body_value=st.none() | st.text() | st.integers() | st.floats())
def test_any_retry_after_is_a_delay_or_none(header: str | None, body_value: Any) -> None:
    seconds = parse_retry_after(header, body_value)
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize("luck", [0.5, 0.75, 1.0])
def test_default_retries_cover_an_outage_of_a_minute(luck: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_media._api.retry.random.uniform", lambda *_: luck)
    settings = Settings(base_url="http://h", api_key=Secret("k"))
    clock = Clock()
    retries = RetryState(max_attempts=settings.max_attempts, budget_seconds=settings.retry_budget, clock=clock)
    began = clock.now
    while (wait := retries.next_delay(failure())) is not None:
        clock.now += wait
    assert 60 < clock.now - began <= settings.retry_budget
