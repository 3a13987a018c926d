"""A list of what is still used is believed only when there is no doubt about it."""

from __future__ import annotations

import json
import pickle
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._deletion.delete import find_references
from airflow_provider_media.exceptions import MediaConfigurationError, MediaInUseError
from airflow_provider_media.models import Media
from airflow_provider_media.references import ListedReferences, _Place

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)


def listed(media: Any, updated_at: Any = None) -> str:
    return json.dumps({"updated_at": updated_at or NOW.isoformat(), "media": media})


@pytest.fixture(params=["variable", "file", "uri"])
def write(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Write a list, where a Variable or a file holds it, and make the references that read it."""

    def make(text: str | None, **options: Any) -> ListedReferences:
        if request.param == "variable":
            if text is not None:
                monkeypatch.setenv("AIRFLOW_VAR_LISTED_BY_THESE_TESTS", text)
            return ListedReferences(variable="listed_by_these_tests", **options)
        path = tmp_path / "in-use.json"
        if text is not None:
            path.write_text(text)
        return ListedReferences(path=f"file://{path}" if request.param == "uri" else path, **options)

    return make


def test_users_are_told_by_id(write: Any) -> None:
    ask = write(listed({"17": ["summer", "template 5"], "med_9": "autumn", "18": []}))
    assert ask(Media(id=17)) == ["summer", "template 5"]
    assert ask(Media(id="med_9")) == ["autumn"]
    assert len(ask(Media(id=18))) == 1, "a listed file is used, whoever uses it"
    assert ask(Media(id=19)) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("", "is empty"),
        ("  \n", "is empty"),
        (listed({}), "is empty"),
        ("{", "cannot be understood"),
        ("[17, 18]", "cannot be understood"),
        ("null", "cannot be understood"),
        ('{"media": {"17": []}}', "cannot be understood"),
        (listed([]), "is empty"),
        (listed("17"), "cannot be understood"),
        (listed([17, None]), "cannot be understood"),
        (listed(["17", "None"]), "cannot be understood"),
        (listed([["17"]]), "cannot be understood"),
        (listed([17.0]), "cannot be understood"),
        (listed({"": ["summer"]}), "cannot be understood"),
        *[
            (listed([17, odd]), "cannot be understood")
            for odd in (
                *("1.0", "01", "+1", "\uff11\uff17", "-1", "1_000", "1,000", "1.", "00", "\u00b2", "\u0661\u0667", -1),
                *("17\u200b", "\ufeff17", "17, 18", "17 18", "['17']", '{"id": 17}', "'17'", "17;18"),
                *("null", "NaN", "undefined", "N/A", "#N/A", "-", "?", "#17", "id=17", "%31%37", "\u221217"),
            )
        ],
        (listed({"01": ["summer"], "17": []}), "cannot be understood"),
        (listed({"17": 5}), "cannot be understood"),
        (listed({"17": ["summer"]})[:-1] + ', "media": {"18": []}}', "'media' is there twice"),
        (listed({"17": []}).replace('"17"', '"17": ["summer"], "17"'), "'17' is there twice"),
        (listed({"17": None}), "cannot be understood"),
        (listed({"17": []}, "yesterday"), "cannot be understood"),
        (listed({"17": []}, "2026-07-01T08:00:00"), "has a time without a time zone"),
        (listed({"17": []}, (NOW - timedelta(hours=25)).isoformat()), r"is 1 day, 1:.* old, more than 1 day"),
        (listed({"17": []}, (NOW + timedelta(hours=1)).isoformat()), "comes from the future"),
    ],
    ids=lambda value: "list" if str(value).startswith("{") else None,  # the same at each run, whatever the time
)
def test_a_list_in_doubt_refuses_every_deletion(write: Any, text: str | None, reason: str) -> None:
    ask = write(text)
    with pytest.raises(MediaInUseError, match=f"^It is not known what is still used, because .* {reason}") as caught:
        find_references([Media(id=99)], ask)
    assert str(caught.value).endswith("Nothing was deleted.")
    assert "\n" not in str(caught.value)


def test_ids_alone_are_enough(write: Any) -> None:
    ask = write(listed([17, " med_9 "]))
    assert [len(ask(Media(id=media_id))) for media_id in (17, "17", "med_9", 18)] == [1, 1, 1, 0]


def test_text_ids_of_many_forms_are_ids(write: Any) -> None:
    ids = ["med_7f3a2b1c4d5e", "1e5", "7f3a", "0x1f", "a-b.c", "550e8400-e29b-41d4-a716-446655440000", "0", "été"]
    ask = write(listed(ids))
    assert [len(ask(Media(id=media_id))) for media_id in ids] == [1] * len(ids)


def test_a_file_with_two_ids_is_protected_by_either(write: Any) -> None:
    ask = write(listed({"17": ["summer"], "med_9": ["autumn"]}))
    assert ask(Media(id=17, alternate_id="med_1")) == ["summer"]
    assert ask(Media(id=1, alternate_id="med_9")) == ["autumn"]
    assert ask(Media(id=17, alternate_id="med_9")) == ["summer", "autumn"]
    assert ask(Media(id=1, alternate_id="med_1")) == []


def test_an_age_may_be_allowed(write: Any) -> None:
    old = listed({"17": ["summer"]}, (NOW - timedelta(days=3)).isoformat())
    assert write(old, max_age=timedelta(days=4))(Media(id=17)) == ["summer"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    ask = ListedReferences(path=tmp_path / "new folder" / "in-use.json")
    (tmp_path / "new folder").mkdir()
    ask.write({17: ["summer"], "18": ("a", "b")})
    ask.write({18: ["b"], 19: "autumn"})
    assert [ask(Media(id=media_id)) for media_id in (17, 18, 19)] == [[], ["b"], ["autumn"]]
    ask.write(iter([17]))
    assert [len(ask(Media(id=media_id))) for media_id in (17, 18)] == [1, 0]
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["in-use.json"]


@pytest.mark.parametrize(
    "users", [{}, [], [None], {"None": ["summer"]}, ["17", ""], [True], ["01"], {"1.0": ["a"]}, [-1]]
)
def test_what_would_not_be_believed_is_not_written(tmp_path: Path, users: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"never believed|is not a media id"):
        ListedReferences(path=tmp_path / "in-use.json").write(users)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_fails_leaves_the_list_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = ListedReferences(path=tmp_path / "in-use.json")
    ask.write({1: ["summer"]})

    def fail(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no room"):
        ask.write({2: ["autumn"]})
    assert ask(Media(id=1)) == ["summer"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("as_uri", [False, True])
def test_a_reader_never_sees_half_a_list(tmp_path: Path, as_uri: Any) -> None:
    """Two write in turns, and each reading sees one or the other, whole."""
    path = tmp_path / "in-use.json"
    ask = ListedReferences(path=f"file://{path}" if as_uri else path)
    ask.write(range(1, 2000))
    done = threading.Event()

    def write() -> None:
        for _ in range(15):
            ask.write(range(1, 2000))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert len(ask(Media(id=1999))) == 1
    writer.join()


def test_each_writer_has_a_list_of_its_own_and_all_of_them_count(tmp_path: Path) -> None:
    paths = [tmp_path / "summer.json", str(tmp_path / "autumn.json")]
    ask = ListedReferences(path=paths)
    ListedReferences(path=paths[0]).write({1: ["summer"], 2: ["summer"]})
    with pytest.raises(MediaInUseError, match=r"the file .*autumn\.json cannot be read"):
        find_references([Media(id=3)], ask)
    ListedReferences(path=paths[1]).write({2: ["autumn"]})
    assert find_references([Media(id=number) for number in (1, 2, 3)], ask) == {1: ["summer"], 2: ["summer", "autumn"]}
    with pytest.raises(
        MediaConfigurationError, match=r"is read only: write each list by a ListedReferences of its own"
    ):
        ask.write([3])


def test_a_deletion_reads_the_list_once_and_the_next_one_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = ListedReferences(path=tmp_path / "in-use.json")
    ask.write({1: ["summer"]})
    reads = []
    read = _Place._read_text
    monkeypatch.setattr(_Place, "_read_text", lambda self: reads.append(1) or read(self))
    assert find_references([Media(id=1), Media(id=2), Media(id=3)], ask) == {1: ["summer"]}
    assert len(reads) == 1
    ask.write({3: ["autumn"]})
    assert find_references([Media(id=1), Media(id=3)], ask) == {3: ["autumn"]}


@pytest.mark.parametrize(
    "arguments",
    [
        *({}, {"variable": ""}, {"path": []}, {"path": ["x", None]}, {"variable": "x", "path": "y"}),
        *({"variable": "x", "max_age": 5}, {"path": "x", "max_age": None}),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(MediaConfigurationError):
        ListedReferences(**arguments)


def test_they_can_be_pickled_and_named() -> None:
    copy = pickle.loads(pickle.dumps(ListedReferences(variable="in_use")))  # noqa: S301 - our own
    assert repr(copy) == "ListedReferences(the Variable 'in_use')"
