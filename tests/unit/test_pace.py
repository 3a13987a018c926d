"""Requests of one process are spaced evenly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_media._transports.pace import Pace


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(None, lambda: 0.0)
    assert [pace.reserve() for _ in range(3)] == [0.0, 0.0, 0.0]


def test_requests_are_spaced_and_the_first_is_free() -> None:
    pace = Pace(4, lambda: 100.0)
    assert [pace.reserve() for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]


def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    now = [0.0]
    pace = Pace(10, lambda: now[0])
    pace.reserve()
    now[0] = 60.0
    assert [pace.reserve() for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])


def test_threads_share_the_rate() -> None:
    pace = Pace(10, lambda: 0.0)
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: pace.reserve(), range(100)))
    assert waits == pytest.approx([number / 10 for number in range(100)])
