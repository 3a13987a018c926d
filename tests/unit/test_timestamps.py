"""Creation dates of servers are parsed, and ages are not overestimated."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_media._api.values import min_age, parse_timestamp

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "written", [0, -1, 946_684_799, "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01"]
)
def test_timestamp_before_2000_is_unknown(written: Any) -> None:
    assert parse_timestamp(written) is None


@pytest.mark.parametrize(
    "written",
    ["2026-W48", "2026-W48-4", "2026W484T10:00", "2026-330", "2026-11", "20261126", "2026-11-26T10", "2026-11-26Z",
     "2026-13-01", "2026-11-26T25:00", "\u0662026-11-26", "", "now", 1e300, float("nan"), float("inf"), True, None],
)  # fmt: skip
def test_incomplete_date_is_unknown(written: Any) -> None:
    assert parse_timestamp(written) is None


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ("2026-11-26T10:00:00Z", 2),
        ("2026-11-26T10:00Z", 2),
        ("2026-11-26t10:00:00.1234567Z", 2),
        ("2026-11-26T10:00:00-05:00", -3),
        ("2026-11-26T10:00:00", 2 - 12),
        ("2026-11-26 10:00:00", 2 - 12),
        ("2026-11-26", 12 - 36),
        (1795687200, 2),
        (1795687200000, 2),
    ],
)
def test_min_age_assumes_the_latest_possible_zone(written: Any, hours: int) -> None:
    moment = parse_timestamp(written)
    assert moment is not None
    for same in (moment, deepcopy(moment)):
        assert abs(min_age(same, NOW) - timedelta(hours=hours)) < timedelta(seconds=1)


def test_timestamp_at_the_end_of_time_is_not_old() -> None:
    moment = parse_timestamp("9999-12-31")
    assert moment is not None
    assert min_age(moment, NOW) < timedelta(0)


def test_missing_zone_is_shown_and_sorted_as_utc() -> None:
    moments = [parse_timestamp(text) for text in ("2026-11-26", "2026-11-26T00:00:01", "2026-11-26T00:00:02Z")]
    assert [moment and moment.isoformat()[-8:] for moment in moments] == ["00+00:00", "01+00:00", "02+00:00"]
    assert moments == sorted(moments, key=lambda moment: moment or NOW)
