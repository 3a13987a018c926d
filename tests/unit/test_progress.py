"""Test the progress lines of long uploads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_media._upload.body import FilesProgress, Progress

if TYPE_CHECKING:
    import pytest

MB = 1_000_000


def lines(caplog: pytest.LogCaptureFixture, steps: list[tuple[float, int]], total: int = 100 * MB) -> list[str]:
    now = [0.0]
    progress = Progress("video", total, attempt=2, clock=lambda: now[0])
    with caplog.at_level(logging.INFO):
        for moment, done in steps:
            now[0] = moment
            progress(done)
    return [record.message for record in caplog.records]


def test_a_short_upload_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, [(second, (second + 1) * 10 * MB) for second in range(10)]) == []


def test_a_long_upload_logs_each_tenth_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[tuple[float, int]] = [(20, 10 * MB), (21, 30 * MB), (29, 39 * MB), (40, 40 * MB), (41, 100 * MB)]
    assert lines(caplog, steps) == [
        "Uploading 'video': 10 %, 10.0 MB of 100.0 MB, 500.0 kB/s, attempt 2",
        "Uploading 'video': 40 %, 40.0 MB of 100.0 MB, 1.0 MB/s, attempt 2",
        "Uploading 'video': 100 %, 100.0 MB of 100.0 MB, 2.4 MB/s, attempt 2",
    ]


def test_a_slow_upload_logs_each_minute(caplog: pytest.LogCaptureFixture) -> None:
    assert len(lines(caplog, [(second, MB + second) for second in range(0, 181, 5)])) == 3


def test_progress_of_many_files_has_the_remaining_time(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    progress = FilesProgress(20, 100 * MB, clock=lambda: now[0])
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            now[0] += 1
            progress.add(5 * MB)
    assert [record.message for record in caplog.records] == [
        "Uploaded 10 of 20 files, 50.0 MB of 100.0 MB (1.0 files/s, 5.0 MB/s); 10 s remaining"
    ]
    assert progress.summary() == "20 of 20 files, 100.0 MB of 100.0 MB (1.0 files/s, 5.0 MB/s), in 20.0 s"


def test_a_short_upload_of_files_logs_no_progress(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    progress = FilesProgress(3, 3 * MB, clock=lambda: now[0])
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            now[0] += 3
            progress.add(MB)
    assert caplog.records == []


def test_summary_of_a_small_file_has_its_size() -> None:
    progress = FilesProgress(1, 43_700, clock=lambda: 0.0)
    progress.add(43_700)
    assert progress.summary().startswith("1 of 1 file, 43.7 kB of 43.7 kB (")
