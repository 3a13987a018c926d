"""Library reads of the Media Library page: shared, cached for seconds, bounded, with short timeouts."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException

from airflow_provider_media._api import flows, protocol
from airflow_provider_media._api.protocol import parse_page
from airflow_provider_media.models import Media
from airflow_provider_media.plugins import _library
from airflow_provider_media.plugins._library import CACHE_SECONDS, Libraries, as_json
from tests.contract.helpers.raw_server import http_response
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


async def read(libraries: Libraries, conn_id: str, max_age: float = CACHE_SECONDS) -> dict[str, Any]:
    """Read all parts, like the browser."""
    files: list[dict[str, Any]] = []
    part, more, number = {}, True, 0
    while more:
        part = json.loads(await libraries.part(conn_id, number, max_age=max_age if number == 0 else CACHE_SECONDS))
        files += part["items"]
        more, number = part["more"], number + 1
    return {**part, "items": files}


def error_of(action: Callable[[Libraries], Awaitable[Any]]) -> HTTPException:
    with pytest.raises(HTTPException) as raised:
        use(action)
    return raised.value


def test_concurrent_and_later_reads_share_one_request(conn_id: str, library: SandboxLibrary) -> None:
    use(lambda libraries: read(libraries, conn_id))
    once = library.count("GET")
    library.forget()

    async def read_often(libraries: Libraries) -> list[int]:
        libraries_read = await asyncio.gather(*(read(libraries, conn_id) for _ in range(10)))
        libraries_read.append(await read(libraries, conn_id))
        return [len(each["items"]) for each in libraries_read]

    assert use(read_often) == [5] * 11
    assert library.count("GET") == once


def test_expired_library_is_read_again(conn_id: str, library: SandboxLibrary) -> None:
    async def read_twice(libraries: Libraries) -> int:
        await read(libraries, conn_id)
        library.store("one more", PNG)
        assert len((await read(libraries, conn_id))["items"]) == 5
        return len((await read(libraries, conn_id, max_age=0))["items"])

    assert use(read_twice) == 6


def test_cancelled_reader_does_not_cancel_the_shared_read(conn_id: str, library: SandboxLibrary) -> None:
    library.fail("slow", "GET", delay_seconds=0.3)

    async def cancel_one(libraries: Libraries) -> int:
        first = asyncio.create_task(read(libraries, conn_id))
        second = asyncio.create_task(read(libraries, conn_id))
        await asyncio.sleep(0.1)
        first.cancel()
        return len((await second)["items"])

    assert use(cancel_one) == 5


def test_first_part_is_returned_while_the_rest_is_read(
    conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_library, "_PAGE_SIZE", 2)
    library.fail("slow", "GET", delay_seconds=0)
    library.fail("slow", "GET", delay_seconds=0.3)

    async def read_part(libraries: Libraries) -> tuple[dict[str, Any], dict[str, Any]]:
        part = json.loads(await libraries.part(conn_id))
        assert not libraries._readings[conn_id].done_at
        return part, await read(libraries, conn_id)

    first, whole = use(read_part)
    assert [file["name"] for file in first["items"]] == ["file 4", "file 3"]
    assert (first["total"], first["more"]) == (5, True)
    assert (len(whole["items"]), whole["more"]) == (5, False)


def test_large_library_is_truncated_with_a_notice(
    conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_library, "MAX_FILES", 3)
    found = use(lambda libraries: read(libraries, conn_id))

    assert [file["name"] for file in found["items"]] == ["file 4", "file 3", "file 2"]
    assert found["total"] == 5
    assert found["incomplete"] == "Searching and counting only 3 files."


def test_slow_response_times_out(conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_library, "DEADLINE_SECONDS", 0.2)
    library.fail("slow", "GET", delay_seconds=10, times=2)

    error = error_of(lambda libraries: libraries.part(conn_id))
    assert error.status_code == 504
    assert error.detail == "The Media API did not respond within 0.2 s. Try again later."


def test_documentation_states_the_timeouts_and_size_limit() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "guides" / "airflow-ui.md").read_text().split())

    assert f"times out after {_library.SLOT_SECONDS + _library.DEADLINE_SECONDS:g} seconds" in page
    assert f"waits for at most {_library.SLOT_SECONDS:g} of these seconds" in page
    assert f"from Airflow may take {_library.CONNECTION_SECONDS:g} of these seconds" in page
    assert f"more than {_library._MAX_RESPONSE_BYTES / 2**20:g} MiB" in page


def test_reads_beyond_the_limit_fail_with_503(
    conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = str(library.files()[0]["id"])
    monkeypatch.setattr(_library, "MAX_CONCURRENT_READS", 1)
    monkeypatch.setattr(_library, "SLOT_SECONDS", 0.1)
    library.fail("slow", "GET", delay_seconds=1)

    async def read_both(libraries: Libraries) -> HTTPException:
        reading = asyncio.create_task(libraries.part(conn_id))
        await asyncio.sleep(0.05)
        with pytest.raises(HTTPException) as raised:
            await libraries.entry(conn_id, "1")
        await reading
        assert (await libraries.entry(conn_id, first)).name == "file 0"
        return raised.value

    assert use(read_both).status_code == 503


@pytest.mark.parametrize(
    ("key", "host", "status", "message"),
    [
        ("not-the-key", None, 502, "check the API key in the connection"),
        ("key-of-the-tests", "http://127.0.0.1:9", 502, "no connection to http://127.0.0.1:9"),
        ("", None, 409, "The connection has no API key"),
    ],
)
def test_error_states_the_cause(define: Any, key: str, host: str | None, status: int, message: str) -> None:
    conn_id = define(key, host)

    error = error_of(lambda libraries: libraries.part(conn_id))
    assert error.status_code == status
    assert message in error.detail


def test_page_view_retries_once(define: Any, library: SandboxLibrary) -> None:
    conn_id = define(max_attempts=10)
    library.fail("status", "GET", status=503, times=10)
    library.forget()

    assert error_of(lambda libraries: libraries.part(conn_id)).status_code == 502
    assert library.count("GET") == 2


def test_oversized_response_is_rejected(define: Any, raw_server: Any) -> None:
    """The Media API ignores the page limit: 1,000 files with long fields are accepted, 20,000 files are not."""
    page = [{"id": number, "name": "n" * 500, "description": "d" * 2000} for number in range(1000)]
    everything = [{"id": number, "name": f"file {number}", "description": "d" * 200} for number in range(20_000)]

    conn_id = define(host=raw_server(lambda _: http_response(200, {"content": page, "totalElements": 1000})).url)
    assert len(use(lambda libraries: read(libraries, conn_id))["items"]) == 1000
    conn_id = define(
        host=raw_server(lambda _: http_response(200, {"content": everything, "totalElements": 20_000})).url
    )
    error = error_of(lambda libraries: libraries.part(conn_id))
    assert error.status_code == 502
    assert error.detail == "Could not list the media library: invalid response (HTTP 200): larger than 4 MiB."


def test_responses_are_parsed_off_the_event_loop(define: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed_by = []

    def parse(call: ApiRequest, reply: ApiResponse, *odd: Any) -> MediaPage:
        parsed_by.append(threading.current_thread())
        return parse_page(call, reply, *odd)

    monkeypatch.setattr(flows, "parse_page", parse)
    monkeypatch.setattr(protocol, "parse_page", parse)
    monkeypatch.setattr(_library, "MAX_FILES", 100)
    many = [{"id": number} for number in range(_library.MAX_FILES + 1)]  # in one page, ignoring the limit
    conn_id = define(host=raw_server(lambda _: http_response(200, {"content": many, "totalElements": 9000})).url)

    assert len(use(lambda libraries: read(libraries, conn_id))["items"]) == _library.MAX_FILES
    assert len(parsed_by) == 1
    assert threading.current_thread() not in parsed_by


@pytest.mark.parametrize("status", [429, 503])
def test_files_read_before_a_failure_are_shown(
    conn_id: str, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(_library, "_PAGE_SIZE", 2)
    library.fail("slow", "GET", delay_seconds=0)
    library.fail("status", "GET", status=status, times=2)

    found = use(lambda libraries: read(libraries, conn_id))
    assert [file["name"] for file in found["items"]] == ["file 4", "file 3"]
    assert found["total"] == 5
    assert found["incomplete"].startswith("Read only 2 files. Could not list the media library: ")


def test_slow_response_is_shown_and_not_requested_again(
    define: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection's own timeout does not apply: the page has one time budget."""
    conn_id = define(timeout=0.1)
    library.forget()
    library.fail("slow", "GET", delay_seconds=0.25)
    use(lambda libraries: read(libraries, conn_id))
    monkeypatch.setattr(_library, "DEADLINE_SECONDS", 0.1)
    library.fail("slow", "GET", delay_seconds=10)
    assert error_of(lambda libraries: read(libraries, conn_id)).status_code == 504
    assert library.count("GET") == 2


def test_files_have_problems_but_no_approval() -> None:
    gif = as_json(Media(id=1, mime_type="image/gif", size=10, width=960, height=720))
    assert [(each["channel"], each["level"]) for each in gif["problems"]] == [("whatsapp", "error")]
    large = as_json(Media(id=1, mime_type="image/png", size=12_100_000, width=1080, height=1920))
    texts = [each["text"].partition(";")[0] for each in large["problems"]]
    assert texts == ["12.1 MB", "12.1 MB, recommended at most 2 MB", "1080x1920 fits no card"]
    assert "problems" not in as_json(Media(id=1, mime_type="image/jpeg", size=10, width=1440, height=720))
    assert "problems" not in as_json(Media(id=1, mime_type="image/x-png", size=10**9))


def test_deleted_file_is_reported_as_not_found(conn_id: str) -> None:
    error = error_of(lambda libraries: libraries.entry(conn_id, "4711"))
    assert error.status_code == 404
    assert error.detail == "The library of 'media_async' has no file 4711. It may have been deleted."


NOT_FOUND = "Airflow's API server found no connection '{}' of type media. If it exists, check the API server's log."


def test_connection_of_another_type_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", '{"conn_type": "http", "host": "http://127.0.0.1:9", "password": "p"}')

    error = error_of(lambda libraries: libraries.part("other"))
    assert error.status_code == 404
    assert error.detail == NOT_FOUND.format("other")


class TestSecretsBackends:
    """Failures of Airflow's secrets backend."""

    @pytest.fixture(autouse=True)
    def of_settings(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        SilentBackend.may_respond.clear()
        monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"tests.contract.helpers.secrets_backends.{request.param}")
        yield
        SilentBackend.may_respond.set()

    @pytest.mark.parametrize("of_settings", ["FailingBackend"], indirect=True)
    def test_failing_backend_points_to_the_log(self) -> None:
        error = error_of(lambda libraries: libraries.part("campaigns"))
        assert (error.status_code, error.detail) == (404, NOT_FOUND.format("campaigns"))

    @pytest.mark.parametrize("of_settings", ["NoSuchBackend"], indirect=True)
    def test_missing_backend_is_reported(self) -> None:
        error = error_of(lambda libraries: libraries.part("campaigns"))
        assert error.status_code == 503
        assert error.detail == "Could not read the connection 'campaigns'. Check the API server's log."

    @pytest.mark.parametrize("of_settings", ["SilentBackend"], indirect=True)
    def test_unresponsive_backend_times_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_library, "CONNECTION_SECONDS", 0.2)
        error = error_of(lambda libraries: libraries.part("campaigns"))
        message = "Airflow could not read the connection 'campaigns' within 0.2 s."
        assert error.status_code == 504
        assert error.detail == f"{message} Check that the secrets backend is available."
