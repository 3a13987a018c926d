"""The event trigger against the sandbox: each new file is one event, across restarts."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings
from airflow_provider_media.triggers import _poller
from tests.contract.helpers.sandbox_library import SandboxLibrary

events = pytest.importorskip("airflow_provider_media.triggers.events", reason="Airflow 2 has no event triggers",
                             exc_type=ImportError)  # fmt: skip

from tests.contract.helpers.watchers import INTERVAL, Store, Watcher, until, watching  # noqa: E402 - imports the trigger, as above

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_media.hooks.media import MediaHook

PNG = b"\x89PNG\r\n\x1a\n"
EVENT_DELAY = 0.4


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_poller, "MIN_INTERVAL_SECONDS", INTERVAL)
    monkeypatch.setattr(events, "LAST_EVENT_DELAY_SECONDS", EVENT_DELAY)


@pytest.fixture
def library(connect: Callable[..., MediaHook], library: SandboxLibrary) -> SandboxLibrary:
    connect(library.sandbox.base_url)
    return library


def test_each_new_file_is_an_event(library: SandboxLibrary) -> None:
    async def scenario() -> list[str]:
        await asyncio.to_thread(library.store, "old", PNG)
        async with watching(Store()) as watcher:
            for name in ("a", "b", "c"):
                await asyncio.to_thread(library.store, name, PNG)
            await watcher.sees("a", "b", "c")
            return watcher.names

    assert asyncio.run(scenario()) == ["a", "b", "c"]


def test_first_file_with_a_string_id_is_an_event(connect: Any) -> None:
    async def scenario(library: SandboxLibrary) -> list[str]:
        async with watching(Store()) as watcher:
            await asyncio.to_thread(library.store, "first", PNG)
            await watcher.sees("first")
            return watcher.names

    with run_in_thread(SandboxSettings(api_key="key-of-the-tests", id_style="text")) as sandbox:
        connect(sandbox.base_url)
        assert asyncio.run(scenario(SandboxLibrary(sandbox))) == ["first"]


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
def test_only_matching_files_are_events(library: SandboxLibrary, filters: dict[str, Any], expected: list[str]) -> None:
    async def scenario() -> list[str]:
        async with watching(Store(), **filters) as filtered, watching(Store()) as everything:
            for name in ("summer-1", "winter", "summer-2"):
                await asyncio.to_thread(library.store, name, PNG)
            await everything.sees("summer-1", "winter", "summer-2")
            await filtered.sees(*expected)
            return filtered.names

    assert asyncio.run(scenario()) == expected


def test_file_added_between_triggerers_is_an_event(library: SandboxLibrary) -> None:
    async def scenario() -> list[str]:
        store = Store()
        async with watching(store):
            pass
        await asyncio.to_thread(library.store, "late", PNG)
        async with watching(store) as watcher:
            await watcher.sees("late")
            return watcher.names

    assert asyncio.run(scenario()) == ["late"]


def test_last_of_several_events_is_delayed(library: SandboxLibrary) -> None:
    """Airflow includes the others in the run that this one requests."""

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
    assert watcher.given_at[3] - watcher.given_at[2] >= EVENT_DELAY


def test_held_event_survives_the_deletion_of_its_file(library: SandboxLibrary) -> None:
    async def scenario() -> list[str]:
        async with watching(Store()) as watcher:
            await asyncio.to_thread(library.store, "a", PNG)
            await watcher.sees("a")
            last = await asyncio.to_thread(library.store, "b", PNG)
            before = library.count("GET")
            await until(lambda: library.count("GET") >= before + 2)
            assert watcher.names == ["a"]
            await asyncio.to_thread(library.delete, last)
            await watcher.sees("b")
            return watcher.names

    assert asyncio.run(scenario()) == ["a", "b"]


def test_held_event_survives_a_restart(library: SandboxLibrary) -> None:
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


def test_held_event_does_not_wait_for_the_next_poll(library: SandboxLibrary) -> None:
    async def scenario() -> list[list[str]]:
        stream = events.MediaEventTrigger.open_shared_stream({"media_conn_id": "media_1", "poll_interval": 3.0})
        listed = [[media.name for _, media in (await anext(stream))[0].media] for _ in range(2)]
        await stream.aclose()
        return listed

    library.store("a", PNG)
    library.forget()
    assert asyncio.run(scenario()) == [["a"], ["a"]]
    assert library.count("GET") == 2  # one poll, by ids and by dates


def test_watcher_survives_failures_of_library_and_store(library: SandboxLibrary) -> None:
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


def test_watchers_of_a_connection_and_interval_share_a_stream(library: SandboxLibrary) -> None:
    """As Airflow 3.3 does: one poll for each key, which each watcher filters."""

    async def scenario() -> tuple[list[str], list[str]]:
        first = events.MediaEventTrigger(media_conn_id="media_1", poll_interval=INTERVAL, name="a*")
        second = events.MediaEventTrigger(media_conn_id="media_1", poll_interval=INTERVAL, name="b*")
        assert first.shared_stream_key() == second.shared_stream_key()
        stream = type(first).open_shared_stream(first.serialize()[1])
        polled = [await anext(stream)]
        for name in ("a1", "b1"):
            await asyncio.to_thread(library.store, name, PNG)
        polled.append(await anext(stream))
        await stream.aclose()
        return await _names(first, polled), await _names(second, polled)

    assert asyncio.run(scenario()) == (["a1"], ["b1"])
    assert library.count("GET") == 2 + 1  # the second poll reads an empty page


async def _names(trigger: Any, polled: list[Any]) -> list[str]:
    async def replay() -> AsyncIterator[Any]:
        for listed in polled:
            yield listed

    return [event.payload["name"] async for event in trigger.filter_shared_stream(replay())]


def test_other_connections_and_intervals_have_other_streams() -> None:
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
def test_trigger_survives_serialization(arguments: dict[str, Any]) -> None:
    path, kept = events.MediaEventTrigger(**arguments).serialize()
    assert path == "airflow_provider_media.triggers.events.MediaEventTrigger"
    assert events.MediaEventTrigger(**json.loads(json.dumps(kept))).serialize() == (path, kept)
    assert arguments.items() <= kept.items()
