"""One look for what is waited for: in the cheaper way, with and without totals; and what it found, as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api import flows
from airflow_provider_media._polling.lookup import (
    LibrarySize,
    LookupResult,
    WaitCriteria,
    WaitEvent,
    found_from_dicts,
    found_to_dicts,
    look,
)
from airflow_provider_media.exceptions import MediaError, MediaResponseError, MediaUnavailableError
from airflow_provider_media.models import Media
from tests.unit.helpers.fake_library import FakeLibrary

if TYPE_CHECKING:
    from airflow_provider_media._api.protocol import ApiRequest, ApiResponse

PAGE = 10


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pages of ten files, so that libraries of many pages are quickly made."""
    defaults = flows.Paginator.__init__.__kwdefaults__ | {"page_size": PAGE}  # type: ignore[operator]
    monkeypatch.setattr(flows.Paginator.__init__, "__kwdefaults__", defaults)


def library_of(files: int, **options: Any) -> FakeLibrary:
    library = FakeLibrary(**options)
    for number in range(files):
        library.add(f"file {number}")
    return library


def look_in(
    library: FakeLibrary, ids: Any = (), names: Any = (), size: LibrarySize | None = None, *, make_sure: bool = True
) -> tuple[LookupResult, int]:
    """Look once; return what was seen, and how many requests it took."""
    seen, before = LookupResult(), len(library.calls)
    library.run(look([str(i) for i in ids], names, size=size or LibrarySize(), seen=seen, make_sure=make_sure))
    return seen, len(library.calls) - before


def ids_seen(seen: LookupResult) -> set[str]:
    return set(seen.ids)


@pytest.mark.parametrize("totals", [True, False])
@pytest.mark.parametrize("files", [1, 9, 10, 11, 55, 100, 101])
@pytest.mark.parametrize("waiting", [1, 2, 3, 10, 11, 12, 200])
@pytest.mark.parametrize("there", ["none", "newest", "oldest"])
def test_ids_cost_at_most_one_request_each_and_at_most_the_list(
    files: int, waiting: int, there: str, *, totals: bool
) -> None:
    first = {"none": 5000, "newest": files, "oldest": 1}[there]
    ids = range(first, first + waiting) if there != "newest" else range(first, max(first - waiting, -5000), -1)
    expected = {str(i) for i in ids if 1 <= i <= files}
    most = min(waiting, math.ceil(files / PAGE) + 1)

    library, size = library_of(files, totals=totals), LibrarySize()
    seen, requests = look_in(library, ids, size=size)
    assert ids_seen(seen) == expected
    # The first look does not know the library's size yet; without a total it learns it by reading on.
    assert requests <= (most + 1 if totals else 2 * most + 1)
    for _ in range(3):
        seen, requests = look_in(library, ids, size=size)
        assert ids_seen(seen) == expected
        assert requests <= most

    # The poll of many keeps to it in each look, also in those that measure; what they leave out, the next finds.
    library, size, found = library_of(files, totals=totals), LibrarySize(), []
    for _ in range(2 * 20 + 2):
        seen, requests = look_in(library, ids, size=size, make_sure=False)
        found.append(ids_seen(seen))
        assert requests <= most
    assert found.count(expected) >= 2 * 19
    for this, following in pairwise(found):
        assert this | following == expected
    if totals:
        assert all(len(each) >= len(expected) - 1 for each in found)


def looks_in(library: FakeLibrary, ids: Any, size: LibrarySize, *, times: int) -> list[int]:
    return [look_in(library, ids, size=size)[1] for _ in range(times)]


@pytest.mark.parametrize("totals", [True, False])
def test_a_library_that_became_small_is_noticed_after_some_looks(*, totals: bool) -> None:
    library, size = library_of(200, totals=totals), LibrarySize()
    ids = range(5000, 5015)
    assert looks_in(library, ids, size, times=10)[1:] == [15] * 9
    del library.files[10:]
    assert looks_in(library, ids, size, times=20)[-5:] == [2] * 5


@pytest.mark.parametrize("totals", [True, False])
def test_the_size_is_measured_again_seldom(*, totals: bool) -> None:
    library, size = library_of(200, totals=totals), LibrarySize()
    requests = looks_in(library, range(5000, 5015), size, times=100)
    assert sum(count > 15 for count in requests) <= 5
    assert max(requests) <= (15 + 1 if totals else 2 * 15 + 1)


def test_a_look_of_the_poll_that_measures_asks_first_for_what_the_page_it_read_does_not_settle() -> None:
    library, size = library_of(200), LibrarySize()
    seen, requests = look_in(library, [*range(5000, 5014), 5], size=size, make_sure=False)
    assert (ids_seen(seen), requests) == ({"5"}, 15)


@pytest.mark.parametrize(("oldest", "most"), [(181, 2), (180, 3)])
def test_a_look_of_the_poll_reads_no_further_than_to_all_ids_but_one(oldest: int, most: int) -> None:
    """Of 20 ids, 200 to 182 are on the first two pages."""
    library = library_of(200, totals=False)
    seen, requests = look_in(library, [*range(200, 181, -1), oldest], make_sure=False)
    assert (len(seen.ids), requests) == (20, most)


def test_with_ids_that_are_text_nothing_is_settled_but_what_is_there() -> None:
    library = library_of(200, ids=(f"id-{number:03}" for number in range(200)))
    there, size = ["id-000", "id-001", "id-199"], LibrarySize()
    not_there = ["123", *(f"zz{number}" for number in range(8))]
    seen, requests = look_in(library, [*there, *not_there], size=size, make_sure=False)
    assert (ids_seen(seen), requests) == (set(there), 12)


def test_without_totals_more_ids_than_pages_were_read_make_it_read_on() -> None:
    """The list takes 14 pages and an empty one."""
    library, size = library_of(140, totals=False), LibrarySize()
    look_in(library, range(5000, 5012), size=size)
    assert looks_in(library, range(5000, 5020), size, times=3) == [15, 15, 15]


@pytest.mark.parametrize("totals", [True, False])
@pytest.mark.parametrize("files", [0, 1, 10, 11, 55, 100])
def test_names_cost_at_most_the_list_and_ids_come_along(files: int, *, totals: bool) -> None:
    library = library_of(files, totals=totals)
    seen, requests = look_in(library, [1, 7, 999], ["file 0", "file *", "nothing"])
    assert requests <= math.ceil(files / PAGE) + 1
    assert ids_seen(seen) == {str(i) for i in (1, 7) if i <= files}
    assert {name: len(found) for name, found in seen.names.items()} == ({"file 0": 1, "file *": files} if files else {})


@pytest.mark.parametrize(("files", "most"), [(100, 11), (101, 11), (9, 2), (0, 1)])
def test_with_a_total_names_cost_the_pages_and_in_doubt_an_empty_one(files: int, most: int) -> None:
    """A last page as long as those before it leaves a doubt: the total may be capped, or count the page."""
    assert look_in(library_of(files), names=["x"])[1] == most


@pytest.mark.parametrize("make_sure", [True, False])
def test_an_invalid_entry_fails_only_who_waits_for_it(*, make_sure: bool) -> None:
    library = library_of(25)
    library.files[3] |= {"size": -1}  # file 3, with the id 4
    library.files[7] |= {"url": {}}
    library.files[9] |= {"name": 9}
    seen, _ = look_in(library, [1, 25, *range(50, 70)], ["file 20", "file 1*"], make_sure=make_sure)
    assert ids_seen(seen) == {"1", "25"}
    assert [media.id for media in seen.names["file 1*"]] == [2, *range(11, 21)]
    if make_sure:
        with pytest.raises(MediaError, match="the list shows 'file 3', but size of the media 4 is not a whole number"):
            look_in(library, [*range(4, 8), *range(30, 50)])
        with pytest.raises(MediaError, match="the list shows 'file 7', but url of the media 8"):
            look_in(library, names=["file 20", "file 7"])
        return
    seen, _ = look_in(library, [*range(1, 30)], ["file 3", "file 9", "file 11"], make_sure=False)
    assert set(seen.failures) == {"4", "8", "10"}
    assert set(seen.name_failures) == {"file 3"}
    assert ids_seen(seen) == {str(media_id) for media_id in range(1, 26)} - {"4", "8", "10"}
    assert [media.id for media in seen.names["file 11"]] == [12]


def test_a_few_ids_are_asked_for_without_reading_the_list() -> None:
    library = library_of(100)
    look_in(library, [1, 2])
    assert library.calls == ["GET /1", "GET /2"]


def test_an_empty_library_costs_one_request_for_many_ids_and_two_for_two() -> None:
    size = LibrarySize()
    assert [look_in(library_of(0), range(waiting), size=size)[1] for waiting in (50, 50, 2, 1)] == [1, 1, 1, 1]
    assert look_in(library_of(0), range(2))[1] == 2


def test_new_files_are_found_on_the_first_page_whatever_the_librarys_size() -> None:
    library, size = library_of(100), LibrarySize()
    look_in(library, range(200, 220), size=size)
    assert look_in(library, range(95, 101), size=size)[1] == 6  # fewer ids than pages
    assert look_in(library, range(91, 101), size=LibrarySize())[1] == 1


def test_a_server_of_short_pages_is_judged_by_what_it_gives() -> None:
    """Asked for 10 files it gives 4; so the list takes 25 requests, and 20 ids are asked for one by one."""
    library = library_of(100)
    answer = library._page

    def page_of_four(params: dict[str, str]) -> Any:
        return answer({**params, "limit": "4"})

    library._page = page_of_four  # type: ignore[method-assign]
    size = LibrarySize()
    seen, requests = look_in(library, range(1, 21), size=size)
    assert (len(seen.ids), requests <= 22) == (20, True)
    assert look_in(library, range(1, 21), size=size)[1] == 20
    assert look_in(library, range(1, 31), size=size)[1] <= 25


def deleting(library: FakeLibrary, position: int, *, before_call: int) -> FakeLibrary:
    """Have a file deleted by somebody just before a call is answered."""

    def act(_: str) -> None:
        if len(library.calls) == before_call:
            del library.files[position]

    library.on_call = act
    return library


@pytest.mark.parametrize("name", ["file 10", "file 10*"])
def test_a_name_that_slips_past_when_another_file_is_deleted_is_found_by_a_second_walk(name: str) -> None:
    library = deleting(library_of(25), 0, before_call=2)
    seen, requests = look_in(library, names=[name, "file 5"])
    assert {found: [media.name for media in several] for found, several in seen.names.items()} == {
        name: ["file 10"],
        "file 5": ["file 5"],
    }
    assert requests == 6


def test_names_that_are_all_there_need_no_second_walk() -> None:
    assert look_in(deleting(library_of(25), 0, before_call=2), names=["file 5", "file 20"])[1] == 3


def test_the_poll_of_many_leaves_what_slips_past_to_its_next_look() -> None:
    library, size, seen = deleting(library_of(25), 0, before_call=2), LibrarySize(), LookupResult()
    library.run(look([], ["file 10"], size=size, seen=seen, make_sure=False))
    assert (seen.names, len(library.calls)) == ({}, 3)
    library.run(look([], ["file 10"], size=size, seen=seen, make_sure=False))
    assert (list(seen.names), len(library.calls)) == (["file 10"], 6)


@pytest.mark.parametrize("wanted", [{"ids": range(100, 120)}, {"names": ["nobody"]}])
def test_files_that_are_added_while_the_list_is_read_cost_no_second_walk(wanted: dict[str, Any]) -> None:
    library = library_of(25)
    library.on_call = lambda _: library.add("new") and None
    assert look_in(library, **wanted)[1] <= 3 + 1


def test_few_ids_that_slip_past_are_asked_for() -> None:
    """Newest first, 16 is the last of the first page, until 20 is deleted: then 15 is, and the second begins at 14."""
    library = deleting(library_of(25), 19, before_call=2)
    seen, requests = look_in(library, [*range(1, 20), 5000])
    assert ids_seen(seen) == {str(number) for number in range(1, 20)}
    assert requests == 3 + 2
    assert library.calls[3:] == ["GET /15", "GET /5000"]


def test_many_ids_that_may_have_slipped_past_are_looked_for_in_the_list_once_more() -> None:
    library = deleting(library_of(25), 19, before_call=2)
    seen, requests = look_in(library, [*range(1, 20), *range(5000, 5010)])
    assert ids_seen(seen) == {str(number) for number in range(1, 20)}
    assert requests == 3 + 3


def test_ids_beside_names_do_not_slip_past_either() -> None:
    library = deleting(library_of(25), 0, before_call=2)
    seen, requests = look_in(library, [11], ["file 5"])
    assert (ids_seen(seen), requests) == ({"11"}, 3 + 1)
    assert set(seen.names) == {"file 5"}


def test_however_much_is_deleted_the_list_is_read_twice_at_most() -> None:
    library = library_of(100)
    library.on_call = lambda _: library.files.pop(0) and None
    assert look_in(library, names=["nobody"])[1] <= 2 * 10


def test_a_total_that_counts_more_than_the_list_shows_costs_a_second_walk_only_once() -> None:
    library, size = library_of(25), LibrarySize()
    answer = library._page

    def page_with_a_total_too_high(params: dict[str, str]) -> Any:
        reply = answer(params)
        page = json.loads(reply.body or b"")
        return replace(reply, body=json.dumps(page | {"total": page["total"] + 3}).encode())

    library._page = page_with_a_total_too_high  # type: ignore[method-assign]
    assert [look_in(library, names=["nobody"], size=size)[1] for _ in range(3)] == [8, 4, 4]
    deleting(library, 0, before_call=len(library.calls) + 2)
    seen, requests = look_in(library, names=["file 10"], size=size)
    assert (list(seen.names), requests) == (["file 10"], 8)


def test_what_was_seen_before_a_failure_is_kept() -> None:
    library, seen = library_of(3), LookupResult()

    def fail(line: str) -> None:
        if line == "GET /2":
            raise MediaUnavailableError("It went wrong.")

    library.on_call = fail
    with pytest.raises(MediaError):
        library.run(look(["1", "2"], (), size=LibrarySize(), seen=seen))
    assert ids_seen(seen) == {"1"}


def failing(library: FakeLibrary, *lines: str, **problem: Any) -> FakeLibrary:
    def fail(line: str) -> None:
        if line in lines:
            raise MediaUnavailableError(f"{line} went wrong.", **problem)

    library.on_call = fail
    return library


@pytest.mark.parametrize("problem", [{"status": 400}, {"status": 500, "is_transient": True}])
def test_ids_that_fail_are_no_matter_of_the_others_in_the_poll_of_many(problem: dict[str, Any]) -> None:
    library = failing(library_of(100), "GET /7", "GET /8", **problem)
    size, seen = LibrarySize(requests=10), LookupResult()
    library.run(look(["7", "8", "3", "5000"], [], size=size, seen=seen, make_sure=False))
    assert (ids_seen(seen), set(seen.failures)) == ({"3"}, {"7", "8"})
    assert library.calls == ["GET /7", "GET /8", "GET /3", "GET /5000"]


def test_two_silences_end_the_poll_s_asking_and_count_for_all_who_were_not_asked_for() -> None:
    library = failing(library_of(100), "GET /7", "GET /8", is_transient=True)
    size, seen = LibrarySize(requests=10), LookupResult()
    library.run(look(["3", "7", "8", "5000"], [], size=size, seen=seen, make_sure=False))
    assert (ids_seen(seen), set(seen.failures)) == ({"3"}, {"7", "8", "5000"})


def test_where_none_has_an_answer_the_poll_tries_again_as_long_as_the_connection_says() -> None:
    library = failing(library_of(100), "GET /7", "GET /8", "GET /9", status=500, is_transient=True)
    size, seen, tried = LibrarySize(requests=10), LookupResult(), []
    answer = library.answer

    def note(call: ApiRequest) -> ApiResponse:
        tried.append((call.path, call.max_attempts))
        return answer(call)

    library.answer = note  # type: ignore[method-assign]
    library.run(look(["7", "8", "9"], [], size=size, seen=seen, make_sure=False))
    assert tried == [("/7", 1), ("/8", 1), ("/9", 1), ("/7", None), ("/8", None)]
    assert set(seen.failures) == {"7", "8", "9"}


def test_names_against_very_many_patterns_give_others_their_turns_between() -> None:
    library = library_of(100)
    look_in(library, names=[f"*{number}*" for number in range(3000)])
    assert library.pauses == [0] * 10
    library.pauses.clear()
    look_in(library, names=[f"*-{number}.jpg" for number in range(3000)])
    assert library.pauses == []


def test_an_id_is_not_taken_for_a_name_of_the_same_letters() -> None:
    library = library_of(3)
    seen, _ = look_in(library, [2], ["2", "file 2"])
    assert WaitCriteria(names=("2",)).satisfied_by(seen) == {}
    assert list(WaitCriteria(ids=("2",)).satisfied_by(seen)) == ["2"]
    assert list(WaitCriteria(names=("file 2",)).satisfied_by(seen)) == ["file 2"]


MEDIA = st.builds(
    Media,
    id=st.integers(0) | st.text(min_size=1),
    name=st.none() | st.text(),
    size=st.none() | st.integers(0),
    created_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)
FOUND = st.dictionaries(st.text(), st.lists(MEDIA, min_size=1, max_size=3), max_size=4)


@given(
    outcome=st.builds(
        WaitEvent,
        status=st.sampled_from(["found", "deadline", "failed"]),
        found=FOUND,
        error=st.none() | st.just("MediaAuthError"),
        message=st.none() | st.text(),
    )
)
def test_an_outcome_is_the_same_after_json(outcome: WaitEvent) -> None:
    assert WaitEvent.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


@given(found=FOUND)
def test_what_was_found_is_the_same_after_json(found: dict[str, list[Media]]) -> None:
    assert found_from_dicts(json.loads(json.dumps(found_to_dicts(found)))) == found


def test_an_outcome_without_the_newer_keys_is_read() -> None:
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
def test_an_event_that_makes_no_sense_is_refused(event: Any) -> None:
    with pytest.raises(MediaError, match="clear the task") as raised:
        WaitEvent.from_dict(event)
    assert type(raised.value) is MediaResponseError


def test_progress_names_what_is_there_and_what_is_missing_but_not_a_thousand() -> None:
    wanted = WaitCriteria(ids=tuple(map(str, range(1000))))
    told = wanted.progress({"0": [Media(id=0, created_at=datetime(2026, 1, 1, tzinfo=UTC))]})
    assert told.startswith("1 of 1000 there ('0'), missing: '1', '2'")
    assert told.endswith("'20' and 979 more")
    assert WaitCriteria(names=("a",)).progress({}) == "0 of 1 there (none), missing: 'a'"
