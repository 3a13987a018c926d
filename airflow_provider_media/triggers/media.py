"""Wait until media are in the library, on the triggerer."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_media._polling.lookup import WaitCriteria, WaitEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow_provider_media.triggers._subscription import Subscription


class MediaExistsTrigger(BaseTrigger):
    """Fire when all that is asked for is in the library, or the time is over, or asking failed for good.

    All triggers of one connection share one poll in a triggerer, by the shortest of their intervals. The event is the
    dict of a :class:`~airflow_provider_media._polling.lookup.WaitEvent`.

    :param media_conn_id: the Airflow connection, of type ``media``.
    :param media_ids: the ids to wait for.
    :param names: or else the names; those with ``*``, ``?`` or ``[...]`` are patterns.
    :param exact_names: which of the names are taken literally, whatever they contain.
    :param min_matches: how many files must match a pattern.
    :param poll_interval: seconds between looks; at least 0.5.
    :param deadline: when the wait ends at the latest, in ISO 8601 with an offset. A trigger has ten
        seconds for its first look, even then; a server that is silent or asks to wait for longer is not waited for.
    :param max_poll_failures: how many looks in a row may fail before the wait does.
    :param not_before: when the wait begins at the earliest, likewise: a sensor that waits anew has just looked.
    """

    def __init__(
        self,
        *,
        media_conn_id: str = "media_default",
        media_ids: Sequence[int | str] = (),
        names: Sequence[str] = (),
        exact_names: Sequence[str] = (),
        min_matches: int = 1,
        poll_interval: float = 60.0,
        deadline: str | None = None,
        max_poll_failures: int = 5,
        not_before: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.media_conn_id = media_conn_id
        self.media_ids = list(media_ids)
        self.names = list(names)
        self.exact_names = list(exact_names)
        self.min_matches = min_matches
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.max_poll_failures = max_poll_failures
        self.not_before = not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments to make it again, as plain JSON."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "media_conn_id": self.media_conn_id,
                "media_ids": self.media_ids,
                "names": self.names,
                "exact_names": self.exact_names,
                "min_matches": self.min_matches,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "max_poll_failures": self.max_poll_failures,
                "not_before": self.not_before,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait; yield one event."""
        from airflow_provider_media.triggers._poller import subscribe
        from airflow_provider_media.triggers._subscription import FIRST_POLL_SECONDS, Subscription

        if self.not_before:
            await asyncio.sleep(min(_seconds_until(self.not_before), self._seconds_left))
        wanted = WaitCriteria(
            ids=tuple(map(str, self.media_ids)),
            names=tuple(self.names),
            exact=frozenset(self.exact_names),
            min_matches=self.min_matches,
        )
        look_by = asyncio.get_running_loop().time() + self._seconds_left - FIRST_POLL_SECONDS
        watch = Subscription(wanted, interval=self.poll_interval, max_failures=self.max_poll_failures, look_by=look_by)
        async with subscribe(self.media_conn_id, watch):
            outcome = await self._wait(watch)
        yield TriggerEvent(outcome.to_dict())  # type: ignore[no-untyped-call]

    async def _wait(self, watch: Subscription) -> WaitEvent:
        from airflow_provider_media.triggers._subscription import FIRST_POLL_SECONDS

        clock = asyncio.get_running_loop().time
        started = clock()
        told = 0
        while watch.missing and watch.error is None:
            left = self._seconds_left
            if not watch.looks:
                left = max(left, started + FIRST_POLL_SECONDS - clock())
            try:
                async with asyncio.timeout(None if left == math.inf else max(left, 0.0)):
                    await watch.changed()
            except TimeoutError:
                return WaitEvent(status="deadline", found=watch.found)
            if watch.failure and watch.error is None:
                self.log.warning("A look failed (%d in a row): %s", watch.failures, watch.failure)
            if len(watch.found) != told or watch.looks == 1:
                told = len(watch.found)
                self.log.info("Waiting: %s", watch.wanted.progress(watch.found))
        if watch.error is not None and watch.missing:
            return WaitEvent(
                status="failed", found=watch.found, error=type(watch.error).__name__, message=str(watch.error)
            )
        return WaitEvent(status="found", found=watch.found)

    @property
    def _seconds_left(self) -> float:
        if not self.deadline:
            return math.inf
        return _seconds_until(self.deadline)


def _seconds_until(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
