"""How far a long transfer is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_media._api.progress import MIB, Progress

if TYPE_CHECKING:
    import pytest


def lines(caplog: pytest.LogCaptureFixture, steps: list[tuple[float, int]], total: int = 100 * MIB) -> list[str]:
    now = [0.0]
    progress = Progress("film", total, attempt=2, clock=lambda: now[0])
    with caplog.at_level(logging.INFO):
        for moment, done in steps:
            now[0] = moment
            progress(done)
    return [record.message for record in caplog.records]


def test_a_short_transfer_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, [(second, (second + 1) * 10 * MIB) for second in range(10)]) == []


def test_a_long_one_tells_each_tenth_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[tuple[float, int]] = [(20, 10 * MIB), (21, 30 * MIB), (29, 39 * MIB), (40, 40 * MIB), (41, 100 * MIB)]
    assert lines(caplog, steps) == [
        "Sending 'film': 10 %, 10.0 of 100.0 MiB, 0.5 MiB/s, attempt 2",
        "Sending 'film': 40 %, 40.0 of 100.0 MiB, 1.0 MiB/s, attempt 2",
        "Sent 'film': 100 %, 100.0 of 100.0 MiB, 2.4 MiB/s, attempt 2",
    ]


def test_a_very_slow_one_tells_each_minute(caplog: pytest.LogCaptureFixture) -> None:
    assert len(lines(caplog, [(second, MIB + second) for second in range(0, 181, 5)])) == 3
