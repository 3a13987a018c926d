"""Requests are spaced by the connection's rate, and wait for the server's limits."""

from __future__ import annotations

import heapq
import math
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._api.protocol import build_list
from airflow_provider_media._api.retry import RetryState
from airflow_provider_media._api.settings import Secret
from airflow_provider_media._transports import rate_limit
from airflow_provider_media._transports.rate_limit import LEARNED_RATE_SECONDS, RateLimiter, Turn, limiter_of
from airflow_provider_media.exceptions import MediaError, MediaNotFoundError, MediaRateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH = 1_790_000_000.0


class Clock:
    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def limited(remaining: Any, reset: Any, **more: str) -> dict[str, str]:
    return {"x-ratelimit-remaining": str(remaining), "x-ratelimit-reset": str(reset), **more}


def refusal(retry_after: float | None = None, status: int = 429) -> MediaError:
    return MediaRateLimitError("No.", status=status, is_transient=True, retry_after=retry_after)


def send(limiter: RateLimiter, headers: dict[str, str], problem: MediaError | None = None) -> None:
    """Send a request that may start now, and take its response."""
    turn = Turn()
    assert limiter.start(turn) == 0
    limiter.note(turn, headers, problem)


def test_without_a_rate_nothing_waits() -> None:
    limiter = RateLimiter(None, Clock())
    assert [limiter.start(Turn()) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_requests_are_spaced_and_the_first_is_free() -> None:
    limiter = RateLimiter(4, Clock())
    assert [limiter.start(Turn()) for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]


def test_turn_keeps_its_slot() -> None:
    clock = Clock()
    limiter = RateLimiter(4, clock)
    turns = [Turn() for _ in range(3)]
    for turn in turns:
        limiter.start(turn)
    clock.now += 0.125
    assert [limiter.start(turn) for turn in reversed(turns[1:])] == [0.375, 0.125]


def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    limiter.start(Turn())
    clock.now += 60
    assert [limiter.start(Turn()) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])


def test_threads_share_the_rate() -> None:
    limiter = RateLimiter(10, Clock(0.0))
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: limiter.start(Turn()), range(100)))
    assert waits == pytest.approx([number / 10 for number in range(100)])


@pytest.mark.parametrize("reset", ["12", "12.0", " 12 ", str(EPOCH + 12), str(int((EPOCH + 12) * 1000))])
def test_requests_wait_for_the_end_of_a_used_up_window(reset: str) -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock)
    date = format_datetime(datetime.fromtimestamp(EPOCH, UTC), usegmt=True)
    send(limiter, limited(1, reset, date=date))
    send(limiter, limited(0, reset, date=date))
    assert limiter.start(Turn()) == 12
    clock.now += 11
    assert limiter.start(Turn()) == pytest.approx(1)
    clock.now += 1
    assert [limiter.start(Turn()) for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [
        ("0", "86400"),
        ("0", "-5"),
        ("0", "soon"),
        ("0", "nan"),
        ("0", "inf"),
        ("0", str(EPOCH - 3600)),
        ("0", ""),
        ("none", "12"),
        ("-1", "12"),
        ("1e3", "12"),
        ("0.5", "12"),
        ("9" * 5000, "12"),
        ("", ""),
    ],
)
def test_implausible_headers_are_ignored(remaining: str, reset: str) -> None:
    limiter = RateLimiter(None, Clock())
    send(limiter, limited(5, 3600))
    send(limiter, limited(7, 20))
    send(limiter, limited(remaining, reset))
    assert limiter.start(Turn()) == 0


def test_remaining_that_is_always_0_is_ignored() -> None:
    limiter = RateLimiter(None, Clock())
    for _ in range(10):
        send(limiter, limited(0, 60))


def test_running_requests_count() -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock)
    send(limiter, limited(3, 30))
    turns = [Turn() for _ in range(4)]
    assert [limiter.start(turn) for turn in turns] == [0, 0, 0, 30]
    limiter.note(turns[1], limited(4, 30))  # the limit was raised, say
    assert [limiter.start(Turn()) for _ in range(4)] == [0, 0, 0, 30]
    limiter.note(turns[0], limited(0, 30))  # others use the key, too
    assert limiter.start(Turn()) == 30


def test_earliest_reset_of_a_window_applies() -> None:
    """Servers send it in integer seconds, rounded up."""
    clock = Clock()
    limiter = RateLimiter(None, clock)
    for left in (3, 2, 1, 0):
        send(limiter, limited(left, math.ceil(130.0 - clock.now)))
        clock.now += 0.4
    assert limiter.start(Turn()) == pytest.approx(130 - clock.now, abs=1e-6)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_one_request_delays_all(status: int) -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock)
    send(limiter, {}, refusal(20, status))
    assert limiter.start(Turn()) == 20
    clock.now += 20
    assert limiter.start(Turn()) == 0


def test_long_hold_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock)
    send(limiter, {}, refusal(20))
    with caplog.at_level("INFO"):
        for _ in range(3):
            limiter.start(Turn())
            clock.now += 1
        clock.now += 20
        send(limiter, {}, refusal(2))
        limiter.start(Turn())
    assert caplog.messages == ["All requests of this API key wait 20 s, as the server requested"]


@pytest.mark.parametrize("problem", [refusal(200), refusal(None, 503), MediaNotFoundError("", retry_after=60)])
def test_long_retry_after_delays_only_its_own_request(problem: MediaError) -> None:
    limiter = RateLimiter(None, Clock())
    send(limiter, {}, problem)
    assert limiter.start(Turn()) == 0


def test_rate_is_learned_from_429_and_expires() -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock)
    for _ in range(20):
        send(limiter, limited(900, 40))
        clock.now += 0.01
    send(limiter, limited(880, 40), refusal())
    clock.now += 1
    assert limiter.start(Turn()) == 0
    assert 1 / limiter.start(Turn()) == pytest.approx(0.95 * 20)
    clock.now += LEARNED_RATE_SECONDS
    assert [limiter.start(Turn()) for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("accepted", [0, 1, 4])
def test_429_after_few_requests_sets_no_rate(accepted: int) -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock)
    for _ in range(accepted):
        send(limiter, {})
    send(limiter, {}, refusal())
    clock.now += 1
    assert [limiter.start(Turn()) for _ in range(10)] == [0] * 10


def test_window_longer_than_the_retry_budget_fails_the_request() -> None:
    limiter = RateLimiter(None, Clock())
    send(limiter, limited(1, 90))
    send(limiter, limited(0, 90))
    call = build_list()
    patient, impatient = (RetryState(max_attempts=3, budget_seconds=seconds, clock=Clock()) for seconds in (120, 30))
    assert next(limiter.waits(Turn(), call, patient)) == 90
    with pytest.raises(MediaError, match="the rate limit of the API key is exceeded for 90 s") as raised:
        next(limiter.waits(Turn(), call, impatient))
    assert (type(raised.value), raised.value.retry_after) == (MediaRateLimitError, 90)


def test_hooks_of_one_key_share_a_limiter() -> None:
    limiters = {id(limiter_of("http://h", key, None)) for key in ("a", "a", "b") for _ in range(2)}
    assert len(limiters) == 2


class Server:
    """Two windows, as the platform documents them; each starts with its first request.

    :param shows: returns the headers of the limits at a time of the server.
    :param aligned: whether windows begin with whole seconds and minutes instead.
    """

    def __init__(self, shows: str, *, aligned: bool) -> None:
        self._shows, self._aligned = shows, aligned
        self._windows = {1.0: [50, 0, -1.0], 60.0: [1000, 0, -1.0]}
        self.refused = 0

    def take(self, now: float) -> tuple[dict[str, str], MediaError | None]:
        for seconds, window in self._windows.items():
            if now >= window[2]:
                window[1:] = [0, (math.floor(now / seconds) + 1) * seconds if self._aligned else now + seconds]
        full = [window for window in self._windows.values() if window[1] >= window[0]]
        if not full:
            for window in self._windows.values():
                window[1] += 1
        self.refused += bool(full)
        problem = refusal(max(1, math.ceil(full[0][2] - now))) if full else None
        return self._headers(now), problem

    def _headers(self, now: float) -> dict[str, str]:
        if self._shows == "nothing":
            return {}
        second, minute = self._windows.values()
        is_second_tighter = second[0] - second[1] < minute[0] - minute[1]
        limit, used, ends = second if self._shows == "tightest" and is_second_tighter else minute
        reset = math.ceil(EPOCH + ends if self._shows == "epoch" else ends - now)
        date = format_datetime(datetime.fromtimestamp(math.floor(EPOCH + now), UTC), usegmt=True)
        return limited(max(0, limit - used), reset, date=date, **{"x-ratelimit-limit": str(limit)})


def simulate(server: Server, *, requests: int, workers: int, latency: float) -> float:
    """Let workers send requests until all are accepted; return how long it took."""
    clock = Clock(7.3)
    limiter = RateLimiter(None, clock)
    chance = random.Random(4)
    left = [requests]
    order = count()
    events: list[tuple[float, int, Iterator[float]]] = []

    def work() -> Iterator[float]:
        while left[0]:
            left[0] -= 1
            accepted = False
            while not accepted:
                turn = Turn()
                while seconds := limiter.start(turn):
                    yield seconds
                yield latency * chance.uniform(0.3, 0.7)
                headers, problem = server.take(clock.now)
                yield latency * chance.uniform(0.3, 0.7)
                limiter.note(turn, headers, problem)
                accepted = problem is None
                if problem:
                    yield (problem.retry_after or 1) * (1 + chance.random() / 20)

    for _ in range(workers):
        heapq.heappush(events, (clock.now, next(order), work()))
    while events:
        clock.now, _, worker = heapq.heappop(events)
        if (seconds := next(worker, None)) is not None:
            heapq.heappush(events, (clock.now + seconds, next(order), worker))
    return clock.now - 7.3


@pytest.mark.parametrize("aligned", [False, True], ids=["from the first request", "by the clock"])
@pytest.mark.parametrize("shows", ["minute", "epoch", "tightest"])
@pytest.mark.parametrize(("workers", "latency"), [(4, 0.03), (8, 0.02), (8, 0.1)])
def test_1500_requests_take_hardly_longer_than_the_limits_allow(
    shows: str, workers: int, latency: float, *, aligned: bool
) -> None:
    server = Server(shows, aligned=aligned)
    seconds = simulate(server, requests=1500, workers=workers, latency=latency)
    ideal = 70.0 if not aligned else 60 - 7.3 + 10  # the first minute began before
    assert seconds <= 1.05 * ideal
    assert server.refused <= 0.01 * 1500


def test_limit_without_headers_is_learned_from_429() -> None:
    server = Server("nothing", aligned=False)
    assert simulate(server, requests=1500, workers=8, latency=0.02) <= 1.1 * 70
    assert server.refused <= 0.03 * 1500


def test_oldest_limiters_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_limiters", {})
    limiters = [limiter_of(f"http://host-{number}", Secret("a-key"), None) for number in range(300)]
    assert len(rate_limit._limiters) == rate_limit._MAX_LIMITERS == 256
    assert limiter_of("http://host-299", Secret("a-key"), None) is limiters[299]
    assert limiter_of("http://host-0", Secret("a-key"), None) is not limiters[0]
