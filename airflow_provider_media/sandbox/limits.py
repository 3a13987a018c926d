"""The rate limits of the platform: so many requests a minute and so many within a second."""

from __future__ import annotations

import math
import time

PRODUCTION_REQUESTS_PER_MINUTE = 1000
"""What ``X-RateLimit-Limit`` says when no limit is enforced (the platform's figure for production keys)."""


class _Window:
    """A span of time that starts with its first request and takes only so many."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.ends_at = 0.0
        self.used = 0

    def roll(self, now: float) -> None:
        if now >= self.ends_at:
            self.ends_at = now + self._seconds
            self.used = 0


class RateLimiter:
    """Counts the requests of the sandbox's one API key.

    :param requests_per_minute: None never refuses, and tells of a limit of which nothing is used up.
    :param burst_per_second: None never refuses.
    """

    def __init__(self, requests_per_minute: int | None, burst_per_second: int | None) -> None:
        self._minute = _Window(60)
        self._second = _Window(1)
        self._limits = ((self._minute, requests_per_minute), (self._second, burst_per_second))
        self._is_limited = requests_per_minute is not None
        self._shown_limit = requests_per_minute or PRODUCTION_REQUESTS_PER_MINUTE

    def take(self) -> int | None:
        """Count one request; when it is one too many, count nothing and tell the whole seconds to wait."""
        now = time.time()
        for window, limit in self._limits:
            window.roll(now)
            if limit is not None and window.used >= limit:
                return max(1, math.ceil(window.ends_at - now))
        for window, _ in self._limits:
            window.used += 1
        return None

    def headers(self) -> dict[str, str]:
        """Tell the state of the minute, as every answer does; the reset is a Unix time in seconds."""
        self._minute.roll(time.time())
        used = self._minute.used if self._is_limited else 0
        return {
            "X-RateLimit-Limit": str(self._shown_limit),
            "X-RateLimit-Remaining": str(max(0, self._shown_limit - used)),
            "X-RateLimit-Reset": str(math.ceil(self._minute.ends_at)),
        }
