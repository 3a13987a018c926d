"""The trigger that starts DAGs, against the real sandbox: each new file is one event, across restarts."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings
from airflow_provider_media.triggers import _event_delivery, _policy
from tests.contract.helpers.sandbox_library import SandboxLibrary

events = pytest.importorskip("airflow_provider_media.triggers.events", reason="Airflow 2 has no event triggers",
                             exc_type=ImportError)  # fmt: skip

from tests.contract.helpers.watchers import INTERVAL, Store, Watcher, until, watching  # noqa: E402 - imports the trigger, as above

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_media.hooks.media import MediaHook

PNG = b"\x89PNG\r\n\x1a\n"
APART = 0.4


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_policy, "MIN_INTERVAL_SECONDS", INTERVAL)
    monkeypatch.setattr(_event_delivery, "LAST_EVENT_DELAY_SECONDS", APART)


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


def test_the_first_file_of_an_empty_library_is_an_event_also_when_ids_are_texts(connect: Any) -> None:
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
    assert library.count("GET") == 2  # one look, by ids and by dates


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
    assert library.count("GET") == 2 + 1  # in doubt whether two files are all, the second look reads an empty page


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
