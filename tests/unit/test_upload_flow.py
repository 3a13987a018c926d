"""Test that an upload stores one file, although a POST must not be repeated blindly."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.protocol import ApiRequest, ApiResponse
from airflow_provider_media._api.retry import RetryState
from airflow_provider_media._upload.checkpoint import RecentUploads
from airflow_provider_media._upload.flow import find_new_matches, upload_media
from airflow_provider_media.exceptions import (
    Delivery,
    MediaAuthError,
    MediaConflictError,
    MediaError,
    MediaFileError,
    MediaNotFoundError,
    MediaRateLimitError,
    MediaRequestError,
    MediaResponseError,
    MediaUnavailableError,
)
from airflow_provider_media.models import Media, UploadResult
from tests.unit.helpers.fake_library import CLOCK, PNG, FakeLibrary, lost, make_upload

UPLOAD = make_upload()
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def flow(upload: Any = UPLOAD, *, attempts: int = 4, settle_seconds: float = 6, **arguments: Any) -> Any:
    options = {
        "if_exists": "upload",
        "settle_seconds": settle_seconds,
        "retries": RetryState(max_attempts=attempts, budget_seconds=100, clock=CLOCK),
        "before_delete": lambda _: None,
        "state": None,
        "recent": RecentUploads(settle_seconds=0),
    }
    return upload_media(upload, **(options | arguments))


def stores_and_loses(library: FakeLibrary) -> Any:
    def act(call: ApiRequest) -> ApiResponse | None:
        library.store(call)
        raise lost()

    return act


def loses(*, cut_short: bool = False) -> Any:
    def act(call: ApiRequest) -> ApiResponse | None:
        raise lost(cut_short=cut_short)

    return act


@pytest.mark.parametrize(
    "difference",
    [{"name": "other"}, {"size": len(PNG) + 1}, {"mimeType": "image/gif"}, {"id": 0}],
    ids=lambda difference: next(iter(difference)),
)
def test_matches_rejects_files_that_differ(difference: dict[str, Any]) -> None:
    library = FakeLibrary()
    library.add(**difference)
    assert library.run(find_new_matches(UPLOAD, Baseline(newest_id=0, is_complete=False))) == []


@pytest.mark.parametrize("left_out", ["size", "mimeType"])
def test_details_omitted_by_the_list_are_fetched(left_out: str) -> None:
    library = FakeLibrary(list_leaves_out=(left_out,))
    library.add(name="other")
    library.add()
    library.add(size=1, mimeType="image/gif")
    assert [media.id for media in library.run(find_new_matches(UPLOAD, Baseline(newest_id=0, is_complete=False)))] == [
        2
    ]
    assert "GET /1" not in library.calls  # has another name


def test_a_candidate_deleted_during_the_lookup_is_skipped() -> None:
    library = FakeLibrary(list_leaves_out=("size",))
    library.add()
    library.on_call = lambda line: library.files.clear() if line == "GET /1" else None
    assert library.run(find_new_matches(UPLOAD, Baseline(newest_id=0, is_complete=False))) == []


def test_plain_upload_takes_a_list_and_a_post() -> None:
    library = FakeLibrary()
    result = library.run(flow())
    media = Media(id=1, name="banner", mime_type="image/png", size=len(PNG), url="http://h/x")
    assert result == UploadResult(media=media, created=True)
    assert [line.partition(" ")[0] for line in library.calls] == ["GET", "POST"]
    assert library.contents == [PNG]


def test_a_rejected_key_fails_before_the_body_is_sent() -> None:
    library = FakeLibrary()

    def reject(_line: str) -> None:
        raise MediaAuthError("the API key is rejected", status=401)

    library.on_call = reject
    with pytest.raises(MediaError, match="rejected"):
        library.run(flow())
    assert library.posts() == 0


def test_a_file_stored_despite_a_lost_response_is_adopted() -> None:
    library = FakeLibrary()
    library.add()
    library.on_post = [stores_and_loses(library)]
    result = library.run(flow())
    assert (result.media.id, result.created) == (2, True)
    assert (library.posts(), library.ids) == (1, [1, 2])


def test_a_file_with_a_string_id_is_adopted() -> None:
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


def test_an_older_equal_file_is_not_adopted_with_digit_string_ids() -> None:
    library = FakeLibrary(ids=iter([str(number) for number in range(1, 20)]))
    for number in range(1, 13):
        library.add("banner" if number == 10 else "other")
    library.on_post = [loses()]
    assert library.run(flow()).media.id == "13"
    assert library.posts() == 2


def sharded(count: int) -> Any:
    """Yield the ids of two shards with a counter each; the first half of the files is on the upper shard."""
    upper = [2 * 10**12 + number for number in range(count)]
    return iter([*upper[: count // 2], *(10**12 + number for number in range(count))])


@pytest.mark.parametrize(
    ("ids", "count"),
    [
        (lambda: sharded(400), 200),
        (lambda: iter([(number * 7919) % 10_007 for number in range(1, 500)]), 200),
        (lambda: iter(range(10**6, 0, -1)), 200),
        (lambda: iter([*range(1, 150), 10**15, *range(150, 500)]), 200),
        (lambda: iter([*range(1, 200), 10**15, *range(200, 500)]), 200),
        (lambda: iter([*range(1, 200), "med_a", *range(200, 500)]), 120),
    ],
    ids=["sharded", "random", "down", "one imported", "imported just now", "a string after integers"],
)
def test_a_file_with_an_id_below_the_greatest_is_found(ids: Any, count: int) -> None:
    """It is not uploaded again, nor confused with an older file of the same name and size."""
    library = FakeLibrary(ids=ids())
    for number in range(count):
        name = "banner" if number in (3, count - 3) else "other"
        library.add(name, createdAt=(NOON + timedelta(seconds=number)).isoformat())

    def store_and_lose(call: ApiRequest) -> ApiResponse | None:
        library.store(call)["createdAt"] = datetime.now(UTC).isoformat()
        raise lost()

    library.on_post = [store_and_lose]
    assert library.run(flow()).media.id == library.ids[-1]
    assert library.posts() == 1


def test_upload_retries_only_after_the_settling_time() -> None:
    library = FakeLibrary()
    library.on_post = [loses()]
    assert library.run(flow(settle_seconds=6)).media.id == 1
    *lookup_delays, _retry_delay = library.pauses
    assert sum(lookup_delays) == 6
    assert library.posts() == 2


@pytest.mark.parametrize(("settle_seconds", "all_waits"), [(6, 10), (30, 30)])
def test_retry_after_precedes_the_lookup_and_counts_as_settling_time(
    settle_seconds: float, all_waits: float, caplog: pytest.LogCaptureFixture
) -> None:
    library = FakeLibrary()
    asked = MediaUnavailableError("Busy.", status=503, is_transient=True, delivery=Delivery.UNKNOWN, retry_after=10)

    def ask_to_wait(call: ApiRequest) -> ApiResponse | None:
        raise asked

    library.on_post = [ask_to_wait]
    library.on_pause = lambda _: library.calls.append("wait")
    assert library.run(flow(settle_seconds=settle_seconds)).media.id == 1
    assert [line.partition(" ")[0] for line in library.calls][:4] == ["GET", "POST", "wait", "GET"]
    assert 10 <= library.pauses[0] <= 10.5
    assert all_waits <= round(sum(library.pauses), 3) <= all_waits + 0.5
    assert f"checking the library in {library.pauses[0]:.1f} s" in caplog.text
    assert library.posts() == 2


def test_retry_log_line_has_delay_and_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = FakeLibrary()
    library.on_post = [loses(cut_short=True)]
    library.run(flow(attempts=4))
    (pause,) = library.pauses
    assert pause > 0
    line = f"The library does not have 'banner'; uploading it again in {pause:.1f} s (attempt 2 of 4)"
    assert line in [record.getMessage() for record in caplog.records]


def test_a_late_file_is_adopted_within_the_settling_time() -> None:
    library = FakeLibrary()
    library.on_post = [loses()]

    def appear(_seconds: float) -> None:
        if len(library.pauses) == 2:
            library.add()

    library.on_pause = appear
    assert library.run(flow(settle_seconds=30)).media.id == 1
    assert library.posts() == 1


def test_a_truncated_body_needs_no_settling_time() -> None:
    library = FakeLibrary()
    library.on_post = [loses(cut_short=True)]
    assert library.run(flow(settle_seconds=30)).media.id == 1
    assert len(library.pauses) == 1
    assert library.posts() == 2


def test_a_truncated_body_is_checked_once() -> None:
    library = FakeLibrary()
    library.on_post = [loses(cut_short=True)]
    library.run(flow())
    methods = "".join(line[0] for line in library.calls)
    assert methods == "GPGPGG"  # the last G: an empty page, because the total of a library of one may count the page


def by_api(status: int = 502, **details: Any) -> MediaError:
    """Return an error that the API documents for its storage."""
    options = {"status": status, "is_transient": True, "delivery": Delivery.UNKNOWN, "is_from_api": True, **details}
    return MediaUnavailableError(f"Could not upload: HTTP {status}.", **options)


def fails(problem: MediaError) -> Any:
    def act(_call: ApiRequest) -> ApiResponse | None:
        raise problem

    return act


@pytest.mark.parametrize("status", [500, 502, 503])
def test_the_first_documented_failure_waits_three_seconds(status: int) -> None:
    library = FakeLibrary()
    library.on_post = [fails(by_api(status))]
    started = CLOCK.now
    assert library.run(flow(settle_seconds=30)).media.id == 1
    assert library.pauses == [1, 2, 0]
    assert CLOCK.now - started == 3
    assert library.posts() == 2


def test_each_lookup_finds_a_file_stored_despite_an_error() -> None:
    for pauses in (0, 1, 2):
        library = FakeLibrary()
        library.on_post = [fails(by_api())]

        def store_late(_seconds: float, library: FakeLibrary = library, at: int = pauses) -> None:
            if len(library.pauses) == at:
                library.add()

        library.on_pause = store_late
        if not pauses:
            library.on_post = [lambda call, library=library: library.store(call) and fails(by_api())(call)]
        assert library.run(flow(settle_seconds=30)).media.id == 1
        assert (library.posts(), len(library.pauses)) == (1, pauses)


@pytest.mark.parametrize(
    "problems",
    [
        [by_api(is_from_api=False)],
        [by_api(504)],
        [by_api(408)],
        [lost()],
        [lost(), by_api()],
        [by_api(), by_api()],
    ],
    ids=["a proxy's page", "504", "408", "a lost response", "after another", "the second"],
)
def test_other_failures_wait_the_whole_settling_time(problems: list[MediaError]) -> None:
    library = FakeLibrary()
    library.on_post = [*map(fails, problems)]
    assert library.run(flow(settle_seconds=30)).media.id == 1
    assert sum(library.pauses) >= 30
    assert library.posts() == 1 + len(problems)


@pytest.mark.parametrize(("listed", "gettable", "seconds"), [(True, True, 3), (False, True, 30), (False, False, 3)])
def test_lists_known_to_lag_wait_the_whole_settling_time(seconds: float, *, listed: bool, gettable: bool) -> None:
    library = FakeLibrary()
    latest = library.add("stored lately")
    library.on_post = [fails(by_api())]
    respond = library.respond

    def lagging(call: ApiRequest) -> ApiResponse:
        shown = library.files
        if (not call.path and not listed and call.method == "GET") or (call.path and not gettable):
            library.files = [media for media in shown if media is not latest]
        try:
            return respond(call)
        finally:
            library.files = shown

    library.respond = lagging  # type: ignore[method-assign]
    started = CLOCK.now
    recent = RecentUploads(settle_seconds=30)
    recent.add("stored lately", latest["id"])
    library.run(flow(settle_seconds=30, recent=recent))
    assert CLOCK.now - started == pytest.approx(seconds, abs=1)


def test_lookup_follows_retry_after() -> None:
    library = FakeLibrary()
    library.on_post = [fails(by_api(retry_after=8.0))]
    started = CLOCK.now
    library.run(flow(settle_seconds=30))
    assert 8 <= CLOCK.now - started < 9
    assert library.posts() == 2


def test_two_files_that_could_both_be_it_are_a_conflict() -> None:
    library = FakeLibrary()

    def act(call: ApiRequest) -> ApiResponse | None:
        library.store(call)
        library.add()
        raise lost()

    library.on_post = [act]
    with pytest.raises(MediaError, match=r"1 \(32 bytes\), 2 \(32 bytes\) could both be it") as raised:
        library.run(flow())
    assert type(raised.value) is MediaConflictError
    assert (library.posts(), library.ids) == (1, [1, 2])


def test_upload_does_not_retry_if_the_lookup_fails() -> None:
    library = FakeLibrary()

    def act(call: ApiRequest) -> ApiResponse | None:
        def fail(_line: str) -> None:
            raise MediaUnavailableError("down", is_transient=True)

        library.on_call = fail
        raise lost()

    library.on_post = [act]
    with pytest.raises(MediaError, match="the connection broke"):
        library.run(flow())
    assert library.posts() == 1


def test_a_failed_lookup_is_retried() -> None:
    library = FakeLibrary()
    library.on_post = [stores_and_loses(library)]
    failures = iter([False, False, True])

    def fail_sometimes(_line: str) -> None:
        if next(failures, False):
            raise MediaUnavailableError("down", is_transient=True)

    library.on_call = fail_sometimes
    assert library.run(flow()).media.id == 1
    assert library.posts() == 1


def fails_from_now_on(library: FakeLibrary, *, each_takes: float = 0) -> None:
    def fail(_line: str) -> None:
        CLOCK.now += each_takes
        raise MediaUnavailableError("down", is_transient=True)

    library.on_call = fail


def test_duration_of_lookups_counts_as_settling_time() -> None:
    library = FakeLibrary()

    def act(call: ApiRequest) -> ApiResponse | None:
        fails_from_now_on(library, each_takes=4)
        raise lost()

    library.on_post = [act]
    began = CLOCK.now
    with pytest.raises(MediaError, match="the connection broke"):
        library.run(flow(settle_seconds=10))
    assert 10 <= CLOCK.now - began <= 10 + 4


def test_the_last_lookup_follows_the_settling_time() -> None:
    library = FakeLibrary()
    library.on_post = [loses()]

    def respond_slowly(_line: str) -> None:
        if library.posts():
            CLOCK.now += 4  # the file is stored in this time
            library.on_call = lambda _: library.ids or library.add()

    library.on_call = respond_slowly
    assert library.run(flow(settle_seconds=3)).media.id == 1
    assert library.posts() == 1


def test_lookups_share_attempts_and_the_remaining_budget() -> None:
    library = FakeLibrary()
    seen: list[Any] = []
    respond = library.respond

    def note(call: ApiRequest) -> ApiResponse:
        seen.append(call)
        return respond(call)

    library.respond = note  # type: ignore[method-assign]
    library.on_post = [loses()]
    library.run(flow(settle_seconds=6))
    baseline, post, *lookups, second_post, duplicates, _ = seen
    assert baseline.retry_state is None
    assert post.retry_state is second_post.retry_state
    assert len({id(lookup.retry_state) for lookup in lookups}) == 1
    assert lookups[0].retry_state is not post.retry_state
    assert (
        lookups[0].retry_state.seconds_remaining
        == duplicates.retry_state.seconds_remaining
        == post.retry_state.seconds_remaining
        < 100
    )


def test_upload_does_not_retry_after_the_budget_is_used_up() -> None:
    library = FakeLibrary()
    library.on_post = [loses()] * 9
    with pytest.raises(MediaError, match="the connection broke"):
        library.run(flow(settle_seconds=60))
    assert library.posts() == 2


def test_the_last_attempt_is_checked_too() -> None:
    library = FakeLibrary()
    library.on_post = [loses()] * 2 + [stores_and_loses(library)]
    assert library.run(flow(attempts=3)).media.id == 1
    library = FakeLibrary()
    library.on_post = [loses()] * 9
    with pytest.raises(MediaError, match="the connection broke"):
        library.run(flow(attempts=3))
    assert library.posts() == 3


@pytest.mark.parametrize("kind", [MediaRequestError, MediaAuthError, MediaRateLimitError, MediaFileError])
def test_a_rejection_is_raised_without_a_lookup(kind: type[MediaError]) -> None:
    library = FakeLibrary()

    def refuse(call: ApiRequest) -> ApiResponse | None:
        raise kind("refused")

    library.on_post = [refuse]
    with pytest.raises(MediaError, match="refused"):
        library.run(flow())
    assert len(library.calls) == 2


def test_an_invalid_response_counts_as_lost() -> None:
    library = FakeLibrary()

    def act(call: ApiRequest) -> ApiResponse | None:
        library.store(call)
        return ApiResponse(status=200, headers={}, body=b"<html>")

    library.on_post = [act]
    assert library.run(flow()).media.id == 1
    library.on_post = [lambda _: ApiResponse(status=200, headers={}, body=b"<html>")]
    with pytest.raises(MediaError, match="not JSON"):
        library.run(flow())
    assert library.posts() == 2


def test_duplicates_are_logged_and_not_deleted(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()

    def store_first_one_late(call: ApiRequest) -> ApiResponse | None:
        library.store(call)
        return None

    library.on_post = [loses(), store_first_one_late]
    with caplog.at_level(logging.WARNING):
        assert library.run(flow()).media.id == 2
    assert library.ids == [1, 2]
    assert "Found duplicates from an earlier attempt: 1 (32 bytes) (same file as 2). Not deleted" in caplog.text


def test_a_clear_success_logs_no_duplicates(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()
    library.run(flow())
    assert len(library.calls) == 2
    assert caplog.records == []


def converts(library: FakeLibrary, **changes: Any) -> Any:
    """Store a file with changes, as some platforms do."""

    def act(call: ApiRequest) -> ApiResponse:
        media = library.store(call)
        media.update({"description": call.upload.description if call.upload else None, **changes})
        return ApiResponse(status=201, headers={}, body=json.dumps(media).encode())

    return act


def test_another_stored_size_is_an_error_with_id_and_setting() -> None:
    library = FakeLibrary()
    library.on_post = [converts(library, size=31)]
    sentence = r"stored as 1, but the library shows 31 bytes instead of 32.*'accept_converted'"
    with pytest.raises(MediaError, match=sentence) as raised:
        library.run(flow())
    assert (type(raised.value), raised.value.is_transient) == (MediaResponseError, False)
    assert library.posts() == 1


def test_accept_converted_accepts_another_size(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()
    library.on_post = [converts(library, size=31, name="Ban")]
    upload = make_upload(name="Banner").with_fingerprint(accepts_converted=True)
    assert library.run(flow(upload)).media.size == 31
    assert "changed what it stored as 1: name 'Banner' -> 'Ban', size 32 -> 31 bytes" in caplog.text
    again = library.run(flow(upload, if_exists="reuse"))
    assert (again.created, again.media.id, library.posts()) == (False, 1, 1)


def test_a_converted_file_of_another_content_is_replaced_not_reused() -> None:
    library = FakeLibrary()
    library.on_post = [converts(library, size=31, name="ban"), converts(library, size=31, name="ban")]
    for content in (PNG, PNG + b"2"):
        upload = make_upload(content, name="Banner").with_fingerprint(accepts_converted=True)
        replaced = library.run(flow(upload, if_exists="replace")).replaced
    assert (replaced, library.ids) == ((1,), [2])


@pytest.mark.parametrize("changes", [{"name": "BANNER"}, {"name": "ban"}, {"mimeType": "IMAGE"}, {"mimeType": "x/y"}])
def test_a_changed_name_or_type_logs_one_warning(changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()
    library.on_post = [converts(library, **changes)]
    assert library.run(flow()).media.id == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    (changed,) = changes.values()
    assert f"-> {changed!r}" in caplog.text
    assert ("pass name=" in caplog.text) is ("name" in changes)


@pytest.mark.parametrize("other", [{"name": "of somebody else"}, {"size": 31}, {"name": "x", "size": 31}])
def test_a_response_about_another_file_leads_to_the_library(other: dict[str, Any]) -> None:
    library = FakeLibrary()
    library.add(**{"name": "old", **other})

    def cross(call: ApiRequest) -> ApiResponse:
        library.store(call)
        return ApiResponse(status=201, headers={}, body=json.dumps(library.files[0]).encode())

    library.on_post = [cross]
    result = library.run(flow())
    assert (result.media.id, result.media.name, library.posts()) == (2, "banner", 1)


def test_a_response_about_another_file_fails_without_the_file() -> None:
    library = FakeLibrary()
    other = library.add(name="of somebody else")
    library.on_post = [lambda _: ApiResponse(status=201, headers={}, body=json.dumps(other).encode())]
    with pytest.raises(MediaError, match=r"describes another file, 1 .*, and the library does not have 'banner'"):
        library.run(flow())


@pytest.mark.parametrize("size", [0, None])
def test_upload_waits_for_the_size_of_a_processed_file(size: int | None) -> None:
    library = FakeLibrary()
    library.on_post = [converts(library, size=size)]
    library.on_pause = lambda _: library.files[0].update(size=len(PNG)) if len(library.pauses) == 2 else None
    assert library.run(flow()).media.size == len(PNG)
    assert library.calls[-3:] == ["GET /1"] * 3


def test_a_file_that_is_processed_for_long_is_returned_unverified(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()
    library.on_post = [converts(library, size=0)]
    assert library.run(flow()).media.id == 1
    assert sum(library.pauses) == 6
    assert "Could not verify 'banner' (1): the library does not show its size yet" in caplog.text


@pytest.mark.parametrize("size", [0, None])
def test_a_lost_file_without_a_size_is_found_by_name(size: int | None) -> None:
    library = FakeLibrary()

    def act(call: ApiRequest) -> ApiResponse:
        library.store(call).update(size=size)
        raise lost()

    library.on_post = [act]
    assert (library.run(flow()).media.id, library.posts()) == (1, 1)


def test_a_404_right_after_the_upload_is_waited_out() -> None:
    library = FakeLibrary()
    library.add(size=5)

    def lag(line: str) -> None:
        if line == "GET /2" and len(library.pauses) < 2:
            raise MediaNotFoundError("The library has no such file.", status=404)

    library.on_call = lag
    result = library.run(flow(if_exists="replace"))
    assert (result.media.id, result.replaced, library.ids) == (2, (1,), [2])


def test_a_file_missing_after_the_settling_time_is_an_error() -> None:
    library = FakeLibrary()
    library.add(size=5)
    library.on_call = lambda line: library.files.__delitem__(slice(1, None)) if line == "GET /2" else None
    with pytest.raises(MediaError, match="stored as 2, but the library does not have it after 6 s"):
        library.run(flow(if_exists="replace"))
    assert library.ids == [1]


@pytest.mark.parametrize("content", [PNG, b"\x89PNG\r\n\x1a\nof the other"])
def test_a_file_that_another_task_replaces_at_once_is_not_an_error(
    content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    library = FakeLibrary()
    library.add(size=5)

    def replace_it(line: str) -> None:
        if line == "GET /2" and 3 not in library.ids:
            library.files[:] = [library.add(content=content)]

    library.on_call = replace_it
    result = library.run(flow(if_exists="replace"))
    assert (result.media.id, result.replaced, library.ids) == (2, (), [3])
    assert "Another task replaced 'banner' after it was stored as 2: by 3" in caplog.text
    assert library.pauses == []


@pytest.mark.parametrize("missing", ["size", "url"])
def test_fields_omitted_by_the_response_are_fetched(missing: str) -> None:
    library = FakeLibrary()
    library.upload_changes = {missing: None}
    media = library.run(flow()).media
    assert (media.size, media.url) == (len(PNG), "http://h/x")
    assert library.calls[-1] == "GET /1"
