"""Start DAGs by new files in the library; a module of its own, because Airflow 2 has no event triggers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
import weakref
from typing import TYPE_CHECKING, Any

try:
    from airflow.triggers.base import BaseEventTrigger, TriggerEvent
except ImportError:  # Airflow 2
    raise ImportError(
        "MediaEventTrigger needs Airflow 3: Airflow 2 cannot start DAGs by events. Schedule the DAG instead, and wait"
        " in it with MediaExistsSensor."
    ) from None

from airflow_provider_media._airflow.arguments import check_literal, parse_interval
from airflow_provider_media._api.filters import folder_matches, name_matches, type_matches
from airflow_provider_media._polling.cursor import Cursor
from airflow_provider_media.triggers._event_delivery import EventDelay, backlog
from airflow_provider_media.triggers._event_poll import ReadDepth, poll

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable
    from datetime import timedelta

    from airflow_provider_media._polling.newest import NewestMedia
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_depths: weakref.WeakValueDictionary[tuple[asyncio.AbstractEventLoop, Hashable], ReadDepth] = (
    weakref.WeakValueDictionary()
)
"""Of each shared poll that runs."""


class MediaEventTrigger(BaseEventTrigger):
    """Fire an asset event for each file that appears in the library; for the ``AssetWatcher`` of an asset.

    The event's payload is ``Media.to_dict()``. Each file is in the triggering events of at least one run, across
    restarts of the triggerer; it may come twice, so tell files apart by their ids. When several come together, the last
    one's event is given 20 s later, so that Airflow leaves none of them out. The first start begins at the newest file.
    Where ids are texts, files are ordered by their creation dates.

    Watchers of one connection and interval share one poll (Airflow 3.3). What was seen is kept in the asset state store
    (Airflow 3.3), else in memory: then a restarted triggerer begins at the newest file again.

    Airflow renders no templates in the arguments of a trigger.

    :param media_conn_id: the Airflow connection, of type ``media``.
    :param name: only names that match; ``*``, ``?`` and ``[...]`` are wildcards.
    :param mime_type: only this type; wildcards too (``image/*``).
    :param folder_id: only files known to be in this folder.
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
        self.media_conn_id = check_literal("media_conn_id", media_conn_id)
        self.name = None if name is None else check_literal("name", name)
        self.mime_type = None if mime_type is None else check_literal("mime_type", mime_type)
        is_number = isinstance(folder_id, int) and not isinstance(folder_id, bool)
        self.folder_id = folder_id if folder_id is None or is_number else check_literal("folder_id", folder_id)
        self.poll_interval = parse_interval("poll_interval", poll_interval)

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

    @property
    def _watched(self) -> dict[str, Any]:
        """What it watches for, by the arguments that are given: the same in later releases, which may have more."""
        defaults = MediaEventTrigger()._arguments  # noqa: SLF001 - its own
        arguments = self._arguments | {"poll_interval": defaults["poll_interval"]}
        return {name: value for name, value in arguments.items() if value != defaults.get(name)}

    def shared_stream_key(self) -> Hashable | None:
        """Let the watchers of one connection and interval share one poll."""
        return _stream_key(self.media_conn_id, self.poll_interval)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[NewestMedia]:
        """Poll for all that share it."""
        media_conn_id, interval = kwargs["media_conn_id"], kwargs["poll_interval"]
        async for arrivals in poll(media_conn_id, interval, _shared_depth(_stream_key(media_conn_id, interval))):
            yield arrivals

    async def filter_shared_stream(self, shared_stream: AsyncIterator[NewestMedia]) -> AsyncIterator[TriggerEvent]:
        """Give the events of this watcher, out of the shared poll."""
        async for event in self._events(shared_stream, _shared_depth(self.shared_stream_key())):
            yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Give the events of this watcher, with a poll of its own (before Airflow 3.3)."""
        depth = ReadDepth()
        async for event in self._events(poll(self.media_conn_id, self.poll_interval, depth), depth):
            yield event

    async def _events(self, stream: AsyncIterator[NewestMedia], depth: ReadDepth) -> AsyncIterator[TriggerEvent]:
        store = _CursorStore(getattr(self, "asset_state_store", None), self._watched)
        spacing = EventDelay()
        cursor: Cursor | None = None
        async for arrivals in stream:
            try:
                cursor = cursor or await store.load() or Cursor.at_newest(arrivals)
            except Exception:
                log.exception("Could not read what was seen before; trying again at the next look")
                continue
            if (floor := cursor.unread_below(arrivals)) is not None:
                depth.ask(floor, arrivals.sort_by)
                continue
            if arrivals.media and arrivals.sort_by != cursor.sort_by:
                cursor = self._moved(cursor, arrivals)
            for place, media in spacing.select(cursor.new_in(arrivals), self._wants):
                if self._wants(media):
                    yield TriggerEvent(media.to_dict())  # type: ignore[no-untyped-call]
                    spacing.given()
                cursor.note(place, media, time.time() + backlog.seconds)  # after the event: rather twice than never
            cursor.settle(time.time(), to_remember=arrivals.to_remember, below=spacing.kept_back)
            await store.save(cursor)

    def _moved(self, cursor: Cursor, arrivals: NewestMedia) -> Cursor:
        moved = cursor.rebase(arrivals)
        if moved is None:
            log.warning(
                "The files that %s lists have none of the order in which they were seen before (by %s), so the watcher"
                " begins anew at the newest file; files that came since its last look are in no event",
                self.media_conn_id,
                cursor.sort_by,
            )
        return moved or Cursor.at_newest(arrivals)

    def _wants(self, media: Media) -> bool:
        folder_id = None if self.folder_id is None else str(self.folder_id)
        return (
            name_matches(media, self.name) and type_matches(media, self.mime_type) and folder_matches(media, folder_id)
        )


def _stream_key(media_conn_id: str, interval: float) -> Hashable:
    return (__name__, media_conn_id, interval)


def _shared_depth(key: Hashable) -> ReadDepth:
    """Give the depth of a shared poll to it and to its watchers; the last of them takes it along."""
    return _depths.setdefault((asyncio.get_running_loop(), key), ReadDepth())


class _CursorStore:
    """Where a watcher's cursor outlives the triggerer: Airflow's asset state store (3.3), else nowhere.

    :param store: what Airflow gave the trigger.
    :param watched: what the watcher watches for; several may watch for one asset.
    """

    def __init__(self, store: Any, subscribe: dict[str, Any]) -> None:
        self._store = store
        digest = hashlib.sha256(json.dumps(subscribe, sort_keys=True).encode()).hexdigest()
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
        try:
            return None if kept is None else Cursor.from_dict(kept)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("What was seen is kept in another format, so the watcher begins at the newest file: %s", error)
            return None

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
