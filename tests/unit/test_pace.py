"""Requests of one process are spaced evenly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from airflow_provider_media._transports.pace import Pace


def wait(pace: Pace) -> float:
    """Take a turn; return how long it would be waited for."""
    with pace.turn() as seconds:
        return seconds


def give_up(pace: Pace) -> None:
    """Take a turn, and be cancelled while waiting for it."""
    with pytest.raises(KeyboardInterrupt), pace.turn():
        raise KeyboardInterrupt


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(None, lambda: 0.0)
    assert [wait(pace) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_requests_are_spaced_and_the_first_is_free() -> None:
    pace = Pace(4, lambda: 100.0)
    assert [wait(pace) for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]


def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    now = [0.0]
    pace = Pace(10, lambda: now[0])
    wait(pace)
    now[0] = 60.0
    assert [wait(pace) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])


def test_the_moment_of_who_gives_up_waiting_goes_to_the_next() -> None:
    pace = Pace(4, lambda: 100.0)
    with pace.turn():
        give_up(pace)
        with pace.turn() as seconds:
            assert seconds == 0.25
            give_up(pace)
    assert [wait(pace) for _ in range(2)] == [0.5, 0.75]


def test_each_moment_given_back_is_taken_once_and_the_earliest_first() -> None:
    pace = Pace(4, lambda: 100.0)
    with ExitStack() as first, suppress(KeyboardInterrupt), ExitStack() as others:
        first.enter_context(pace.turn())
        for _ in range(3):
            others.enter_context(pace.turn())
        raise KeyboardInterrupt
    assert [wait(pace) for _ in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_nobody_waits_because_of_those_who_gave_up() -> None:
    now = [0.0]
    pace = Pace(0.01, lambda: now[0])
    wait(pace)
    for _ in range(10):
        give_up(pace)
    now[0] = 150.0
    assert [wait(pace) for _ in range(2)] == [0.0, 100.0]


def test_a_moment_given_back_that_is_over_is_not_made_up_for() -> None:
    now = [0.0]
    pace = Pace(4, lambda: now[0])
    with suppress(KeyboardInterrupt), pace.turn():
        wait(pace)
        raise KeyboardInterrupt
    now[0] = 0.125
    assert [wait(pace) for _ in range(2)] == [0.375, 0.625]


def test_threads_share_the_rate() -> None:
    pace = Pace(10, lambda: 0.0)
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: wait(pace), range(100)))
    assert waits == pytest.approx([number / 10 for number in range(100)])
