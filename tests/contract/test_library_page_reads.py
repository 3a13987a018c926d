"""How the Media library page reads a library: once for all who look, kept for seconds, bounded, and soon given up."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._api import flows, protocol
from airflow_provider_media._api.protocol import parse_page
from airflow_provider_media.plugins import _library
from airflow_provider_media.plugins._library import Libraries, PageError
from tests.contract.helpers.raw_server import answer
from tests.contract.helpers.secrets_backends import SilentBackend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from airflow_provider_media._api.protocol import ApiRequest, ApiResponse
    from airflow_provider_media.models import MediaPage
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def conn_id(define: Any, library: SandboxLibrary) -> str:
    for number in range(5):
        library.store(f"file {number}", PNG)
    library.forget()
    written: str = define()
    return written


def use(action: Callable[[Libraries], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await action(Libraries())

    return asyncio.run(main())


def refused(action: Callable[[Libraries], Awaitable[Any]]) -> PageError:
    with pytest.raises(PageError) as refusal:
        use(action)
    return refusal.value


def test_all_who_look_at_once_and_for_some_seconds_share_one_reading(conn_id: str, library: SandboxLibrary) -> None:
    use(lambda libraries: libraries.read(conn_id))
    once = library.count("GET")
    library.forget()

    async def look(libraries: Libraries) -> list[int]:
        snapshots = await asyncio.gather(*(libraries.read(conn_id) for _ in range(10)))
        snapshots.append(await libraries.read(conn_id))
        return [len(snapshot.items) for snapshot in snapshots]

    assert use(look) == [5] * 11
    assert library.count("GET") == once


def test_it_is_read_again_when_what_was_kept_is_too_old(conn_id: str, library: SandboxLibrary) -> None:
    async def look(libraries: Libraries) -> int:
        await libraries.read(conn_id)
        library.store("one more", PNG)
        assert len((await libraries.read(conn_id)).items) == 5
        return len((await libraries.read(conn_id, not_older_than=0)).items)

    assert use(look) == 6


def test_who_goes_away_does_not_end_the_reading_of_the_others(conn_id: str, library: SandboxLibrary) -> None:
    library.fail("slow", "GET", delay_seconds=0.5)

    async def look(libraries: Libraries) -> int:
        first = asyncio.create_task(libraries.read(conn_id))
        second = asyncio.create_task(libraries.read(conn_id))
        await asyncio.sleep(0.1)
        first.cancel()
        return len((await second).items)

    assert use(look) == 5


def test_a_large_library_is_cut_off_and_says_so(
    conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_library, "MAX_FILES", 3)
    snapshot = use(lambda libraries: libraries.read(conn_id))

    assert [media.name for media in snapshot.items] == ["file 4", "file 3", "file 2"]
    assert snapshot.total == 5
    assert snapshot.cut_off == "Only the newest 3 files were read, and are searched and counted."


def test_a_slow_answer_is_given_up(conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_library, "DEADLINE_SECONDS", 0.2)
    library.fail("slow", "GET", delay_seconds=10, times=2)

    refusal = refused(lambda libraries: libraries.read(conn_id))
    assert refusal.status == 504
    assert refusal.sentence == "The Media API did not answer within 0.2 s: try again later."


def test_the_documentation_says_how_long_a_reader_waits_and_how_much_is_read() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "airflow-ui.md").read_text().split())

    assert f"given up after {_library.TURN_SECONDS + _library.DEADLINE_SECONDS:g} seconds" in page
    assert f"waits {_library.TURN_SECONDS:g} of these seconds" in page
    assert f"Airflow has {_library.CONNECTION_SECONDS:g} of these seconds" in page
    assert f"more than {_library._MAX_RESPONSE_BYTES / 2**20:g} MiB" in page


def test_few_are_read_at_a_time_and_the_others_are_told(
    conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = str(library.files()[0]["id"])
    monkeypatch.setattr(_library, "READS_AT_ONCE", 1)
    monkeypatch.setattr(_library, "TURN_SECONDS", 0.1)
    library.fail("slow", "GET", delay_seconds=1)

    async def look(libraries: Libraries) -> PageError:
        reading = asyncio.create_task(libraries.read(conn_id))
        await asyncio.sleep(0.05)
        with pytest.raises(PageError) as refusal:
            await libraries.entry(conn_id, "1")
        await reading
        assert (await libraries.entry(conn_id, first)).name == "file 0"
        return refusal.value

    assert use(look).status == 503


@pytest.mark.parametrize(
    ("key", "host", "status", "sentence"),
    [
        ("not-the-key", None, 502, "check the connection's password"),
        ("key-of-the-tests", "http://127.0.0.1:9", 502, "no connection to http://127.0.0.1:9"),
        ("", None, 409, "The connection has no API key"),
    ],
)
def test_what_is_wrong_is_said(define: Any, key: str, host: str | None, status: int, sentence: str) -> None:
    conn_id = define(key, host)

    refusal = refused(lambda libraries: libraries.read(conn_id))
    assert refusal.status == status
    assert sentence in refusal.sentence


def test_a_page_view_tries_no_longer_than_a_page_view_may(define: Any, library: SandboxLibrary) -> None:
    conn_id = define(max_attempts=10)
    library.fail("status", "GET", status=503, times=10)
    library.forget()

    assert refused(lambda libraries: libraries.read(conn_id)).status == 502
    assert library.count("GET") == 2


def test_an_answer_that_would_hold_up_the_api_server_is_not_read(define: Any, raw_server: Any) -> None:
    """A Media API that heeds no limit: a page of files that have much to say is read, all of its files at once not."""
    page = [{"id": number, "name": "n" * 500, "description": "d" * 2000} for number in range(1000)]
    everything = [{"id": number, "name": f"file {number}", "description": "d" * 200} for number in range(20_000)]

    conn_id = define(host=raw_server(lambda _: answer(200, {"content": page, "totalElements": 1000})).url)
    assert len(use(lambda libraries: libraries.read(conn_id)).items) == 1000
    conn_id = define(host=raw_server(lambda _: answer(200, {"content": everything, "totalElements": 20_000})).url)
    refusal = refused(lambda libraries: libraries.read(conn_id))
    assert refusal.status == 502
    assert refusal.sentence == "Could not list the media library: the answer (200) is larger than 4 MiB."


def test_answers_are_parsed_beside_the_event_loop(
    define: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed_by = []

    def parse(call: ApiRequest, reply: ApiResponse, *odd: Any) -> MediaPage:
        parsed_by.append(threading.current_thread())
        return parse_page(call, reply, *odd)

    monkeypatch.setattr(flows, "parse_page", parse)
    monkeypatch.setattr(protocol, "parse_page", parse)
    many = [{"id": number} for number in range(_library.MAX_FILES + 1)]  # all at once, whatever the limit
    conn_id = define(host=raw_server(lambda _: answer(200, {"content": many, "totalElements": 9000})).url)

    assert len(use(lambda libraries: libraries.read(conn_id)).items) == _library.MAX_FILES
    assert len(parsed_by) == 1
    assert threading.current_thread() not in parsed_by


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_read_before_a_failure_is_shown(
    conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(_library, "_PAGE_SIZE", 2)
    library.fail("slow", "GET", delay_seconds=0)
    library.fail("status", "GET", status=status, times=2)

    snapshot = use(lambda libraries: libraries.read(conn_id))
    assert [media.name for media in snapshot.items] == ["file 4", "file 3"]
    assert snapshot.total == 5
    assert snapshot.cut_off
    assert snapshot.cut_off.startswith(
        "Only 2 files could be read. Could not list the media library: the server answered"
    )


def test_where_ids_are_no_numbers_the_newest_are_not_claimed(
    define: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_library, "MAX_FILES", 1)
    files = [{"mediaId": "med_b"}, {"mediaId": "med_a"}]
    conn_id = define(host=raw_server(lambda _: answer(200, {"content": files, "totalElements": 2})).url)

    snapshot = use(lambda libraries: libraries.read(conn_id))
    assert snapshot.cut_off == "Only 1 files were read, and are searched and counted."


def test_an_entry_that_is_gone_is_said_to_be(conn_id: str) -> None:
    refusal = refused(lambda libraries: libraries.entry(conn_id, "4711"))
    assert refusal.status == 404
    assert refusal.sentence == "The library of 'media_async' has no file 4711: it may have been deleted."


NONE_TO_BE_READ = (
    "Airflow's API server can read no connection '{}' of the type media: if there is one, its log says why."
)


def test_a_connection_of_another_type_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", '{"conn_type": "http", "host": "http://127.0.0.1:9", "password": "p"}')

    refusal = refused(lambda libraries: libraries.read("other"))
    assert refusal.status == 404
    assert refusal.sentence == NONE_TO_BE_READ.format("other")


class TestSecretsBackends:
    """Where Airflow's secrets backend does not do its work."""

    @pytest.fixture(autouse=True)
    def of_settings(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        SilentBackend.may_answer.clear()
        monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"tests.contract.helpers.secrets_backends.{request.param}")
        yield
        SilentBackend.may_answer.set()

    @pytest.mark.parametrize("of_settings", ["FailingBackend"], indirect=True)
    def test_one_that_fails_is_where_to_look(self) -> None:
        refusal = refused(lambda libraries: libraries.read("campaigns"))
        assert (refusal.status, refusal.sentence) == (404, NONE_TO_BE_READ.format("campaigns"))

    @pytest.mark.parametrize("of_settings", ["NoSuchBackend"], indirect=True)
    def test_one_that_is_not_there_is_told(self) -> None:
        refusal = refused(lambda libraries: libraries.read("campaigns"))
        assert refusal.status == 503
        assert refusal.sentence == "The connection 'campaigns' could not be read; the API server's log says why."

    @pytest.mark.parametrize("of_settings", ["SilentBackend"], indirect=True)
    def test_one_that_does_not_answer_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_library, "CONNECTION_SECONDS", 0.2)
        refusal = refused(lambda libraries: libraries.read("campaigns"))
        assert (refusal.status, refusal.sentence) == (
            504,
            "Airflow could not read the connection 'campaigns' within 0.2 s; does its secrets backend answer?",
        )
