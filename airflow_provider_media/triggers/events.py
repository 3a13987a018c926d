"""Start DAGs by new files in the library; a module of its own, because Airflow 2 has no event triggers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from typing import TYPE_CHECKING, Any

try:
    from airflow.triggers.base import BaseEventTrigger, TriggerEvent
except ImportError:  # Airflow 2
    raise ImportError(
        "MediaEventTrigger needs Airflow 3: Airflow 2 cannot start DAGs by events. Schedule the DAG instead, and wait"
        " in it with MediaExistsSensor."
    ) from None

from airflow_provider_media._api.arrivals import Arrivals, Cursor, SortField, list_newest
from airflow_provider_media._api.matching import folder_fits, name_fits, type_fits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable

    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

SHORTEST_INTERVAL_SECONDS = 0.5

APART_SECONDS = 20.0
"""How much later than the others the last event of several is given.

Up to 3.3.2 at least, Airflow starts a run with the events up to the one that asked for it, and those that came between
that and the run's creation wait for one event more (apache/airflow issue 54659). The last event must be that one: it
comes when the scheduler has surely seen the others.
"""

_APART_SECONDS_AN_EVENT = 0.1
"""Time for Airflow to write each of many events into its database, one after the other."""


class MediaEventTrigger(BaseEventTrigger):
    """Fire an asset event for each file that appears in the library; for the ``AssetWatcher`` of an asset.

    The event's payload is ``Media.to_dict()``. Each file is in the triggering events of at least one run, across
    restarts of the triggerer; it may come twice, so tell files apart by their ids. When several come together, the last
    one's event is given 20 s later, so that Airflow leaves none of them out. The first start begins at the newest file.
    Where ids are texts, files are ordered by their creation dates.

    Watchers of one connection and interval share one poll (Airflow 3.3). What was seen is kept in the asset state store
    (Airflow 3.3), else in memory: then a restarted triggerer begins at the newest file again.

    :param media_conn_id: the Airflow connection, of type ``media``.
    :param name: only names that match; ``*``, ``?`` and ``[...]`` are wildcards.
    :param mime_type: only this type; wildcards too (``image/*``).
    :param folder_id: only files known to be in this folder.
    :param poll_interval: seconds between looks; at least 0.5.
    """

    def __init__(
        self,
        *,
        media_conn_id: str = "media_default",
        name: str | None = None,
        mime_type: str | None = None,
        folder_id: int | str | None = None,
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.media_conn_id = media_conn_id
        self.name = name
        self.mime_type = mime_type
        self.folder_id = folder_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments to make it again, as plain JSON."""
        return (f"{type(self).__module__}.{type(self).__qualname__}", self._arguments)

    @property
    def _arguments(self) -> dict[str, Any]:
        return {
            "media_conn_id": self.media_conn_id,
            "name": self.name,
            "mime_type": self.mime_type,
            "folder_id": self.folder_id,
            "poll_interval": self.poll_interval,
        }

    def shared_stream_key(self) -> Hashable | None:
        """Let the watchers of one connection and interval share one poll."""
        return (__name__, self.media_conn_id, self.poll_interval)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Arrivals]:
        """Poll for all that share it."""
        async for arrivals in _poll(kwargs["media_conn_id"], kwargs["poll_interval"]):
            yield arrivals

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Arrivals]) -> AsyncIterator[TriggerEvent]:
        """Give the events of this watcher, out of the shared poll."""
        async for event in self._events(shared_stream):
            yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Give the events of this watcher, with a poll of its own (before Airflow 3.3)."""
        async for event in self._events(_poll(self.media_conn_id, self.poll_interval)):
            yield event

    async def _events(self, stream: AsyncIterator[Arrivals]) -> AsyncIterator[TriggerEvent]:
        store = _CursorStore(getattr(self, "asset_state_store", None), self._arguments)
        spacing = _Spacing()
        cursor: Cursor | None = None
        previous: Arrivals | None = None
        async for newest in stream:
            try:
                cursor = cursor or await store.load() or Cursor.at_newest(newest)
                if newest is not previous:
                    arrivals = newest
                    if cursor.misses(newest):
                        arrivals = await self._list_down_to(cursor.floor, newest.sort_by)
                    previous = newest
            except Exception:
                log.exception("Could not tell what is new; trying again at the next look")
                continue
            new = [(place, media) for place, media in arrivals.media if cursor.is_new(place, media)]
            for place, media in spacing.select(new, self._wants):
                if self._wants(media):
                    yield TriggerEvent(media.to_dict())  # type: ignore[no-untyped-call]
                    spacing.given()
                cursor.note(place, media, time.time())  # after the event: rather twice than never
            cursor.settle(time.time())
            await store.save(cursor)

    async def _list_down_to(self, floor: int, sort_by: SortField) -> Arrivals:
        from airflow_provider_media.hooks.media import MediaAsyncHook

        async with MediaAsyncHook(self.media_conn_id) as hook:
            return await hook.run_flow(list_newest(sort_by=sort_by, down_to=floor + 1))

    def _wants(self, media: Media) -> bool:
        folder_id = None if self.folder_id is None else str(self.folder_id)
        return name_fits(media, self.name) and type_fits(media, self.mime_type) and folder_fits(media, folder_id)


async def _poll(media_conn_id: str, interval: float) -> AsyncIterator[Arrivals]:
    """Give the newest files again and again; a failure is logged, and mended by the next look if it can be."""
    from airflow_provider_media.exceptions import MediaError
    from airflow_provider_media.hooks.media import MediaAsyncHook

    cursor: Cursor | None = None
    arrivals: Arrivals | None = None
    sort_by: SortField = "id"
    async with MediaAsyncHook(media_conn_id) as hook:
        while True:
            pause = max(interval, SHORTEST_INTERVAL_SECONDS)
            try:
                down_to = cursor.floor + 1 if cursor else None
                arrivals = await hook.run_flow(list_newest(sort_by=sort_by, down_to=down_to))
            except Exception as error:  # noqa: BLE001 - a watcher goes on for ever
                log.warning("A look for new media through %s failed: %s", media_conn_id, error)
                pause = max(pause, error.retry_after or 0.0) if isinstance(error, MediaError) else pause
            else:
                # Kept for one thing: how far down the next look must go so that no late one is missed.
                cursor = cursor or Cursor.at_newest(arrivals)
                for place, media in arrivals.media:
                    if cursor.is_new(place, media):
                        cursor.note(place, media, time.time())
                cursor.settle(time.time())
                sort_by = arrivals.sort_by
                yield arrivals
            while arrivals and pause > APART_SECONDS + 1:  # for those who keep an event back
                await asyncio.sleep(APART_SECONDS + 1)
                pause -= APART_SECONDS + 1
                yield arrivals
            await asyncio.sleep(pause)


class _Spacing:
    """Keeps the last of several events back until Airflow has surely seen the others."""

    def __init__(self) -> None:
        self._kept_back: tuple[int, Media] | None = None
        self._surely_seen_at = 0.0

    def select(self, new: list[tuple[int, Media]], wants: Callable[[Media], bool]) -> list[tuple[int, Media]]:
        """Tell which of the new files are to be noted now: all but the last wanted one, if that must wait.

        What waits is not noted, and so still new at the next look.
        """
        if self._kept_back and self._kept_back[1].id not in {media.id for _, media in new}:
            new = [self._kept_back, *new]  # deleted meanwhile
        wanted = [pair for pair in new if wants(pair[1])]
        must_wait = len(wanted) > 1 or time.monotonic() < self._surely_seen_at
        self._kept_back = wanted[-1] if wanted and must_wait else None
        return [pair for pair in new if pair is not self._kept_back]

    def given(self) -> None:
        """Take note of an event."""
        now = time.monotonic()
        self._surely_seen_at = max(self._surely_seen_at + _APART_SECONDS_AN_EVENT, now + APART_SECONDS)


class _CursorStore:
    """Where a watcher's cursor outlives the triggerer: Airflow's asset state store (3.3), else nowhere.

    :param store: what Airflow gave the trigger.
    :param arguments: what the watcher watches for; several may watch for one asset.
    """

    def __init__(self, store: Any, arguments: dict[str, Any]) -> None:
        self._store = store
        digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
        self._key = f"media_cursor_{digest[:16]}"
        self._saved: dict[str, Any] | None = None

    async def load(self) -> Cursor | None:
        """Return what an earlier triggerer kept."""
        if self._store is None:
            return None
        try:
            kept = await self._call("get", self._key)
        except ValueError as error:  # one trigger for several assets
            log.warning(
                "What was seen is not kept beyond this triggerer: give each asset a watcher of its own (%s)", error
            )
            self._store = None
            return None
        return None if kept is None else Cursor.from_dict(kept)

    async def save(self, cursor: Cursor) -> None:
        """Keep it, when it changed; what fails is tried again with the next look."""
        state = cursor.to_dict(time.time())
        if self._store is None or state == self._saved:
            return
        try:
            await self._call("set", self._key, state)
            self._saved = state
        except Exception:
            log.exception("Could not keep what was seen; trying again at the next look")

    async def _call(self, name: str, *arguments: Any) -> Any:
        awaitable = getattr(self._store, f"a{name}", None)
        if awaitable is not None:
            return await awaitable(*arguments)
        # Airflow 3.3.0 and 3.3.1 have only the blocking form.
        return await asyncio.to_thread(getattr(self._store, name), *arguments)
