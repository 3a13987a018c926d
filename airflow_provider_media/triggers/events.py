"""Start DAGs for new files in the library. A separate module, because Airflow 2 has no event triggers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

try:
    from airflow.triggers.base import BaseEventTrigger, TriggerEvent
except ImportError:  # Airflow 2
    raise ImportError(
        "MediaEventTrigger requires Airflow 3, because Airflow 2 has no event-driven scheduling. Use a schedule and"
        " MediaExistsSensor instead."
    ) from None

from airflow_provider_media._airflow.arguments import check_literal, parse_interval
from airflow_provider_media._api.flows import folder_matches, name_matches, type_matches
from airflow_provider_media._api.values import refuse_large_integer
from airflow_provider_media._polling.cursor import Cursor, ReadDepth
from airflow_provider_media._polling.newest import NewestMedia, list_newest
from airflow_provider_media.triggers import _poller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable
    from datetime import timedelta

    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

Poll = tuple[NewestMedia, ReadDepth]
"""What a poll found, and how far back the next ones read, which each watcher may extend."""


class MediaEventTrigger(BaseEventTrigger):
    """Fire an asset event for each new file in the library; for the ``AssetWatcher`` of an asset.

    The event's payload is ``Media.to_dict()``. Delivery is at least once, across restarts of the triggerer: a file may
    appear in the events of two runs, so identify files by id. If several files appear together, the last event is
    delayed by 20 s, so that Airflow includes all of them. The first start reports no existing files. Where ids are
    strings, files are ordered by creation date.

    On Airflow 3.3 and newer, watchers of one connection and interval share one poll, and the position is kept in the
    asset state store. Before that it is kept in memory, and a restarted triggerer starts after the newest file.

    Airflow does not render templates in the arguments of a trigger.

    :param media_conn_id: the Airflow connection, of type ``media``.
    :param name: only files with a matching name; ``*``, ``?`` and ``[...]`` are wildcards.
    :param mime_type: only files of this type; wildcards are allowed (``image/*``).
    :param folder_id: only files in this folder; a file without a folder in the response does not match.
    :param poll_interval: time between polls, in seconds or as a timedelta; at least 0.5 s.
    :raises MediaConfigurationError: an argument has the wrong type, is empty or is a template.
    """

    def __init__(
        self,
        *,
        media_conn_id: str = "media_default",
        name: str | None = None,
        mime_type: str | None = None,
        folder_id: int | str | None = None,
        poll_interval: float | timedelta = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.media_conn_id = check_literal("media_conn_id", media_conn_id).strip()
        self.name = None if name is None else check_literal("name", name)
        self.mime_type = None if mime_type is None else check_literal("mime_type", mime_type).strip()
        refuse_large_integer("folder_id", folder_id)
        is_number = isinstance(folder_id, int) and not isinstance(folder_id, bool)
        self.folder_id = folder_id if folder_id is None or is_number else check_literal("folder_id", folder_id).strip()
        self.poll_interval = parse_interval("poll_interval", poll_interval)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as JSON-compatible values."""
        return (f"{type(self).__module__}.{type(self).__qualname__}", self._arguments)

    @property
    def _arguments(self) -> dict[str, Any]:
        names = ("media_conn_id", "name", "mime_type", "folder_id", "poll_interval")
        return {name: getattr(self, name) for name in names}

    @property
    def _non_default_arguments(self) -> dict[str, Any]:
        """The arguments that identify a watcher; without defaults, so that a later release may add arguments."""
        defaults = MediaEventTrigger()._arguments  # noqa: SLF001 - its own
        arguments = self._arguments | {"poll_interval": defaults["poll_interval"]}
        return {name: value for name, value in arguments.items() if value != defaults.get(name)}

    def shared_stream_key(self) -> Hashable | None:
        """Return the key of the shared poll: the connection and the interval."""
        return (__name__, self.media_conn_id, self.poll_interval)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Poll]:
        """Poll for all watchers that share the key."""
        async for poll in _poll(kwargs["media_conn_id"], kwargs["poll_interval"]):
            yield poll

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Poll]) -> AsyncIterator[TriggerEvent]:
        """Yield the events of this watcher from the shared poll."""
        store = _CursorStore(getattr(self, "asset_state_store", None), self._non_default_arguments)
        delay = _EventDelay()
        cursor: Cursor | None = None
        async for newest, depth in shared_stream:
            try:
                cursor = cursor or await store.load() or Cursor.at_newest(newest)
            except Exception:
                log.exception("Could not load the watcher's position; retrying at the next poll")
                continue
            if (floor := cursor.unread_below(newest)) is not None:
                depth.request(floor, newest.sort_by)
                continue
            if newest.media and newest.sort_by != cursor.sort_by:
                cursor = self._rebase(cursor, newest)
            for position, media in delay.select(cursor.new_in(newest), self._matches):
                if self._matches(media):
                    yield TriggerEvent(media.to_dict())  # type: ignore[no-untyped-call]
                    delay.record_event()
                # Record it after yielding: a duplicate event is better than a lost one.
                cursor.mark_seen(position, media, time.time() + delay.backlog_seconds())
            cursor.prune(time.time(), to_remember=newest.to_remember, below=delay.held_position)
            await store.save(cursor)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the events of this watcher from its own poll (before Airflow 3.3)."""
        async for event in self.filter_shared_stream(_poll(self.media_conn_id, self.poll_interval)):
            yield event

    def _rebase(self, cursor: Cursor, newest: NewestMedia) -> Cursor:
        rebased = cursor.rebase(newest)
        if rebased is None:
            log.warning(
                "The order of the library's files changed (connection %s, previously by %s), so new files cannot be"
                " identified. The watcher starts after the newest file; files added since the last poll get no event",
                self.media_conn_id,
                cursor.sort_by,
            )
        return rebased or Cursor.at_newest(newest)

    def _matches(self, media: Media) -> bool:
        folder_id = None if self.folder_id is None else str(self.folder_id)
        return (
            name_matches(media, self.name) and type_matches(media, self.mime_type) and folder_matches(media, folder_id)
        )


LAST_EVENT_DELAY_SECONDS = 20.0
"""The delay of the last of several events.

Airflow (up to 3.3.2 at least) starts a run with the events up to the one that requested the run. Events written between
that one and the run's creation wait for another event (apache/airflow issue 54659). So the last event must request the
run, after the scheduler has processed the others.
"""

_SECONDS_PER_WRITE = 0.1


class _EventDelay:
    """Holds the last of several events until Airflow has processed the others.

    :cvar written_at: the estimated time at which Airflow has written the events of all watchers of the triggerer into
        its database. It writes them one after the other, and does not report what it has written.
    """

    written_at: ClassVar[float] = 0.0

    def __init__(self) -> None:
        self._held: tuple[int, Media] | None = None
        self._processed_at = 0.0

    @classmethod
    def backlog_seconds(cls) -> float:
        """Return the estimated time until all events are written."""
        return max(0.0, cls.written_at - time.monotonic())

    @property
    def held_position(self) -> int | None:
        """The position of the file whose event is held."""
        return self._held[0] if self._held else None

    def select(self, new: list[tuple[int, Media]], matches: Callable[[Media], bool]) -> list[tuple[int, Media]]:
        """Return the new files without the one whose event is held.

        That file is not marked as seen, and so is new in the next poll too.
        """
        if self._held and self._held[1].id not in {media.id for _, media in new}:
            new = [self._held, *new]  # it was deleted
        matching = [pair for pair in new if matches(pair[1])]
        must_wait = len(matching) > 1 or time.monotonic() < self._processed_at
        self._held = matching[-1] if matching and must_wait else None
        return [pair for pair in new if pair is not self._held]

    def record_event(self) -> None:
        """Record that an event was yielded."""
        _EventDelay.written_at = max(_EventDelay.written_at, time.monotonic()) + _SECONDS_PER_WRITE
        self._processed_at = _EventDelay.written_at + LAST_EVENT_DELAY_SECONDS


async def _poll(media_conn_id: str, interval: float) -> AsyncIterator[Poll]:
    """Poll forever and yield the newest files; log failures, and continue."""
    from airflow_provider_media.hooks.media import MediaAsyncHook

    depth = ReadDepth()
    newest: NewestMedia | None = None
    async with MediaAsyncHook(media_conn_id) as hook:
        while True:
            delay = max(interval, _poller.MIN_INTERVAL_SECONDS)
            try:
                newest = await hook.run_flow(list_newest(sort_by=depth.sort_by, down_to=depth.down_to))
            except Exception as error:  # noqa: BLE001 - a watcher never ends
                log.warning("Poll for new media failed (connection %s): %s", media_conn_id, error)
                delay = max(delay, _poller.retry_after(error) + _poller.jitter(interval))
                min_delay = delay
            else:
                depth.update(newest)
                min_delay = _poller.MIN_INTERVAL_SECONDS
                yield newest, depth
            ended = time.monotonic()
            next_poll = ended + delay
            while (remaining := next_poll - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(depth.requested.wait(), min(remaining, LAST_EVENT_DELAY_SECONDS + 1))
                if depth.requested.is_set():
                    depth.requested.clear()
                    next_poll = ended + min_delay
                elif newest and time.monotonic() < next_poll:
                    yield newest, depth  # for watchers that hold an event


class _CursorStore:
    """Stores a watcher's cursor in Airflow's asset state store (3.3 and newer); otherwise does nothing."""

    def __init__(self, store: Any, arguments: dict[str, Any]) -> None:
        self._store = store
        digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
        self._key = f"media_cursor_{digest[:16]}"
        self._saved: dict[str, Any] | None = None

    async def load(self) -> Cursor | None:
        """Return the cursor that an earlier triggerer saved, or None."""
        if self._store is None:
            return None
        try:
            values = await self._call("get", self._key)
        except ValueError as error:  # one trigger for several assets
            log.warning(
                "The watcher's position is not saved, because several assets share it (%s). Use one watcher per asset",
                error,
            )
            self._store = None
            return None
        try:
            return None if values is None else Cursor.from_dict(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning(
                "The watcher's saved position has an unknown format (%s). The watcher starts after the newest file",
                error,
            )
            return None

    async def save(self, cursor: Cursor) -> None:
        """Save the cursor if it changed; log a failure, because the next poll saves it again."""
        values = cursor.to_dict(time.time())
        if self._store is None or values == self._saved:
            return
        try:
            await self._call("set", self._key, values)
            self._saved = values
        except Exception:
            log.exception("Could not save the watcher's position; retrying at the next poll")

    async def _call(self, name: str, *arguments: Any) -> Any:
        awaitable = getattr(self._store, f"a{name}", None)
        if awaitable is not None:
            return await awaitable(*arguments)
        # Airflow 3.3.0 and 3.3.1 have only the blocking form.
        return await asyncio.to_thread(getattr(self._store, name), *arguments)
