"""The sensor's polls, with a hook over a library in memory."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaRateLimitError,
    MediaUnavailableError,
)
from airflow_provider_media.models import Media
from airflow_provider_media.sensors.media import MediaExistsSensor
from tests.unit.helpers.fake_library import FakeLibrary
from tests.unit.helpers.waiting_task import FakeHook


def sensor(hook: FakeHook, **arguments: Any) -> MediaExistsSensor:
    made = MediaExistsSensor(task_id="wait", **arguments)
    made.__dict__["hook"] = hook
    return made


def found(hook: FakeHook, **arguments: Any) -> Any:
    """Poke once; return the ids in the shape of the sensor's result, or None if files are missing."""
    result = sensor(hook, **arguments).poke({})  # type: ignore[typeddict-item]
    if not result.is_done:
        assert result.xcom_value is None
        return None
    value = result.xcom_value
    return [media["id"] for media in value] if isinstance(value, list) else value["id"]


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ({"media_id": 2}, 2),
        ({"media_id": "2"}, 2),
        ({"media_ids": [3, 1]}, [3, 1]),
        ({"media_ids": [2]}, [2]),
        ({"media_ids": "[3, 1]"}, [3, 1]),
        ({"media_id": 1, "media_ids": [3]}, [1, 3]),
        ({"media_ids": [2, 1, "2"]}, [2, 1]),
        ({"media_id": 9}, None),
        ({"media_ids": [1, 9]}, None),
        ({"name": "banner"}, 1),
        ({"name": " banner "}, None),
        ({"name": "Banner"}, None),
        ({"names": ["video", "banner"]}, [3, 1]),
        ({"names": "['video']"}, [3]),
        ({"names": ["video", "banner", "video"]}, [3, 1]),
        ({"names": ["video", "other"]}, None),
        ({"name": "ban*"}, [1, 2, 4]),
        ({"name": "ban*", "min_matches": 3}, [1, 2, 4]),
        ({"name": "ban*", "min_matches": "4"}, None),
        ({"name": "vide[op]"}, [3]),
        ({"names": ["vide?", "banner"]}, [3, 1]),
    ],
)
def test_ids_names_and_patterns_are_found(arguments: dict[str, Any], ids: Any) -> None:
    assert found(FakeHook("banner", "banner-2", "video", "banner"), **arguments) == ids


def dated_hook(**options: Any) -> FakeHook:
    """A library with a banner of last year and one of today in another folder, and a video."""
    hook = FakeHook()
    hook.library = FakeLibrary(**options)
    hook.library.add("banner", folderId=7, createdAt="2025-07-01T00:00:00Z")
    hook.library.add("banner", folderId=8, createdAt="2026-07-01T00:00:00Z")
    hook.library.add("video", mimeType="video/mp4", folderId=8)
    return hook


FILTERS: list[tuple[dict[str, Any], Any]] = [
    ({"name": "banner"}, 1),
    ({"name": "banner", "pick": "newest"}, 2),
    ({"name": "banner", "pick": " Oldest "}, 1),
    ({"name": "banner", "folder_id": 8}, 2),
    ({"name": "banner", "folder_id": " 8 "}, 2),
    ({"name": "banner", "folder_id": 9}, None),
    ({"name": "*", "mime_type": "image/*"}, [1, 2]),
    ({"name": "*", "mime_type": "video/mp4", "folder_id": "8"}, [3]),
    ({"name": "banner", "stored_after": "2026-01-01T00:00:00+02:00"}, 2),
    ({"name": "banner", "stored_after": datetime(2026, 7, 2, tzinfo=UTC)}, None),
    ({"name": "video", "stored_after": "2020-01-01T00:00:00Z"}, None),  # an unknown date
    ({"media_ids": [2, 3], "folder_id": 8}, [2, 3]),
    ({"media_id": 1, "stored_after": "2026-01-01T00:00:00Z"}, None),
    ({"media_ids": [1, 2], "stored_after": "2026-01-01T00:00:00Z"}, None),
    ({"name": "ban*", "min_matches": 2, "stored_after": "2026-01-01T00:00:00Z"}, None),
]


@pytest.mark.parametrize(
    "list_leaves_out", [(), ("folderId", "mimeType", "createdAt")], ids=["full list", "short list"]
)
@pytest.mark.parametrize(("arguments", "ids"), FILTERS)
def test_only_accepted_files_are_found(arguments: dict[str, Any], ids: Any, list_leaves_out: Any) -> None:
    assert found(dated_hook(list_leaves_out=list_leaves_out), **arguments) == ids


def test_details_are_fetched_once_and_only_where_they_decide() -> None:
    hook = dated_hook(list_leaves_out=("folderId",))
    waiting = sensor(hook, names=["banner", "video"], folder_id=7)
    for _ in range(3):
        assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert [call for call in hook.calls if "?" not in call] == ["GET /1", "GET /2", "GET /3"]


def test_failed_fetch_of_details_is_repeated() -> None:
    hook = dated_hook(list_leaves_out=("folderId",))
    waiting = sensor(hook, name="banner", folder_id=7)

    def fail(line: str) -> None:
        if line == "GET /1":
            hook.library.on_call = lambda _: None
            raise MediaUnavailableError("It went wrong.", status=500, is_transient=True)

    hook.library.on_call = fail
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert waiting.poke({}).xcom_value["id"] == 1  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "banner"},
        {"names": ["a", "b"]},
        {"name": "a*", "wildcards": False},
        {"media_id": 1},
        {"media_ids": [1, 2]},
    ],
)
def test_min_matches_without_a_pattern_is_refused(arguments: dict[str, Any]) -> None:
    hook = FakeHook()
    with pytest.raises(MediaConfigurationError, match="min_matches=2 requires a name with wildcards"):
        sensor(hook, min_matches=2, **arguments).poke({})  # type: ignore[typeddict-item]
    assert hook.calls == []


@pytest.mark.parametrize(
    "media_ids",
    [
        {"id": 1, "name": "a"},
        [{"id": 1, "name": "a"}, 2],
        [[1], ({"id": 2},)],
        {"a.png": {"id": 1, "action": "uploaded"}, "b.png": {"id": 2, "action": "kept"}},
        [{"a.png": {"id": 1}}, {"b.png": {"id": 2}}],
        {1: None, 2: None}.keys(),
        '{"a.png": {"id": 1}}',
    ],
    ids=repr,
)
def test_media_ids_takes_what_earlier_tasks_return(media_ids: Any) -> None:
    result = found(FakeHook("a", "b"), media_ids=media_ids)
    assert result in ([1], [1, 2])


def test_progress_counts_the_files_of_a_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    hook = FakeHook("gates/1")
    waiting = sensor(hook, names=["banner", "gates/*"], min_matches=3)
    waiting.poke({})  # type: ignore[typeddict-item]
    hook.library.add("gates/2")
    waiting.poke({})  # type: ignore[typeddict-item]
    log = capsys.readouterr().out
    for count in (1, 2):
        assert f"0 of 2 found (none), missing: 'banner', 'gates/*': {count} of 3 files; deadline: 2" in log
    assert log.count(", poll interval: 60 s") == 2


def test_name_with_wildcards_matches_itself() -> None:
    assert found(FakeHook("[draft] a?"), name="[draft] a?") == [1]


def test_result_is_the_metadata_as_a_dict() -> None:
    result = sensor(FakeHook("banner"), media_id=1).poke({})  # type: ignore[typeddict-item]
    expected = Media(id=1, name="banner", mime_type="image/png", size=32, url="http://h/x")
    assert result.xcom_value == expected.to_dict()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"media_id": None},
        {"media_id": 1, "name": "a"},
        {"media_ids": [], "names": ["a"]},
        {"media_id": ""},
        {"media_id": "None"},
        {"media_ids": []},
        {"media_ids": [1, None]},
        {"name": ""},
        {"name": "None"},
        {"names": []},
        {"names": ["a", None]},
        {"name": "a", "min_matches": 0},
    ],
)
def test_empty_arguments_are_rejected_without_requests(arguments: dict[str, Any]) -> None:
    hook = FakeHook("a")
    with pytest.raises(MediaConfigurationError):
        sensor(hook, **arguments).poke({})  # type: ignore[typeddict-item]
    assert hook.calls == []


def test_found_files_are_requested_again_only_to_verify_them() -> None:
    hook = FakeHook("a")
    waiting = sensor(hook, media_ids=[1, 2])
    for _ in range(3):
        assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    hook.library.add("b")
    assert waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert hook.calls == ["GET /1", "GET /2", "GET /2", "GET /2", "GET /2", "GET /1"]


def test_file_deleted_during_the_wait_is_missing_again() -> None:
    hook = FakeHook("a")
    waiting = sensor(hook, media_ids=[1, 2])
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    hook.library.add("b")
    gone = hook.library.files.pop(0)
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    hook.library.files.append(gone)
    result = waiting.poke({})  # type: ignore[typeddict-item]
    assert [media["id"] for media in result.xcom_value] == [1, 2]


def test_all_names_share_one_listing() -> None:
    hook = FakeHook("a", "b")
    assert found(hook, names=["a", "b", "a*"]) == [1, 2, 1]
    assert hook.calls == [f"GET ?page={page}&limit=1000&sortBy=id&sortOrder=asc" for page in (0, 1)]


def test_progress_is_logged_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    hook = FakeHook("a")
    waiting = sensor(hook, names=["a", "b", "c"])
    waiting.poke({})  # type: ignore[typeddict-item]
    waiting.poke({})  # type: ignore[typeddict-item]
    hook.library.add("b")
    waiting.poke({})  # type: ignore[typeddict-item]
    log = capsys.readouterr().out
    assert log.count("missing: ") == 2
    assert "1 of 3 found ('a'), missing: 'b', 'c'" in log
    assert "2 of 3 found ('a', 'b'), missing: 'c'" in log


def fails_with(hook: FakeHook, *kinds: type[MediaError] | None) -> None:
    """Make the next requests fail with these errors in turn; None makes one succeed."""
    coming = list(kinds)

    def fail(_line: str) -> None:
        kind = coming.pop(0) if coming else None
        if kind:
            raise kind("It went wrong.", is_transient=True)

    hook.library.on_call = fail


def test_consecutive_failures_fail_the_wait_and_a_success_resets_them() -> None:
    hook = FakeHook()
    waiting = sensor(hook, media_id=1, max_poll_failures=3)
    fails_with(hook, *[MediaUnavailableError] * 2, None, *[MediaUnavailableError] * 3)
    for _ in range(5):
        assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    with pytest.raises(MediaUnavailableError):
        waiting.poke({})  # type: ignore[typeddict-item]


def test_rejected_key_fails_immediately_and_rate_limit_never() -> None:
    hook = FakeHook()
    waiting = sensor(hook, media_id=1, max_poll_failures=1)
    fails_with(hook, *[MediaRateLimitError] * 3, MediaAuthError)
    for _ in range(3):
        assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    with pytest.raises(MediaAuthError):
        waiting.poke({})  # type: ignore[typeddict-item]


def test_retry_after_applies_to_one_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = FakeHook()
    coming = [MediaUnavailableError("In an hour.", retry_after=3600.0), None, None]

    def fail(_line: str) -> None:
        if problem := coming.pop(0):
            raise problem
        if not coming:
            hook.library.add("late")

    hook.library.on_call = fail
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert sensor(hook, media_id=1, poke_interval=60).execute({})["name"] == "late"  # type: ignore[typeddict-item]
    assert slept == [3600, 60]


def test_files_found_before_a_failure_are_kept() -> None:
    hook = FakeHook("a", "b")
    waiting = sensor(hook, media_ids=[1, 2])
    fails_with(hook, None, MediaUnavailableError)
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert hook.calls == ["GET /1", "GET /2", "GET /2", "GET /1"]


def ends(waiting: MediaExistsSensor, how: str) -> None:
    """Run a wait to its end in one of the modes."""
    if how == "after a deferral":
        waiting.resume_execution("execute_complete", {"event": {"status": "deadline"}}, {})  # type: ignore[typeddict-item]
    else:
        waiting.deferrable = how == "deferrable"
        waiting.execute({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("how", ["poke", "deferrable", "after a deferral"])
class TestSkipping:
    @pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
    def test_skip_at_the_deadline_names_the_missing_files(self, how: str, option: str) -> None:
        waiting = sensor(FakeHook("a"), names=["a", "b"], needed_by="2026-01-01T00:00:00Z", **{option: True})
        sentence = "The deadline .needed_by.* has passed: 1 of 2 found \\('a'\\), missing: 'b'"
        with pytest.raises(AirflowSkipException, match=sentence):
            ends(waiting, how)

    def test_soft_fail_skips_permanent_errors_only(self, how: str) -> None:
        hook = FakeHook()
        fails_with(hook, MediaAuthError, MediaUnavailableError)
        with pytest.raises(AirflowSkipException, match="It went wrong"):
            ends(sensor(hook, media_id=1, soft_fail=True), how)
        with pytest.raises(MediaUnavailableError):
            ends(sensor(hook, media_id=1, soft_fail=True, max_poll_failures=1), how)

    def test_never_fail_skips_all_errors(self, how: str) -> None:
        hook = FakeHook()
        fails_with(hook, MediaUnavailableError)
        with pytest.raises(AirflowSkipException, match="It went wrong"):
            ends(sensor(hook, media_id=1, never_fail=True, max_poll_failures=1), how)

    def test_without_options_it_fails(self, how: str) -> None:
        with pytest.raises(AirflowSensorTimeout, match="missing: 'b'"):
            ends(sensor(FakeHook("a"), names=["a", "b"], needed_by="2026-01-01T00:00:00Z"), how)


class TestTimeoutAcrossDeferrals:
    """Each process is new, without a task state store (before Airflow 3.3)."""

    def deferred(self, **arguments: Any) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as raised:
            sensor(FakeHook(), media_id=1, deferrable=True, **arguments).execute({})  # type: ignore[typeddict-item]
        return raised.value

    def test_timeout_counts_from_the_first_start(self) -> None:
        first = self.deferred(timeout=0.2)
        threading.Event().wait(0.2)
        with pytest.raises(AirflowSensorTimeout, match=r"timeout=0\.2 s\) has passed"):
            sensor(FakeHook(), media_id=1, timeout=0.2).resume_execution(
                first.method_name,
                {**(first.kwargs or {}), "event": {"status": "deadline"}},
                {},  # type: ignore[typeddict-item]
            )

    def test_second_deferral_keeps_the_deadline(self) -> None:
        first = self.deferred(timeout=60)
        with pytest.raises(TaskDeferred) as raised:
            sensor(FakeHook(), media_ids=[1, 2], timeout=60).resume_execution(
                first.method_name,
                {**(first.kwargs or {}), "event": {"status": "found"}},
                {},  # type: ignore[typeddict-item]
            )
        assert raised.value.trigger.deadline == first.trigger.deadline

    def test_deferral_timeout_of_airflow_ends_the_wait(self) -> None:
        with pytest.raises(AirflowSensorTimeout, match=r"timeout=60 s\) has passed"):
            sensor(FakeHook(), media_id=1, timeout=60).resume_execution(
                "__fail__",
                {"error": "Trigger timeout"},
                {},  # type: ignore[typeddict-item]
            )


def test_cancelled_sensor_aborts_its_hook_and_creates_none() -> None:
    hook = FakeHook()
    sensor(hook, media_id=1).on_kill()
    assert hook.cancelled
    untouched = MediaExistsSensor(task_id="wait", media_id=1)
    untouched.on_kill()
    assert "hook" not in untouched.__dict__


def test_template_fields_are_arguments_and_attributes() -> None:
    made = MediaExistsSensor(task_id="wait", media_id=1)
    assert set(made.template_fields) == {
        *("media_id", "media_ids", "name", "names", "wildcards", "min_matches"),
        *("folder_id", "mime_type", "stored_after", "pick", "channels", "check_url"),
        *("needed_by", "max_poll_failures", "media_conn_id"),
    }
    assert all(hasattr(made, field) for field in made.template_fields)
