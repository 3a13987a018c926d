"""One whole file in the library, although a POST cannot be repeated blindly."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.protocol import Call, Reply
from airflow_provider_media._api.retry import Retries
from airflow_provider_media._api.upload_flow import Mark, look_for, take_mark, upload_media
from airflow_provider_media._api.upload_memory import NoMemory
from airflow_provider_media.models import Media, UploadResult
from tests.unit.helpers.fake_library import CLOCK, PNG, FakeLibrary, lost, make_upload

UPLOAD = make_upload()


def flow(upload: Any = UPLOAD, *, attempts: int = 4, settle_seconds: float = 6, **arguments: Any) -> Any:
    options = {
        "if_exists": "upload",
        "settle_seconds": settle_seconds,
        "retries": Retries(max_attempts=attempts, budget_seconds=100, clock=CLOCK),
        "before_delete": lambda _: None,
        "memory": NoMemory(),
    }
    return upload_media(upload, **(options | arguments))


def stores_and_loses(library: FakeLibrary) -> Any:
    def act(call: Call) -> Reply | None:
        library.store(call)
        raise lost()

    return act


def loses(*, cut_short: bool = False) -> Any:
    def act(call: Call) -> Reply | None:
        raise lost(cut_short=cut_short)

    return act


@given(st.builds(Mark, newest_id=st.none() | st.integers(0), namesakes=st.lists(st.text()).map(tuple)))
def test_a_mark_survives_json(mark: Mark) -> None:
    assert Mark.from_dict(json.loads(json.dumps(mark.to_dict()))) == mark


@pytest.mark.parametrize(
    ("mark", "media_id", "newer"),
    [
        (Mark(newest_id=7), 8, True),
        (Mark(newest_id=7), "8", True),
        (Mark(newest_id=7), 7, False),
        (Mark(newest_id=9), "10", True),
        (Mark(namesakes=("a",)), "a", False),
        (Mark(namesakes=("a",)), "b", True),
        (Mark(namesakes=("7",)), 7, False),
        (Mark(), 1, True),
    ],
)
def test_a_mark_tells_what_came_after_it(mark: Mark, media_id: int | str, *, newer: bool) -> None:
    assert mark.precedes(Media(id=media_id)) is newer


def test_the_mark_is_the_newest_id_and_takes_one_request() -> None:
    library = FakeLibrary()
    for _ in range(5):
        library.add()
    assert library.run(take_mark("banner")) == Mark(newest_id=5)
    assert library.calls == ["GET ?page=0&limit=2&sortBy=id&sortOrder=desc"]


def test_the_mark_of_an_empty_library_takes_everything_for_newer() -> None:
    assert FakeLibrary().run(take_mark("banner")) == Mark()


def test_the_mark_of_a_library_of_one_is_its_id_when_a_total_says_that_it_is_the_only_one() -> None:
    library = FakeLibrary()
    library.add("other")
    assert library.run(take_mark("banner")) == Mark(newest_id=1)


@pytest.mark.parametrize(
    "options",
    [
        {"ignores_order": True},
        {"ids": iter(["med_c", "med_a", "med_b"])},
        {"ids": iter(["9", "10", "8"])},  # as texts: whether the server sorts them as numbers is not known
    ],
)
def test_where_ids_have_no_known_order_the_mark_is_the_ids_that_bear_the_name(options: dict[str, Any]) -> None:
    library = FakeLibrary(**options)
    first, other, second = (library.add(name)["id"] for name in ("banner", "other", "banner"))
    mark = library.run(take_mark("banner"))
    assert (mark.newest_id, sorted(mark.namesakes)) == (None, sorted([str(first), str(second)]))
    assert str(other) not in mark.namesakes


def test_one_file_and_no_total_leave_open_whether_it_is_the_newest() -> None:
    library = FakeLibrary(totals=False)
    library.add("banner")
    assert library.run(take_mark("banner")) == Mark(namesakes=("1",))


def test_looking_stops_at_the_mark() -> None:
    library = FakeLibrary()
    for _ in range(1000):
        library.add("old")
    newer = library.add()
    assert [media.id for media in library.run(look_for(UPLOAD, Mark(newest_id=1000)))] == [newer["id"]]
    assert len(library.calls) <= 2


@pytest.mark.parametrize(
    "difference",
    [{"name": "other"}, {"size": len(PNG) + 1}, {"mimeType": "image/gif"}, {"id": 0}],
    ids=lambda difference: next(iter(difference)),
)
def test_what_differs_from_the_upload_is_not_taken_for_it(difference: dict[str, Any]) -> None:
    library = FakeLibrary()
    library.add(**difference)
    assert library.run(look_for(UPLOAD, Mark(newest_id=0))) == []


@pytest.mark.parametrize("left_out", ["size", "mimeType"])
def test_what_the_list_leaves_out_is_asked_for(left_out: str) -> None:
    library = FakeLibrary(list_leaves_out=(left_out,))
    library.add(name="other")
    library.add()
    library.add(size=1, mimeType="image/gif")
    assert [media.id for media in library.run(look_for(UPLOAD, Mark(newest_id=0)))] == [2]
    assert "GET /1" not in library.calls  # of another name: no need to ask


def test_a_candidate_that_is_deleted_while_it_is_asked_for_is_none() -> None:
    library = FakeLibrary(list_leaves_out=("size",))
    library.add()
    library.on_call = lambda line: library.files.clear() if line == "GET /1" else None
    assert library.run(look_for(UPLOAD, Mark(newest_id=0))) == []


def test_a_plain_upload_is_a_look_and_a_post() -> None:
    library = FakeLibrary()
    result = library.run(flow())
    media = Media(id=1, name="banner", mime_type="image/png", size=len(PNG), url="http://h/x")
    assert result == UploadResult(media=media, created=True)
    assert [line.partition(" ")[0] for line in library.calls] == ["GET", "POST"]
    assert library.contents == [PNG]


def test_a_rejected_key_is_met_before_the_body_is_sent() -> None:
    library = FakeLibrary()

    def reject(_line: str) -> None:
        raise Problem(Kind.AUTH, "the API key is rejected", status=401)

    library.on_call = reject
    with pytest.raises(Problem, match="rejected"):
        library.run(flow())
    assert library.posts() == 0


def test_a_file_stored_although_its_answer_was_lost_is_adopted_not_sent_again() -> None:
    library = FakeLibrary()
    library.add()
    library.on_post = [stores_and_loses(library)]
    result = library.run(flow())
    assert (result.media.id, result.created) == (2, True)
    assert (library.posts(), library.ids) == (1, [1, 2])


def test_a_file_with_text_ids_is_adopted_too() -> None:
    library = FakeLibrary(ids=iter(["med_z", "med_c", "med_a"]), totals=False)
    library.add()
    library.on_post = [stores_and_loses(library)]
    assert library.run(flow()).media.id == "med_c"
    assert library.posts() == 1


def test_an_older_equal_file_is_never_adopted() -> None:
    library = FakeLibrary()
    library.add()
    library.on_post = [loses()]
    assert library.run(flow()).media.id == 2
    assert library.posts() == 2


def test_an_older_equal_file_is_not_adopted_either_where_ids_of_digits_are_sorted_as_texts() -> None:
    library = FakeLibrary(ids=iter([str(number) for number in range(1, 20)]))
    for number in range(1, 13):
        library.add("banner" if number == 10 else "other")
    library.on_post = [loses()]
    assert library.run(flow()).media.id == "13"
    assert library.posts() == 2


def test_a_file_that_is_not_there_is_sent_again_only_after_the_settling_time() -> None:
    library = FakeLibrary()
    library.on_post = [loses()]
    assert library.run(flow(settle_seconds=6)).media.id == 1
    *looks, _before_resend = library.pauses
    assert sum(looks) == 6
    assert library.posts() == 2


@pytest.mark.parametrize(("settle_seconds", "all_waits"), [(6, 10), (30, 30)])
def test_the_wait_that_the_server_asks_for_comes_before_the_look_and_counts_as_settling_time(
    settle_seconds: float, all_waits: float, caplog: pytest.LogCaptureFixture
) -> None:
    library = FakeLibrary()
    asked = Problem(Kind.UNAVAILABLE, "Busy.", status=503, transient=True, maybe_acted=True, retry_after=10)

    def ask_to_wait(call: Call) -> Reply | None:
        raise asked

    library.on_post = [ask_to_wait]
    library.on_pause = lambda _: library.calls.append("wait")
    assert library.run(flow(settle_seconds=settle_seconds)).media.id == 1
    assert [line.partition(" ")[0] for line in library.calls][:4] == ["GET", "POST", "wait", "GET"]
    assert 10 <= library.pauses[0] <= 10.5
    assert all_waits <= round(sum(library.pauses), 3) <= all_waits + 0.5
    assert f"looking for it in {library.pauses[0]:.1f} s" in caplog.text
    assert library.posts() == 2


def test_the_line_of_a_second_attempt_says_how_long_the_wait_is_and_which_attempt_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = FakeLibrary()
    library.on_post = [loses(cut_short=True)]
    library.run(flow(attempts=4))
    (pause,) = library.pauses
    assert pause > 0
    line = f"The library does not have 'banner'; sending it again in {pause:.1f} s (attempt 2 of 4)"
    assert line in [record.getMessage() for record in caplog.records]


def test_a_file_that_shows_up_late_is_adopted_within_the_settling_time() -> None:
    library = FakeLibrary()
    library.on_post = [loses()]

    def appear(_seconds: float) -> None:
        if len(library.pauses) == 2:
            library.add()

    library.on_pause = appear
    assert library.run(flow(settle_seconds=30)).media.id == 1
    assert library.posts() == 1


def test_a_body_that_was_cut_short_cannot_be_stored_so_nothing_is_waited_for() -> None:
    library = FakeLibrary()
    library.on_post = [loses(cut_short=True)]
    assert library.run(flow(settle_seconds=30)).media.id == 1
    assert len(library.pauses) == 1
    assert library.posts() == 2


def test_even_a_body_that_was_cut_short_is_looked_for_once() -> None:
    library = FakeLibrary()
    library.on_post = [loses(cut_short=True)]
    library.run(flow())
    assert [line.partition(" ")[0] for line in library.calls] == ["GET", "POST", "GET", "POST", "GET"]


def test_two_files_that_could_both_be_it_are_a_conflict_that_names_them() -> None:
    library = FakeLibrary()

    def act(call: Call) -> Reply | None:
        library.store(call)
        library.add()
        raise lost()

    library.on_post = [act]
    with pytest.raises(Problem, match=r"1 \(32 bytes\), 2 \(32 bytes\) could both be it") as raised:
        library.run(flow())
    assert raised.value.kind is Kind.CONFLICT
    assert (library.posts(), library.ids) == (1, [1, 2])


def test_when_the_looking_fails_too_nothing_is_sent_again() -> None:
    library = FakeLibrary()

    def act(call: Call) -> Reply | None:
        def fail(_line: str) -> None:
            raise Problem(Kind.UNAVAILABLE, "down", transient=True)

        library.on_call = fail
        raise lost()

    library.on_post = [act]
    with pytest.raises(Problem, match="the connection broke"):
        library.run(flow())
    assert library.posts() == 1


def test_a_look_that_fails_once_is_repeated() -> None:
    library = FakeLibrary()
    library.on_post = [stores_and_loses(library)]
    failures = iter([False, False, True])

    def fail_sometimes(_line: str) -> None:
        if next(failures, False):
            raise Problem(Kind.UNAVAILABLE, "down", transient=True)

    library.on_call = fail_sometimes
    assert library.run(flow()).media.id == 1
    assert library.posts() == 1


def fails_from_now_on(library: FakeLibrary, *, each_takes: float = 0) -> None:
    def fail(_line: str) -> None:
        CLOCK.now += each_takes
        raise Problem(Kind.UNAVAILABLE, "down", transient=True)

    library.on_call = fail


def test_the_time_that_looks_take_counts_as_time_to_settle() -> None:
    library = FakeLibrary()

    def act(call: Call) -> Reply | None:
        fails_from_now_on(library, each_takes=4)
        raise lost()

    library.on_post = [act]
    began = CLOCK.now
    with pytest.raises(Problem, match="the connection broke"):
        library.run(flow(settle_seconds=10))
    assert 10 <= CLOCK.now - began <= 10 + 4


def test_a_look_that_saw_nothing_before_the_settling_time_was_over_is_not_the_last() -> None:
    library = FakeLibrary()
    library.on_post = [loses()]

    def look_slowly(_line: str) -> None:
        if library.posts():
            CLOCK.now += 4  # while which the file is stored
            library.on_call = lambda _: library.ids or library.add()

    library.on_call = look_slowly
    assert library.run(flow(settle_seconds=3)).media.id == 1
    assert library.posts() == 1


def test_all_looks_after_a_lost_answer_share_tries_with_what_is_left_of_the_budget() -> None:
    library = FakeLibrary()
    seen: list[Any] = []
    answer = library.answer

    def note(call: Call) -> Reply:
        seen.append(call)
        return answer(call)

    library.answer = note  # type: ignore[method-assign]
    library.on_post = [loses()]
    library.run(flow(settle_seconds=6))
    mark, post, *looks, second_post, strays = seen
    assert mark.retries is None
    assert post.retries is second_post.retries
    assert len({id(look.retries) for look in looks}) == 1
    assert looks[0].retries is not post.retries
    assert looks[0].retries.seconds_left == strays.retries.seconds_left == post.retries.seconds_left < 100


def test_when_the_settling_used_up_the_budget_the_file_is_not_sent_again() -> None:
    library = FakeLibrary()
    library.on_post = [loses()] * 9
    with pytest.raises(Problem, match="the connection broke"):
        library.run(flow(settle_seconds=60))
    assert library.posts() == 2


def test_the_attempts_of_a_post_are_bounded_and_the_last_is_looked_for_as_well() -> None:
    library = FakeLibrary()
    library.on_post = [loses()] * 2 + [stores_and_loses(library)]
    assert library.run(flow(attempts=3)).media.id == 1
    library = FakeLibrary()
    library.on_post = [loses()] * 9
    with pytest.raises(Problem, match="the connection broke"):
        library.run(flow(attempts=3))
    assert library.posts() == 3


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.AUTH, Kind.RATE_LIMIT, Kind.FILE])
def test_a_refusal_that_stored_nothing_is_passed_on_without_looking(kind: Kind) -> None:
    library = FakeLibrary()

    def refuse(call: Call) -> Reply | None:
        raise Problem(kind, "refused")

    library.on_post = [refuse]
    with pytest.raises(Problem, match="refused"):
        library.run(flow())
    assert len(library.calls) == 2


def test_an_answer_that_makes_no_sense_is_a_lost_one() -> None:
    library = FakeLibrary()

    def act(call: Call) -> Reply | None:
        library.store(call)
        return Reply(status=200, headers={}, body=b"<html>")

    library.on_post = [act]
    assert library.run(flow()).media.id == 1
    library.on_post = [lambda _: Reply(status=200, headers={}, body=b"<html>")]
    with pytest.raises(Problem, match="it is not JSON"):
        library.run(flow())
    assert library.posts() == 2


def test_an_attempt_that_was_stored_late_is_told_and_not_deleted(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()

    def store_first_one_late(call: Call) -> Reply | None:
        library.store(call)
        return None

    library.on_post = [loses(), store_first_one_late]
    with caplog.at_level(logging.WARNING):
        assert library.run(flow()).media.id == 2
    assert library.ids == [1, 2]
    assert "An earlier attempt was stored late: 1 (32 bytes) equal 2; nothing is deleted" in caplog.text


def test_without_a_doubt_nothing_is_said_about_strays(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()
    library.run(flow())
    assert len(library.calls) == 2
    assert caplog.records == []


def test_a_stored_size_that_differs_is_an_error_that_names_the_id() -> None:
    library = FakeLibrary()
    library.upload_changes = {"size": 31}
    with pytest.raises(Problem, match="stored as 1, but the library says 31 bytes where 32 were sent") as raised:
        library.run(flow())
    assert (raised.value.kind, raised.value.transient) == (Kind.RESPONSE, False)


def test_a_changed_name_is_only_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()
    library.upload_changes = {"name": "banner-1"}
    assert library.run(flow()).media.name == "banner-1"
    assert "stored 'banner' under another name: 'banner-1'" in caplog.text


@pytest.mark.parametrize("missing", ["size", "url"])
def test_what_the_answer_leaves_out_is_asked_for(missing: str) -> None:
    library = FakeLibrary()
    library.upload_changes = {missing: None}
    media = library.run(flow()).media
    assert (media.size, media.url) == (len(PNG), "http://h/x")
    assert library.calls[-1] == "GET /1"
