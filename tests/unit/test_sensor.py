"""What the sensor takes for "there", with a hook that has just a list in memory."""

from __future__ import annotations

import threading
import time
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
from tests.unit.helpers.waiting_task import FakeHook


def sensor(hook: FakeHook, **arguments: Any) -> MediaExistsSensor:
    made = MediaExistsSensor(task_id="wait", **arguments)
    made.__dict__["hook"] = hook
    return made


def found(hook: FakeHook, **arguments: Any) -> Any:
    """Poke once; return the ids found, as shaped as the sensor returns them, or None for "not yet"."""
    answer = sensor(hook, **arguments).poke({})  # type: ignore[typeddict-item]
    if not answer.is_done:
        assert answer.xcom_value is None
        return None
    value = answer.xcom_value
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
        ({"names": ["film", "banner"]}, [3, 1]),
        ({"names": "['film']"}, [3]),
        ({"names": ["film", "banner", "film"]}, [3, 1]),
        ({"names": ["film", "other"]}, None),
        ({"name": "ban*"}, [1, 2, 4]),
        ({"name": "ban*", "min_matches": 3}, [1, 2, 4]),
        ({"name": "ban*", "min_matches": "4"}, None),
        ({"name": "fil[lm]"}, [3]),
        ({"name": "banner", "min_matches": 9}, 1),
        ({"names": ["fil?", "banner"]}, [3, 1]),
    ],
)
def test_ids_names_and_patterns(arguments: dict[str, Any], ids: Any) -> None:
    assert found(FakeHook("banner", "banner-2", "film", "banner"), **arguments) == ids


def test_a_name_with_wildcards_in_it_is_found_as_it_is_written() -> None:
    assert found(FakeHook("[draft] a?"), name="[draft] a?") == [1]


def test_the_metadata_is_returned_as_a_dict() -> None:
    answer = sensor(FakeHook("banner"), media_id=1).poke({})  # type: ignore[typeddict-item]
    expected = Media(id=1, name="banner", mime_type="image/png", size=32, url="http://h/x")
    assert answer.xcom_value == expected.to_dict()


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
def test_what_came_out_empty_is_refused_instead_of_waited_for(arguments: dict[str, Any]) -> None:
    hook = FakeHook("a")
    with pytest.raises(MediaConfigurationError):
        sensor(hook, **arguments).poke({})  # type: ignore[typeddict-item]
    assert hook.calls == []


def test_what_was_found_is_not_asked_for_again_until_the_last_one_is_there() -> None:
    hook = FakeHook("a")
    waiting = sensor(hook, media_ids=[1, 2])
    for _ in range(3):
        assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    hook.library.add("b")
    assert waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert hook.calls == ["GET /1", "GET /2", "GET /2", "GET /2", "GET /2", "GET /1"]


def test_what_is_gone_again_when_the_last_one_comes_is_waited_for() -> None:
    hook = FakeHook("a")
    waiting = sensor(hook, media_ids=[1, 2])
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    hook.library.add("b")
    gone = hook.library.files.pop(0)
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    hook.library.files.append(gone)
    answer = waiting.poke({})  # type: ignore[typeddict-item]
    assert [media["id"] for media in answer.xcom_value] == [1, 2]


def test_all_names_take_one_walk_of_the_list() -> None:
    hook = FakeHook("a", "b")
    assert found(hook, names=["a", "b", "a*"]) == [1, 2, 1]
    assert hook.calls == [f"GET ?page={page}&limit=1000&sortBy=id&sortOrder=asc" for page in (0, 1)]


def test_what_is_missing_is_told_once_and_again_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    hook = FakeHook("a")
    waiting = sensor(hook, names=["a", "b", "c"])
    waiting.poke({})  # type: ignore[typeddict-item]
    waiting.poke({})  # type: ignore[typeddict-item]
    hook.library.add("b")
    waiting.poke({})  # type: ignore[typeddict-item]
    told = capsys.readouterr().out
    assert told.count("missing: ") == 2
    assert "1 of 3 found ('a'), missing: 'b', 'c'" in told
    assert "2 of 3 found ('a', 'b'), missing: 'c'" in told


def fails_with(hook: FakeHook, *kinds: type[MediaError] | None) -> None:
    """Let the next requests fail, one after the other; None lets one succeed."""
    coming = list(kinds)

    def fail(_line: str) -> None:
        kind = coming.pop(0) if coming else None
        if kind:
            raise kind("It went wrong.", is_transient=True)

    hook.library.on_call = fail


def test_some_failures_in_a_row_fail_the_wait_and_a_look_that_succeeds_begins_the_count_anew() -> None:
    hook = FakeHook()
    waiting = sensor(hook, media_id=1, max_poll_failures=3)
    fails_with(hook, *[MediaUnavailableError] * 2, None, *[MediaUnavailableError] * 3)
    for _ in range(5):
        assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    with pytest.raises(MediaUnavailableError):
        waiting.poke({})  # type: ignore[typeddict-item]


def test_a_rejected_key_fails_at_once_and_a_rate_limit_never() -> None:
    hook = FakeHook()
    waiting = sensor(hook, media_id=1, max_poll_failures=1)
    fails_with(hook, *[MediaRateLimitError] * 3, MediaAuthError)
    for _ in range(3):
        assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    with pytest.raises(MediaAuthError):
        waiting.poke({})  # type: ignore[typeddict-item]


def test_a_pause_that_the_server_asks_for_is_for_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_was_seen_before_a_failure_counts() -> None:
    hook = FakeHook("a", "b")
    waiting = sensor(hook, media_ids=[1, 2])
    fails_with(hook, None, MediaUnavailableError)
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert hook.calls == ["GET /1", "GET /2", "GET /2", "GET /1"]


def ends(waiting: MediaExistsSensor, how: str) -> None:
    """Have a wait end in one of its modes, after the look that ends it."""
    if how == "after a deferral":
        waiting.resume_execution("execute_complete", {"event": {"status": "deadline"}}, {})  # type: ignore[typeddict-item]
    else:
        waiting.deferrable = how == "deferrable"
        waiting.execute({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("how", ["poke", "deferrable", "after a deferral"])
class TestSkipping:
    @pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
    def test_a_skip_at_the_deadline_says_what_was_missing(self, how: str, option: str) -> None:
        waiting = sensor(FakeHook("a"), names=["a", "b"], needed_by="2026-01-01T00:00:00Z", **{option: True})
        sentence = "The deadline .needed_by.* has passed: 1 of 2 found \\('a'\\), missing: 'b'"
        with pytest.raises(AirflowSkipException, match=sentence):
            ends(waiting, how)

    def test_soft_fail_skips_what_is_final_and_leaves_the_retries_the_rest(self, how: str) -> None:
        hook = FakeHook()
        fails_with(hook, MediaAuthError, MediaUnavailableError)
        with pytest.raises(AirflowSkipException, match="It went wrong"):
            ends(sensor(hook, media_id=1, soft_fail=True), how)
        with pytest.raises(MediaUnavailableError):
            ends(sensor(hook, media_id=1, soft_fail=True, max_poll_failures=1), how)

    def test_never_fail_skips_whatever_it_is(self, how: str) -> None:
        hook = FakeHook()
        fails_with(hook, MediaUnavailableError)
        with pytest.raises(AirflowSkipException, match="It went wrong"):
            ends(sensor(hook, media_id=1, never_fail=True, max_poll_failures=1), how)

    def test_without_these_it_fails(self, how: str) -> None:
        with pytest.raises(AirflowSensorTimeout, match="missing: 'b'"):
            ends(sensor(FakeHook("a"), names=["a", "b"], needed_by="2026-01-01T00:00:00Z"), how)


class TestTimeoutAcrossDeferrals:
    """Each process is new, and without a task state store (before Airflow 3.3) none knows of the others."""

    def deferred(self, **arguments: Any) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as raised:
            sensor(FakeHook(), media_id=1, deferrable=True, **arguments).execute({})  # type: ignore[typeddict-item]
        return raised.value

    def test_it_counts_from_the_first_start(self) -> None:
        first = self.deferred(timeout=0.2)
        threading.Event().wait(0.2)
        with pytest.raises(AirflowSensorTimeout, match=r"timeout=0\.2 s\) has passed"):
            sensor(FakeHook(), media_id=1, timeout=0.2).resume_execution(
                first.method_name,
                {**(first.kwargs or {}), "event": {"status": "deadline"}},
                {},  # type: ignore[typeddict-item]
            )

    def test_a_second_deferral_leaves_the_deadline_as_it_was(self) -> None:
        first = self.deferred(timeout=60)
        with pytest.raises(TaskDeferred) as raised:
            sensor(FakeHook(), media_ids=[1, 2], timeout=60).resume_execution(
                first.method_name,
                {**(first.kwargs or {}), "event": {"status": "found"}},
                {},  # type: ignore[typeddict-item]
            )
        assert raised.value.trigger.deadline == first.trigger.deadline

    def test_airflow_s_own_deferral_timeout_ends_it_too(self) -> None:
        with pytest.raises(AirflowSensorTimeout, match=r"timeout=60 s\) has passed"):
            sensor(FakeHook(), media_id=1, timeout=60).resume_execution(
                "__fail__",
                {"error": "Trigger timeout"},
                {},  # type: ignore[typeddict-item]
            )


def test_a_cancelled_sensor_breaks_its_hook_off_and_makes_none_for_that() -> None:
    hook = FakeHook()
    sensor(hook, media_id=1).on_kill()
    assert hook.cancelled
    untouched = MediaExistsSensor(task_id="wait", media_id=1)
    untouched.on_kill()
    assert "hook" not in untouched.__dict__


def test_every_template_field_is_an_argument_and_an_attribute() -> None:
    made = MediaExistsSensor(task_id="wait", media_id=1)
    assert set(made.template_fields) == {
        *("media_id", "media_ids", "name", "names", "wildcards", "min_matches"),
        *("needed_by", "max_poll_failures", "media_conn_id"),
    }
    assert all(hasattr(made, field) for field in made.template_fields)
