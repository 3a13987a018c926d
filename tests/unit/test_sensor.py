"""What the sensor takes for "there", with a hook that has just a list in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaConfigurationError, MediaNotFoundError, MediaUnavailableError
from airflow_provider_media.models import Media
from airflow_provider_media.sensors.media import MediaExistsSensor

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeHook:
    def __init__(self, *names: str) -> None:
        self.library = [Media(id=number, name=name) for number, name in enumerate(names, 1)]
        self.calls: list[str] = []
        self.cancelled = False

    def get_media(self, media_id: int | str) -> Media:
        self.calls.append(f"get {media_id}")
        for media in self.library:
            if str(media.id) == str(media_id):
                return media
        raise MediaNotFoundError("no such file", status=404)

    def iter_media(self, **_order: str) -> Iterator[Media]:
        self.calls.append("list")
        return iter(self.library)

    def cancel(self) -> None:
        self.cancelled = True


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
        ({"media_id": 9}, None),
        ({"media_ids": [1, 9]}, None),
        ({"name": "banner"}, 1),
        ({"name": " banner "}, 1),
        ({"name": "Banner"}, None),
        ({"names": ["film", "banner"]}, [3, 1]),
        ({"names": "['film']"}, [3]),
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
    hook = FakeHook("banner")
    assert sensor(hook, media_id=1).poke({}).xcom_value == hook.library[0].to_dict()  # type: ignore[typeddict-item]


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


def test_what_was_found_once_is_not_asked_for_again() -> None:
    hook = FakeHook("a")
    waiting = sensor(hook, media_ids=[1, 2])
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    hook.library.append(Media(id=2))
    assert waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert hook.calls == ["get 1", "get 2", "get 2"]


def test_all_names_take_one_walk_of_the_list() -> None:
    hook = FakeHook("a", "b")
    assert found(hook, names=["a", "b", "a*"]) == [1, 2, 1]
    assert hook.calls == ["list"]


def test_what_is_missing_is_told_once_and_again_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    hook = FakeHook("a")
    waiting = sensor(hook, names=["a", "b", "c"])
    waiting.poke({})  # type: ignore[typeddict-item]
    waiting.poke({})  # type: ignore[typeddict-item]
    hook.library.append(Media(id=2, name="b"))
    waiting.poke({})  # type: ignore[typeddict-item]
    told = capsys.readouterr().out
    assert told.count("; missing: ") == 2
    assert "Found 1 of 3; missing: ['b', 'c']" in told
    assert "Found 2 of 3; missing: ['c']" in told


def test_trouble_other_than_missing_is_passed_on() -> None:
    hook = FakeHook()

    def fail(_media_id: int | str) -> Media:
        raise MediaUnavailableError("down")

    hook.get_media = fail  # type: ignore[method-assign]
    with pytest.raises(MediaUnavailableError):
        sensor(hook, media_id=1).poke({})  # type: ignore[typeddict-item]


def test_a_cancelled_sensor_breaks_its_hook_off_and_makes_none_for_that() -> None:
    hook = FakeHook()
    sensor(hook, media_id=1).on_kill()
    assert hook.cancelled
    untouched = MediaExistsSensor(task_id="wait", media_id=1)
    untouched.on_kill()
    assert "hook" not in untouched.__dict__


def test_every_template_field_is_an_argument_and_an_attribute() -> None:
    made = MediaExistsSensor(task_id="wait", media_id=1)
    assert set(made.template_fields) == {"media_id", "media_ids", "name", "names", "min_matches", "media_conn_id"}
    assert all(hasattr(made, field) for field in made.template_fields)
