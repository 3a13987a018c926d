"""Rate limits: requests per minute and requests per second."""

from __future__ import annotations

import math
import time

PRODUCTION_REQUESTS_PER_MINUTE = 1000
"""Value of ``X-RateLimit-Limit`` without an enforced limit (the platform's limit of production keys)."""


class _Window:
    """A fixed window that starts with its first request and counts requests."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.ends_at = 0.0
        self.used = 0

    def roll(self, now: float) -> None:
        if now >= self.ends_at:
            self.ends_at = now + self._seconds
            self.used = 0


class RequestQuota:
    """Counts requests against the limits.

    :param requests_per_minute: None for no limit; the headers then show an unused production limit.
    :param burst_per_second: None for no limit.
    """

    def __init__(self, requests_per_minute: int | None, burst_per_second: int | None) -> None:
        self._minute = _Window(60)
        self._second = _Window(1)
        self._limits = ((self._minute, requests_per_minute), (self._second, burst_per_second))
        self._is_limited = requests_per_minute is not None
        self._shown_limit = requests_per_minute or PRODUCTION_REQUESTS_PER_MINUTE

    def take(self) -> int | None:
        """Count one request and return None; above a limit, do not count it and return the seconds to wait."""
        now = time.time()
        for window, limit in self._limits:
            window.roll(now)
            if limit is not None and window.used >= limit:
                return max(1, math.ceil(window.ends_at - now))
        for window, _ in self._limits:
            window.used += 1
        return None

    def headers(self) -> dict[str, str]:
        """Return the rate limit headers of a response; the reset time is Unix time in seconds."""
        self._minute.roll(time.time())
        used = self._minute.used if self._is_limited else 0
        return {
            "X-RateLimit-Limit": str(self._shown_limit),
            "X-RateLimit-Remaining": str(max(0, self._shown_limit - used)),
            "X-RateLimit-Reset": str(math.ceil(self._minute.ends_at)),
        }
