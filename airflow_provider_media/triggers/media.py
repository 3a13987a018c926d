"""Wait on the triggerer until media are in the library."""

from __future__ import annotations

import asyncio
import inspect
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_media._airflow.arguments import (
    parse_choice,
    parse_datetime,
    parse_interval,
    parse_list,
    parse_media_id,
    parse_nullable,
    parse_str,
    parse_token,
)
from airflow_provider_media._api.values import parse_int, plural
from airflow_provider_media._polling.criteria import WaitCriteria, WaitEvent
from airflow_provider_media.triggers import _poller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class MediaExistsTrigger(BaseTrigger):
    """Fire when all requested media are in the library, before or at the deadline, or when polling failed.

    In a triggerer all triggers of a connection share one poll, at the shortest of their intervals. The event is the
    dict of a :class:`~airflow_provider_media._polling.criteria.WaitEvent`.

    :param media_conn_id: the Airflow connection, of type ``media``.
    :param media_ids: the ids to wait for.
    :param names: or else the names; those with ``*``, ``?`` or ``[...]`` are patterns.
    :param exact_names: the names to match literally, even if they contain wildcards.
    :param min_matches: the minimum number of files that match a pattern.
    :param folder_id: only files known to be in this folder.
    :param mime_type: only files of this type; may have wildcards.
    :param stored_after: only files known to be stored at this time or later, in ISO 8601 with an offset.
    :param pick: ``oldest`` or ``newest``: which file of a plain name is returned.
    :param found_before: the number of ids or names that the sensor found before, for the log.
    :param poll_interval: seconds between polls; at least 0.5.
    :param deadline: the end of the wait, in ISO 8601 with an offset. The first poll has at least ten seconds, even
        after the deadline.
    :param warn_at: the time of the event with the status ``warning``, in ISO 8601 with an offset; not before the first
        poll.
    :param max_poll_failures: the number of consecutive failed polls that fails the wait.
    :param not_before: the earliest start, in ISO 8601 with an offset; set by a sensor that has just polled.
    :raises MediaConfigurationError: an argument is invalid, such as an empty string or "None".
    """

    def __init__(
        self,
        *,
        media_conn_id: str = "media_default",
        media_ids: Sequence[int | str] = (),
        names: Sequence[str] = (),
        exact_names: Sequence[str] = (),
        min_matches: int = 1,
        folder_id: str | None = None,
        mime_type: str | None = None,
        stored_after: str | None = None,
        pick: str = "oldest",
        found_before: int = 0,
        poll_interval: float = 60.0,
        deadline: str | None = None,
        warn_at: str | None = None,
        max_poll_failures: int = _poller.MAX_CONSECUTIVE_FAILURES,
        not_before: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.media_conn_id = parse_token("media_conn_id", media_conn_id)
        self.media_ids = [parse_media_id("media_ids", one) for one in parse_list("media_ids", media_ids)]
        self.names = [parse_str("names", one) for one in parse_list("names", names)]
        self.exact_names = [parse_str("exact_names", one) for one in parse_list("exact_names", exact_names)]
        self.min_matches = parse_int("min_matches", min_matches)
        self.folder_id = parse_nullable(parse_token, "folder_id", folder_id)
        self.mime_type = parse_nullable(parse_token, "mime_type", mime_type)
        self.stored_after = _parse_moment("stored_after", stored_after)
        self.pick = parse_choice("pick", pick, ("oldest", "newest"))
        self.found_before = parse_int("found_before", found_before, least=0)
        self.poll_interval = parse_interval("poll_interval", poll_interval, may_be_zero=True)
        self.deadline = _parse_moment("deadline", deadline)
        self.warn_at = _parse_moment("warn_at", warn_at)
        self.max_poll_failures = parse_int("max_poll_failures", max_poll_failures)
        self.not_before = _parse_moment("not_before", not_before)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as JSON-compatible values."""
        arguments = {name: getattr(self, name) for name in inspect.signature(MediaExistsTrigger).parameters}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then yield one event."""
        if self.not_before:
            await asyncio.sleep(min(_seconds_until(self.not_before), _seconds_until(self.deadline)))
        criteria = WaitCriteria(
            ids=tuple(map(str, self.media_ids)),
            names=tuple(self.names),
            exact=frozenset(self.exact_names),
            min_matches=self.min_matches,
            folder_id=self.folder_id,
            mime_type=self.mime_type,
            stored_after=datetime.fromisoformat(self.stored_after) if self.stored_after else None,
            pick=self.pick,
        )
        seconds = _seconds_until(self.deadline) - _poller.FIRST_POLL_SECONDS
        subscription = _poller.Subscription(
            criteria=criteria,
            interval=self.poll_interval,
            policy=_poller.PollPolicy(self.max_poll_failures),
            first_poll_by=asyncio.get_running_loop().time() + seconds,
            found_before=self.found_before,
        )
        async with _poller.subscribe(self.media_conn_id, subscription):
            event = await self._wait(subscription)
        yield TriggerEvent(event.to_dict())  # type: ignore[no-untyped-call]

    async def _wait(self, subscription: _poller.Subscription) -> WaitEvent:
        clock = asyncio.get_running_loop().time
        first_poll_end, logged = clock() + _poller.FIRST_POLL_SECONDS, ""
        while subscription.missing and subscription.error is None:
            status: Literal["warning", "deadline"] = "deadline"
            seconds = _seconds_until(self.deadline)
            if not subscription.polls:
                seconds = max(seconds, first_poll_end - clock())
            elif (until_warning := _seconds_until(self.warn_at)) < seconds:
                status, seconds = "warning", until_warning
            try:
                async with asyncio.timeout(None if seconds == math.inf else max(seconds, 0.0)):
                    await subscription.changed()
            except TimeoutError:
                return WaitEvent(status=status, found=subscription.found, counts=subscription.counts)
            if subscription.failure and subscription.error is None:
                failures = plural(subscription.failures, "consecutive failure")
                self.log.warning("Poll failed (%s): %s", failures, subscription.failure)
            if subscription.progress != logged and subscription.polls:
                logged = subscription.progress
                if not subscription.missing:
                    self.log.info("Done: %s", logged)
                    break
                deadline = self.deadline or "none"
                self.log.info("Waiting: %s; deadline: %s, poll interval: %g s", logged, deadline, subscription.interval)
        if subscription.missing and (error := subscription.error):
            return WaitEvent(status="failed", found=subscription.found, error=type(error).__name__, message=str(error))
        return WaitEvent(status="found", found=subscription.found)


def _parse_moment(field: str, value: Any) -> str | None:
    moment = parse_nullable(parse_datetime, field, value)
    return moment.isoformat() if moment else None


def _seconds_until(moment: str | None) -> float:
    return math.inf if moment is None else (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
