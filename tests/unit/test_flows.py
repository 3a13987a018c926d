"""Requests that follow one another: walking the list, finding, getting, deleting."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api import flows
from airflow_provider_media._api.flows import (
    Paginator,
    delete_media,
    find_media,
    get_media,
    id_number,
    list_all,
    oldest_first,
)
from airflow_provider_media._api.protocol import ApiRequest, ApiResponse
from airflow_provider_media.exceptions import (
    Delivery,
    MediaAuthError,
    MediaError,
    MediaNotFoundError,
    MediaResponseError,
)
from airflow_provider_media.models import Media
from tests.unit.helpers.fake_library import FakeLibrary


def page_of(ids: list[Any], **envelope: Any) -> ApiResponse:
    return ApiResponse(
        status=200, headers={}, body=json.dumps({"items": [{"id": i} for i in ids], **envelope}).encode()
    )


def walked(walk: Paginator, pages: list[ApiResponse]) -> list[int | str]:
    """Feed the pages in turn, and nothing but empty ones after them; return the ids."""
    found: list[int | str] = []
    for number in range(len(pages) + 2):
        if walk.next_request is None:
            break
        assert dict(walk.next_request.params)["page"] == str(number)
        found += [media.id for media in walk.feed(pages[number] if number < len(pages) else page_of([]))]
    assert walk.next_request is None
    return found


def test_empty_library_takes_one_request() -> None:
    walk = Paginator()
    assert walk.feed(page_of([])) == ()
    assert walk.next_request is None
    assert walk.feed(page_of([1])) == ()


def test_short_page_ends_the_list_if_the_total_agrees() -> None:
    walk = Paginator(page_size=3)
    walk.feed(page_of([1, 2, 3], total=5))
    walk.feed(page_of([4, 5], total=5))
    assert walk.next_request is None


WRONG_TOTALS = {
    "counts the page": lambda page, seen: len(page),
    "counts what was seen": lambda page, seen: seen,
    "is capped": lambda page, seen: min(seen, 4),
    "is the cap": lambda page, seen: 4,
    "is zero": lambda page, seen: 0,
    "is negative": lambda page, seen: -1,
    "is too large": lambda page, seen: 99,
    "is a string": lambda page, seen: str(len(page)),
    "is nonsense": lambda page, seen: "many",
}


@pytest.mark.parametrize("key", ["totalElements", "total", "count"])
@pytest.mark.parametrize("size", [2, 4, 1000], ids=["full pages", "half pages", "short pages"])
@pytest.mark.parametrize("wrong", WRONG_TOTALS.values(), ids=WRONG_TOTALS)
def test_wrong_total_does_not_truncate_the_list(wrong: Any, size: int, key: str) -> None:
    ids = [[1, 2], [3, 4], [5, 6], [7, 8]]
    pages = [page_of(page, **{key: wrong(page, 2 * number)}) for number, page in enumerate(ids, start=1)]
    assert walked(Paginator(page_size=size), pages) == list(range(1, 9))


def test_repeated_last_page_ends_the_list_if_the_total_agrees() -> None:
    walk = Paginator(page_size=10)
    assert [len(walk.feed(page_of([1, 2, 3], total=3))) for _ in range(2)] == [3, 0]
    assert walk.next_request is None


def test_total_that_is_too_large_costs_one_more_listing() -> None:
    library = FakeLibrary()
    for number in range(3):
        library.add(f"file {number}")
    respond = library.respond
    library.respond = lambda call: counting(respond(call), 9)  # type: ignore[method-assign]
    assert [media.id for media in library.run(list_all())] == [1, 2, 3]
    assert len(library.calls) == 4


def counting(reply: ApiResponse, total: int) -> ApiResponse:
    value = json.loads(reply.body)
    entries = value if isinstance(value, list) else next(filter(lambda one: isinstance(one, list), value.values()))
    return ApiResponse(status=200, headers={}, body=json.dumps({"content": entries, "totalElements": total}).encode())


def test_invalid_entries_count_for_the_total() -> None:
    walk = Paginator(page_size=2)
    walk.feed(page_of([1, 2], total=3))
    assert walk.feed(page_of([None], total=3)) == ()
    assert walk.next_request is None
    assert not walk.may_have_missed


def test_page_with_only_an_invalid_entry_does_not_end_the_list() -> None:
    assert walked(Paginator(page_size=1), [page_of([2]), page_of([None]), page_of([1])]) == [2, 1]


@pytest.mark.parametrize(("name", "fails"), [("banner", True), ("17", True), ("other", False), ("banner ", False)])
@pytest.mark.parametrize("find", [find_media, lambda name: list_all(name.__eq__)], ids=["find", "list"])
def test_invalid_entry_fails_only_lookups_of_its_name(find: Any, name: str, *, fails: bool) -> None:
    entries = [{"id": 1, "name": "banner", "size": -1}, {"id": 2, "name": 17}, {"id": 3, "name": "other"}]
    flow = find(name)
    next(flow)
    reply = ApiResponse(status=200, headers={}, body=json.dumps({"content": entries, "total": 3}).encode())
    if fails:
        with pytest.raises(
            MediaError, match=rf"Invalid list entry '{name}': (size|name) of media . is not a"
        ) as raised:
            flow.send(reply)
        assert (type(raised.value), raised.value.is_transient) == (MediaResponseError, False)
    else:
        flow.send(reply)


@pytest.mark.parametrize("envelope", [{}, {"total": 4}])
def test_a_short_page_does_not_end_the_list_by_itself(envelope: dict[str, int]) -> None:
    assert walked(Paginator(page_size=10), [page_of([1, 2, 3], **envelope), page_of([4], **envelope)]) == [1, 2, 3, 4]


def test_empty_page_ends_the_list_despite_a_larger_total() -> None:
    assert walked(Paginator(), [page_of([1], total=99), page_of([], total=99)]) == [1]


def test_a_full_page_with_its_own_count_does_not_end_the_list() -> None:
    assert walked(Paginator(page_size=2), [page_of([1, 2], count=2), page_of([3, 4], count=2)]) == [1, 2, 3, 4]


def test_no_id_is_returned_twice_as_number_and_string() -> None:
    pages = [page_of([1, 2, 2]), page_of([2, "1", 3]), page_of(["3", 4])]
    assert walked(Paginator(), pages) == [1, 2, 3, 4]


def test_files_added_during_the_listing_do_not_end_it_early() -> None:
    """Newest first, each page repeats what the new files pushed down; two pages in a row may bring nothing new."""
    pages = [page_of([9, 8]), page_of([9, 8]), page_of([9, 8]), page_of([7, 6])]
    assert walked(Paginator(page_size=2), pages) == [9, 8, 7, 6]


def test_a_server_that_ignores_the_page_number_is_noticed() -> None:
    with pytest.raises(MediaError, match="seems to ignore the page number") as raised:
        walked(Paginator(page_size=2), [page_of([1, 2])] * 10)
    assert type(raised.value) is MediaResponseError
    assert not raised.value.is_transient


def test_pages_have_the_requested_order_and_size() -> None:
    call = Paginator(page_size=7, sort_by="name", sort_order="desc").next_request
    assert call is not None
    assert call.params == (("page", "0"), ("limit", "7"), ("sortBy", "name"), ("sortOrder", "desc"))


@given(data=st.data(), ids=st.lists(st.integers(0, 10**6) | st.text("abc_", min_size=1), unique_by=str, max_size=40))
def test_each_id_is_listed_once_for_any_page_split(data: st.DataObject, ids: list[Any]) -> None:
    size = data.draw(st.integers(1, 8), label="page size")
    with_total = data.draw(st.booleans(), label="with total")
    pages: list[ApiResponse] = []
    start = 0
    while start < len(ids):
        taken = data.draw(st.integers(1, size), label="items on the page")
        overlap = data.draw(st.integers(0, min(2, start, size - 1)), label="items again")
        shown = ids[start - overlap : start + taken][:size]
        pages.append(page_of(shown, **({"totalCount": len(ids)} if with_total else {})))
        start += len(shown) - overlap
    assert walked(Paginator(page_size=size), pages) == ids


def test_library_is_listed_by_ascending_id() -> None:
    library = FakeLibrary()
    for number in range(2500):
        library.add(f"file {number}")
    assert [media.id for media in library.run(list_all())] == list(range(1, 2501))
    assert library.calls == [f"GET ?page={n}&limit=1000&sortBy=id&sortOrder=asc" for n in range(3)]


def test_only_files_of_exactly_the_name_are_found_oldest_first() -> None:
    library = FakeLibrary(ignores_order=True, ids=iter([12, 3, 100, 4]))
    for name in ("banner", "banner", "banner", "Banner"):
        library.add(name)
    assert [media.id for media in library.run(find_media("banner"))] == [3, 12, 100]


def test_get_requests_by_id_and_raises_its_error() -> None:
    library = FakeLibrary()
    library.add("a")
    assert library.run(get_media("1")).name == "a"
    with pytest.raises(MediaError, match="no such file"):
        library.run(get_media(2))
    assert library.calls == ["GET /1", "GET /2"]


def test_a_missing_file_cannot_be_deleted() -> None:
    with pytest.raises(MediaError, match="no such file"):
        FakeLibrary().run(delete_media(1))


def test_404_after_a_lost_response_means_the_delete_succeeded() -> None:
    flow = delete_media(1)
    next(flow)
    gone = MediaNotFoundError("no such file", status=404)
    gone.delivery = Delivery.UNKNOWN
    with pytest.raises(StopIteration):
        flow.throw(gone)


def test_other_failure_after_a_lost_response_is_raised() -> None:
    flow = delete_media(1)
    next(flow)
    refused = MediaAuthError("key rejected", status=401)
    refused.delivery = Delivery.UNKNOWN
    with pytest.raises(MediaError, match="key rejected"):
        flow.throw(refused)


def moment(day: int) -> datetime:
    return datetime(2026, 3, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("found", "ids"),
    [
        ([], []),
        ([Media(id=10), Media(id="9"), Media(id=2)], [2, "9", 10]),
        ([Media(id="c", created_at=moment(2)), Media(id="a", created_at=moment(1))], ["a", "c"]),
        ([Media(id=3, created_at=moment(1)), Media(id=1, created_at=moment(2))], [1, 3]),
        ([Media(id=3, created_at=moment(2)), Media(id="x", created_at=moment(1))], ["x", 3]),
        ([Media(id="c", created_at=moment(2)), Media(id="a")], ["c", "a"]),
        ([Media(id="c"), Media(id="a")], ["c", "a"]),
    ],
)
def test_oldest_first_sorts_by_number_then_date_then_list_order(found: list[Media], ids: list[int | str]) -> None:
    assert [media.id for media in oldest_first(found)] == ids


@pytest.mark.parametrize(("media_id", "number"), [(7, 7), ("07", 7), ("med_7", None), ("-7", None), ("7²", None)])
def test_an_id_is_a_number_when_it_is_digits(media_id: int | str, number: int | None) -> None:
    assert id_number(media_id) == number


def test_id_of_thousands_of_digits_is_not_a_number() -> None:
    assert id_number("9" * 5000) is None


def test_list_is_read_again_after_a_deletion_during_the_listing() -> None:
    """Files behind the deleted one move to the page before, which was read already."""
    ids = list(range(1, 2501))

    def respond(call: ApiRequest) -> ApiResponse:
        asked = dict(call.params)
        start = int(asked["page"]) * int(asked["limit"])
        page = [{"id": number} for number in ids[start : start + int(asked["limit"])]]
        body = json.dumps({"content": page, "totalElements": len(ids)}).encode()
        if start == 0 and 5 in ids:
            ids.remove(5)  # between the first page and the second
        return ApiResponse(status=200, headers={}, body=body)

    flow = list_all()
    call = next(flow)
    while True:
        try:
            call = flow.send(respond(call))  # type: ignore[arg-type]
        except StopIteration as end:
            found = [media.id for media in end.value]
            break
    assert found == ids


def test_a_list_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page has a new file, and nothing states a total."""
    monkeypatch.setattr(flows, "MAX_PAGES", 20)
    with pytest.raises(MediaResponseError, match=r"does not end within 20 pages \(20 files\)"):
        walked(Paginator(), [page_of([number]) for number in range(100)])
