"""Lookups: their requests and results, with and without totals; and trigger events as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api import flows
from airflow_provider_media._polling.criteria import (
    LookupResult,
    Progress,
    WaitCriteria,
    WaitEvent,
    found_from_dicts,
    found_to_dicts,
)
from airflow_provider_media._polling.lookup import SharedLookup, lookup
from airflow_provider_media.exceptions import MediaError, MediaResponseError, MediaUnavailableError
from airflow_provider_media.models import Media
from tests.unit.helpers.fake_library import FakeLibrary

if TYPE_CHECKING:
    from airflow_provider_media._api.protocol import ApiRequest, ApiResponse

PAGE = 10


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use pages of ten files."""
    defaults = flows.Paginator.__init__.__kwdefaults__ | {"page_size": PAGE}  # type: ignore[operator]
    monkeypatch.setattr(flows.Paginator.__init__, "__kwdefaults__", defaults)


def library_of(files: int, **options: Any) -> FakeLibrary:
    library = FakeLibrary(**options)
    for number in range(files):
        library.add(f"file {number}")
    return library


def lookup_in(
    library: FakeLibrary, ids: Any = (), names: Any = (), *, is_shared: bool = False
) -> tuple[LookupResult, int]:
    """Return the result of a lookup and its number of requests."""
    result, before = LookupResult(), len(library.calls)
    find = SharedLookup().run if is_shared else lookup
    library.run(find([str(i) for i in ids], names, result=result))
    return result, len(library.calls) - before


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("totals", [True, False])
@pytest.mark.parametrize("files", [1, 9, 10, 11, 55, 100, 101])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 12, 200])
@pytest.mark.parametrize("present", ["none", "newest", "oldest"])
def test_ids_take_at_most_one_request_more_than_ids_or_pages(
    files: int, count: int, present: str, *, totals: bool, is_shared: bool
) -> None:
    first = {"none": 5000, "newest": files, "oldest": 1}[present]
    ids = range(first, first + count) if present != "newest" else range(first, max(first - count, -5000), -1)
    expected = {str(i) for i in ids if 1 <= i <= files}
    cheapest = min(count, math.ceil(files / PAGE) + 1)

    result, requests = lookup_in(library_of(files, totals=totals), ids, is_shared=is_shared)
    assert set(result.ids) == expected
    assert requests <= (cheapest + 1 if totals else 2 * cheapest)


@pytest.mark.parametrize("totals", [True, False])
def test_cost_follows_the_size_of_the_library(*, totals: bool) -> None:
    library, ids = library_of(200, totals=totals), range(5000, 5015)
    assert lookup_in(library, ids)[1] == (1 + 15 if totals else 15 + 15)
    del library.files[10:]
    assert lookup_in(library, ids)[1] == 2


def test_ids_that_are_strings_are_found() -> None:
    library = library_of(200, ids=(f"id-{number:03}" for number in range(200)))
    present = {"id-000", "id-001", "id-199"}
    result, requests = lookup_in(library, [*present, "123", *(f"zz{number}" for number in range(8))])
    assert (set(result.ids), requests) == (present, 1 + 11)


@pytest.mark.parametrize("totals", [True, False])
@pytest.mark.parametrize("files", [0, 1, 10, 11, 55, 100])
def test_names_take_one_request_a_page_with_ids_included(files: int, *, totals: bool) -> None:
    library = library_of(files, totals=totals)
    result, requests = lookup_in(library, [1, 7, 999], ["file 0", "file *", "nothing"])
    assert requests <= math.ceil(files / PAGE) + 1
    assert set(result.ids) == {str(i) for i in (1, 7) if i <= files}
    matches = {name: len(found) for name, found in result.names.items()}
    assert matches == ({"file 0": 1, "file *": files} if files else {})


@pytest.mark.parametrize(("files", "requests"), [(100, 11), (101, 11), (9, 2), (0, 1)])
def test_names_take_an_extra_request_if_the_last_page_is_full(files: int, requests: int) -> None:
    """The total may be capped, or may count the page only."""
    assert lookup_in(library_of(files), names=["x"])[1] == requests


@pytest.mark.parametrize("is_shared", [False, True])
def test_invalid_entry_fails_only_its_own_id_and_name(*, is_shared: bool) -> None:
    library = library_of(25)
    library.files[3] |= {"size": -1}  # file 3, with the id 4
    library.files[7] |= {"url": {}}
    library.files[9] |= {"name": 9}
    result, _ = lookup_in(library, [1, 25, *range(50, 70)], ["file 20", "file 1*"], is_shared=is_shared)
    assert set(result.ids) == {"1", "25"}
    assert [media.id for media in result.names["file 1*"]] == [2, *range(11, 21)]
    if not is_shared:
        with pytest.raises(MediaError, match="Invalid list entry 'file 3': size of media 4 is not"):
            lookup_in(library, [*range(4, 8), *range(30, 50)])
        with pytest.raises(MediaError, match="Invalid list entry 'file 7': url of media 8"):
            lookup_in(library, names=["file 20", "file 7"])
        return
    result, _ = lookup_in(library, [*range(1, 30)], ["file 3", "file 9", "file 11"], is_shared=True)
    assert set(result.id_errors) == {"4", "8", "10"}
    assert set(result.name_errors) == {"file 3"}
    assert set(result.ids) == {str(media_id) for media_id in range(1, 26)} - {"4", "8", "10"}
    assert [media.id for media in result.names["file 11"]] == [12]


def test_two_ids_are_fetched_without_the_list() -> None:
    library = library_of(100)
    lookup_in(library, [1, 2])
    assert library.calls == ["GET /1", "GET /2"]


def test_many_ids_take_one_request_in_an_empty_library() -> None:
    assert lookup_in(library_of(0), range(50))[1] == 1


def test_new_files_are_found_on_the_first_page() -> None:
    assert lookup_in(library_of(100), range(91, 101))[1] == 1


def test_cost_follows_the_page_size_of_the_server() -> None:
    """Asked for 10 files a page, the server returns 4: the list takes 25 requests."""
    library = library_of(100)
    page = library._page

    def page_of_four(params: dict[str, str]) -> Any:
        return page({**params, "limit": "4"})

    library._page = page_of_four  # type: ignore[method-assign]
    result, requests = lookup_in(library, range(1, 21))
    assert (len(result.ids), requests) == (20, 1 + 20)
    assert lookup_in(library, range(1, 31))[1] <= 25 + 1


def deleting(library: FakeLibrary, position: int, *, before_call: int) -> FakeLibrary:
    """Delete a file just before a request."""

    def act(_: str) -> None:
        if len(library.calls) == before_call:
            del library.files[position]

    library.on_call = act
    return library


@pytest.mark.parametrize("name", ["file 10", "file 10*"])
def test_name_missed_because_of_a_deletion_is_found_by_a_second_listing(name: str) -> None:
    library = deleting(library_of(25), 0, before_call=2)
    result, requests = lookup_in(library, names=[name, "file 5"])
    assert {key: [media.name for media in files] for key, files in result.names.items()} == {
        name: ["file 10"],
        "file 5": ["file 5"],
    }
    assert requests == 6


def test_names_that_are_all_found_need_no_second_listing() -> None:
    assert lookup_in(deleting(library_of(25), 0, before_call=2), names=["file 5", "file 20"])[1] == 3


def test_shared_lookup_reads_the_list_once_despite_deletions() -> None:
    """Newest first, 16 is the last of the first page, until 25 is deleted: then 15 is, and the second begins at 14."""
    library, shared = deleting(library_of(25), 24, before_call=2), SharedLookup()
    for found, calls in (([], 3), (["file 14"], 6)):
        result = LookupResult()
        library.run(shared.run((), ["file 14"], result=result))
        assert (list(result.names), len(library.calls)) == (found, calls)


@pytest.mark.parametrize("keys", [{"ids": range(100, 120)}, {"names": ["nobody"]}])
def test_files_added_during_the_listing_cause_no_second_one(keys: dict[str, Any]) -> None:
    library = library_of(25)
    library.on_call = lambda _: library.add("new") and None
    assert lookup_in(library, **keys)[1] <= 3 + 1


@pytest.mark.parametrize("others", [1, 10])
def test_ids_missed_because_of_a_deletion_are_found(others: int) -> None:
    """Newest first, 16 is the last of the first page, until 20 is deleted: then 15 is, and the second begins at 14."""
    library = deleting(library_of(25), 19, before_call=2)
    result, requests = lookup_in(library, [*range(1, 20), *range(5000, 5000 + others)])
    assert set(result.ids) == {str(number) for number in range(1, 20)}
    assert requests <= 3 + 3


def test_ids_beside_names_are_found_despite_a_deletion() -> None:
    library = deleting(library_of(25), 0, before_call=2)
    result, requests = lookup_in(library, [11], ["file 5"])
    assert (set(result.ids), set(result.names), requests) == ({"11"}, {"file 5"}, 3 + 3)


def test_list_is_read_at_most_twice() -> None:
    library = library_of(100)
    library.on_call = lambda _: library.files.pop(0) and None
    assert lookup_in(library, names=["nobody"])[1] <= 2 * 10


def test_total_above_the_listed_files_causes_a_second_listing() -> None:
    library = library_of(25)
    page = library._page

    def page_with_excessive_total(params: dict[str, str]) -> Any:
        response = page(params)
        content = json.loads(response.body or b"")
        return replace(response, body=json.dumps(content | {"total": content["total"] + 3}).encode())

    library._page = page_with_excessive_total  # type: ignore[method-assign]
    assert lookup_in(library, names=["nobody"])[1] == 2 * 4
    assert lookup_in(library, names=["nobody"], is_shared=True)[1] == 4
    deleting(library, 0, before_call=len(library.calls) + 2)
    assert list(lookup_in(library, names=["file 10"])[0].names) == ["file 10"]


def failing(library: FakeLibrary, *lines: str, **error: Any) -> FakeLibrary:
    def fail(line: str) -> None:
        if line in lines:
            raise MediaUnavailableError(f"{line} failed.", **error)

    library.on_call = fail
    return library


def test_files_found_before_a_failure_are_kept() -> None:
    library, result = failing(library_of(3), "GET /2"), LookupResult()
    with pytest.raises(MediaError):
        library.run(lookup(["1", "2"], (), result=result))
    assert set(result.ids) == {"1"}


@pytest.mark.parametrize("error", [{"status": 400}, {"status": 500, "is_transient": True}])
def test_shared_lookup_isolates_ids_that_fail(error: dict[str, Any]) -> None:
    library = failing(library_of(100), "GET /7", "GET /8", **error)
    result, _ = lookup_in(library, [7, 8, 3, 5000], is_shared=True)
    assert (set(result.ids), set(result.id_errors)) == ({"3"}, {"7", "8"})
    assert library.calls[1:] == ["GET /7", "GET /8", "GET /3", "GET /5000"]


def test_shared_lookup_stops_after_two_requests_without_a_response() -> None:
    library = failing(library_of(100), "GET /7", "GET /8", is_transient=True)
    result, _ = lookup_in(library, [3, 7, 8, 5000], is_shared=True)
    assert (set(result.ids), set(result.id_errors)) == ({"3"}, {"7", "8", "5000"})


def test_shared_lookup_retries_if_no_id_gets_a_response() -> None:
    library = failing(library_of(100), "GET /7", "GET /8", "GET /9", status=500, is_transient=True)
    attempts: list[tuple[str, int | None]] = []
    respond = library.respond

    def record(call: ApiRequest) -> ApiResponse:
        attempts.append((call.path, call.max_attempts))
        return respond(call)

    library.respond = record  # type: ignore[method-assign]
    result, _ = lookup_in(library, [7, 8, 9], is_shared=True)
    assert attempts[1:] == [("/7", 1), ("/8", 1), ("/9", 1), ("/7", None), ("/8", None)]
    assert set(result.id_errors) == {"7", "8", "9"}


def test_retries_of_ids_keep_the_errors_of_invalid_entries() -> None:
    library = failing(library_of(100), "GET /7", "GET /8", status=500, is_transient=True)
    library.files[99] |= {"size": -1}
    result, _ = lookup_in(library, [100, 7, 8], is_shared=True)
    assert set(result.id_errors) == {"100", "7", "8"}


def test_lookup_of_many_patterns_yields_to_the_event_loop() -> None:
    library = library_of(100)
    lookup_in(library, names=[f"*{number}*" for number in range(3000)])
    assert library.pauses == [0] * 10
    library.pauses.clear()
    lookup_in(library, names=[f"*-{number}.jpg" for number in range(3000)])
    assert library.pauses == []


def test_id_does_not_match_an_equal_name() -> None:
    result, _ = lookup_in(library_of(3), [2], ["2", "file 2"])
    assert WaitCriteria(names=("2",)).satisfied_by(result) == {}
    assert list(WaitCriteria(ids=("2",)).satisfied_by(result)) == ["2"]
    assert list(WaitCriteria(names=("file 2",)).satisfied_by(result)) == ["file 2"]


MEDIA = st.builds(
    Media,
    id=st.integers(0) | st.text(min_size=1),
    name=st.none() | st.text(),
    size=st.none() | st.integers(0),
    created_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)
FOUND = st.dictionaries(st.text(), st.lists(MEDIA, min_size=1, max_size=3), max_size=4)


@given(
    event=st.builds(
        WaitEvent,
        status=st.sampled_from(["found", "deadline", "failed"]),
        found=FOUND,
        error=st.none() | st.just("MediaAuthError"),
        message=st.none() | st.text(),
    )
)
def test_event_survives_json(event: WaitEvent) -> None:
    assert WaitEvent.from_dict(json.loads(json.dumps(event.to_dict()))) == event


@given(found=FOUND)
def test_found_files_survive_json(found: dict[str, list[Media]]) -> None:
    assert found_from_dicts(json.loads(json.dumps(found_to_dicts(found)))) == found


def test_event_of_an_older_release_is_accepted() -> None:
    assert WaitEvent.from_dict({"status": "deadline"}) == WaitEvent(status="deadline")
    old = {"status": "found", "found": {"1": [{"id": 1, "a later key": 2}]}, "a later key": 3}
    assert WaitEvent.from_dict(old) == WaitEvent(status="found", found={"1": [Media(id=1)]})


@pytest.mark.parametrize(
    "event",
    [
        *(None, 5, "found", [], {}),
        *({"status": None}, {"status": "done"}, {"status": ["found"]}, {"status": {}}),
        *({"status": "found", "found": value} for value in (5, "x", [1])),
        *({"status": "found", "found": {"1": value}} for value in (None, 5, {"id": 1}, [5], [{}], [{"name": "a"}])),
        {"status": "found", "found": {"1": [{"id": 1, "created_at": "yesterday"}]}},
        {"status": "found", "found": {"1": [{"id": None}]}},
        {"status": "found", "found": {"1": [{"id": {"a": 1}}]}},
        {"status": "found", "found": {"1": []}},
        {"status": "failed", "error": 5},
        {"status": "failed", "message": ["x"]},
    ],
    ids=repr,
)
def test_malformed_event_is_rejected(event: Any) -> None:
    with pytest.raises(MediaError, match="Clear the task") as raised:
        WaitEvent.from_dict(event)
    assert type(raised.value) is MediaResponseError


def test_progress_names_at_most_20_keys() -> None:
    criteria = WaitCriteria(ids=tuple(map(str, range(1000))))
    found = {"0": [Media(id=0, created_at=datetime(2026, 1, 1, tzinfo=UTC))]}
    progress = Progress(criteria=criteria, found=found).progress
    assert progress.startswith("1 of 1000 found ('0'), missing: '1', '2'")
    assert progress.endswith("'20' and 979 more")
    assert Progress(criteria=WaitCriteria(names=("a",))).progress == "0 of 1 found (none), missing: 'a'"
