"""The trigger that starts DAGs, against the real sandbox: each new file is one event, across restarts."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.triggers import _poller

events = pytest.importorskip("airflow_provider_media.triggers.events", reason="Airflow 2 has no event triggers",
                             exc_type=ImportError)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sandbox_library import SandboxLibrary

    from airflow_provider_media.hooks.media import MediaHook

PNG = b"\x89PNG\r\n\x1a\n"
INTERVAL = 0.05
APART = 0.4


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SHORTEST_INTERVAL_SECONDS", INTERVAL)
    monkeypatch.setattr(events, "APART_SECONDS", APART)
    monkeypatch.setattr(_poller, "SHORTEST_INTERVAL_SECONDS", INTERVAL)


class Store:
    """Airflow's asset state store, in memory; what it keeps is JSON."""

    def __init__(self, failures: int = 0) -> None:
        self.kept: dict[str, str] = {}
        self.failures = failures

    async def aget(self, key: str, default: Any = None) -> Any:
        self._fail()
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self._fail()
        self.kept[key] = json.dumps(value)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("The supervisor does not answer.")


async def until(is_so: Callable[[], object]) -> None:
    """Wait for a condition; fail when it does not come about."""
    for _ in range(400):
        if await asyncio.to_thread(is_so):
            return
        await asyncio.sleep(INTERVAL)
    raise TimeoutError


class Watcher:
    """A trigger that runs, and the names of the files in its events."""

    def __init__(self, trigger: Any) -> None:
        self.trigger = trigger
        self.names: list[str] = []
        self.given_at: list[float] = []

    async def run(self) -> None:
        async for event in self.trigger.run():
            self.names.append(event.payload["name"])
            self.given_at.append(time.monotonic())

    async def sees(self, *names: str) -> None:
        """Wait for events; fail when they do not come."""
        await until(lambda: not set(names) - set(self.names))


@asynccontextmanager
async def watching(store: Store, **filters: Any) -> AsyncIterator[Watcher]:
    """Run a trigger until it has begun to watch; cancel it in the end."""
    trigger = events.MediaEventTrigger(media_conn_id="media_1", poll_interval=INTERVAL, **filters)
    trigger.asset_state_store = store
    watcher = Watcher(trigger)
    task = asyncio.create_task(watcher.run())
    await until(lambda: store.kept)
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def library(connect: Callable[..., MediaHook], library: SandboxLibrary) -> SandboxLibrary:
    connect(library.sandbox.base_url)
    return library


def test_each_new_file_is_an_event_and_an_old_one_is_none(library: SandboxLibrary) -> None:
    async def scenario() -> list[str]:
        await asyncio.to_thread(library.store, "old", PNG)
        async with watching(Store()) as watcher:
            for name in ("a", "b", "c"):
                await asyncio.to_thread(library.store, name, PNG)
            await watcher.sees("a", "b", "c")
            return watcher.names

    assert asyncio.run(scenario()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"name": "summer-*"}, ["summer-1", "summer-2"]),
        ({"name": "summer-1"}, ["summer-1"]),
        ({"mime_type": "image/*"}, ["summer-1", "winter", "summer-2"]),
        ({"mime_type": "video/mp4"}, []),
        ({"folder_id": 7}, []),
    ],
)
def test_only_what_passes_the_filters_is_an_event(
    library: SandboxLibrary, filters: dict[str, Any], expected: list[str]
) -> None:
    async def scenario() -> list[str]:
        async with watching(Store(), **filters) as filtered, watching(Store()) as everything:
            for name in ("summer-1", "winter", "summer-2"):
                await asyncio.to_thread(library.store, name, PNG)
            await everything.sees("summer-1", "winter", "summer-2")
            await filtered.sees(*expected)
            return filtered.names

    assert asyncio.run(scenario()) == expected


def test_what_came_while_no_triggerer_ran_is_an_event_after_its_restart(library: SandboxLibrary) -> None:
    async def scenario() -> list[str]:
        store = Store()
        async with watching(store):
            pass
        await asyncio.to_thread(library.store, "meanwhile", PNG)
        async with watching(store) as watcher:
            await watcher.sees("meanwhile")
            return watcher.names

    assert asyncio.run(scenario()) == ["meanwhile"]


def test_the_last_of_several_events_is_given_apart_from_the_others(library: SandboxLibrary) -> None:
    """Airflow takes the others into the run that this one asks for."""

    async def scenario() -> Watcher:
        async with watching(Store(), name="summer-*") as watcher:
            await asyncio.to_thread(library.store, "summer-0", PNG)
            await watcher.sees("summer-0")
            for number in (1, 2, 3):
                await asyncio.to_thread(library.store, f"summer-{number}", PNG)
            await asyncio.to_thread(library.store, "winter", PNG)
            await watcher.sees("summer-3")
            return watcher

    watcher = asyncio.run(scenario())
    assert watcher.names == ["summer-0", "summer-1", "summer-2", "summer-3"]
    assert watcher.given_at[3] - watcher.given_at[2] >= APART > watcher.given_at[2] - watcher.given_at[0]


def test_an_event_that_is_kept_back_comes_also_when_its_file_is_deleted(library: SandboxLibrary) -> None:
    async def scenario() -> list[str]:
        async with watching(Store()) as watcher:
            await asyncio.to_thread(library.store, "a", PNG)
            await watcher.sees("a")
            last = await asyncio.to_thread(library.store, "b", PNG)
            looks = library.count("GET")
            await until(lambda: library.count("GET") >= looks + 2)
            assert watcher.names == ["a"]
            await asyncio.to_thread(library.delete, last)
            await watcher.sees("b")
            return watcher.names

    assert asyncio.run(scenario()) == ["a", "b"]


def test_an_event_that_is_kept_back_comes_after_a_restart(library: SandboxLibrary) -> None:
    async def scenario() -> list[str]:
        store = Store()
        async with watching(store) as watcher:
            await asyncio.to_thread(library.store, "a", PNG)
            await watcher.sees("a")
            await asyncio.to_thread(library.store, "b", PNG)
        async with watching(store) as watcher:
            await watcher.sees("a", "b")
            return watcher.names

    assert asyncio.run(scenario()) == ["a", "b"]


def test_an_event_that_is_kept_back_does_not_wait_for_the_next_look(library: SandboxLibrary) -> None:
    async def scenario() -> list[list[str]]:
        stream = events.MediaEventTrigger.open_shared_stream({"media_conn_id": "media_1", "poll_interval": 3.0})
        listed = [[media.name for _, media in (await anext(stream)).media] for _ in range(2)]
        await stream.aclose()
        return listed

    library.store("a", PNG)
    library.forget()
    assert asyncio.run(scenario()) == [["a"], ["a"]]
    assert library.count("GET") == 1


def test_a_watcher_survives_failures_of_the_library_and_of_the_store(library: SandboxLibrary) -> None:
    async def scenario() -> list[str]:
        await asyncio.to_thread(library.store, "old", PNG)
        async with watching(Store(failures=3)) as watcher:
            await asyncio.to_thread(library.fail, "status", "GET", status=401, times=1)
            await asyncio.to_thread(library.fail, "status", "GET", status=500, times=6)
            await until(lambda: not library.pending())
            await asyncio.to_thread(library.store, "new", PNG)
            await watcher.sees("new")
            return watcher.names

    assert asyncio.run(scenario()) == ["new"]


def test_watchers_of_one_connection_and_interval_share_one_stream(library: SandboxLibrary) -> None:
    """What Airflow 3.3 does with the key: one poll for the group, and each watcher filters it."""

    async def scenario() -> tuple[list[str], list[str]]:
        pictures = events.MediaEventTrigger(media_conn_id="media_1", poll_interval=INTERVAL, name="a*")
        films = events.MediaEventTrigger(media_conn_id="media_1", poll_interval=INTERVAL, name="b*")
        assert pictures.shared_stream_key() == films.shared_stream_key()
        stream = type(pictures).open_shared_stream(pictures.serialize()[1])
        polled = [await anext(stream)]
        for name in ("a1", "b1"):
            await asyncio.to_thread(library.store, name, PNG)
        polled.append(await anext(stream))
        await stream.aclose()
        return await _names(pictures, polled), await _names(films, polled)

    assert asyncio.run(scenario()) == (["a1"], ["b1"])
    assert library.count("GET") == 2


async def _names(trigger: Any, polled: list[Any]) -> list[str]:
    async def replay() -> AsyncIterator[Any]:
        for listed in polled:
            yield listed

    return [event.payload["name"] async for event in trigger.filter_shared_stream(replay())]


def test_other_connections_and_intervals_do_not_share() -> None:
    def key(**arguments: Any) -> Any:
        return events.MediaEventTrigger(**arguments).shared_stream_key()

    assert len({key(), key(media_conn_id="other"), key(poll_interval=5)}) == 3
    assert key(name="a") == key(mime_type="image/png")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"media_conn_id": "other"},
        {"name": "summer-*"},
        {"mime_type": "image/*"},
        {"folder_id": 7},
        {"folder_id": "seven"},
        {"poll_interval": 2.5},
    ],
)
def test_a_trigger_is_the_same_when_it_is_made_again(arguments: dict[str, Any]) -> None:
    path, kept = events.MediaEventTrigger(**arguments).serialize()
    assert path == "airflow_provider_media.triggers.events.MediaEventTrigger"
    assert events.MediaEventTrigger(**json.loads(json.dumps(kept))).serialize() == (path, kept)
    assert arguments.items() <= kept.items()
