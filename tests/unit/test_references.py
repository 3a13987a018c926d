"""Lists of files in use, and the errors that prevent a deletion."""

from __future__ import annotations

import json
import pickle
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._deletion.delete import find_references
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaInUseError
from airflow_provider_media.models import Media
from airflow_provider_media.references import ListedReferences

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)


def listed(media: Any, updated_at: Any = None) -> str:
    return json.dumps({"updated_at": updated_at or NOW.isoformat(), "media": media})


@pytest.fixture(params=["variable", "file", "uri"])
def write(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Write a list to a Variable or a file, and return the references that read it."""

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


def test_names_are_found_by_id(write: Any) -> None:
    references = write(listed({"17": ["summer", "template 5"], "med_9": "autumn", "18": []}))
    assert references(Media(id=17)) == ["summer", "template 5"]
    assert references(Media(id="med_9")) == ["autumn"]
    assert len(references(Media(id=18))) == 1, "a listed file is in use, even without names"
    assert references(Media(id=19)) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("", "is empty"),
        ("  \n", "is empty"),
        (listed({}), "is empty"),
        ("{", "is invalid"),
        ("[17, 18]", "is invalid"),
        ("null", "is invalid"),
        ('{"media": {"17": []}}', "is invalid"),
        (listed([]), "is empty"),
        (listed("17"), "is invalid"),
        (listed([17, None]), "is invalid"),
        (listed(["17", "None"]), "is invalid"),
        (listed([["17"]]), "is invalid"),
        (listed([17.0]), "is invalid"),
        (listed({"": ["summer"]}), "is invalid"),
        *[
            (listed([17, odd]), "is invalid")
            for odd in (
                *("1.0", "01", "+1", "\uff11\uff17", "-1", "1_000", "1,000", "1.", "00", "\u00b2", "\u0661\u0667", -1),
                *("17\u200b", "\ufeff17", "17, 18", "17 18", "['17']", '{"id": 17}', "'17'", "17;18"),
                *("null", "NaN", "undefined", "N/A", "#N/A", "-", "?", "#17", "id=17", "%31%37", "\u221217"),
            )
        ],
        (listed({"01": ["summer"], "17": []}), "is invalid"),
        (listed({"17": 5}), "is invalid"),
        (listed({"17": ["summer"]})[:-1] + ', "media": {"18": []}}', r"is invalid \(duplicate key 'media'\)"),
        (listed({"17": []}).replace('"17"', '"17": ["summer"], "17"'), r"is invalid \(duplicate key '17'\)"),
        (listed({"17": None}), "is invalid"),
        (listed({"17": []}, "yesterday"), "is invalid"),
        (listed({"17": []}, "2026-07-01T08:00:00"), "has an updated_at without a time zone"),
        (listed({"17": []}, (NOW - timedelta(hours=25)).isoformat()), r"is 1 day, 1:.* old, more than 1 day"),
        (listed({"17": []}, (NOW + timedelta(hours=1)).isoformat()), "has an updated_at in the future"),
    ],
    ids=lambda value: "list" if str(value).startswith("{") else None,  # stable test ids, without the current time
)
def test_invalid_list_prevents_every_deletion(write: Any, text: str | None, reason: str) -> None:
    references = write(text)
    with pytest.raises(MediaInUseError, match=f"^Could not determine which files are in use: .* {reason}") as caught:
        find_references([Media(id=99)], references)
    assert str(caught.value).endswith("Nothing was deleted.")
    assert "\n" not in str(caught.value)


def test_list_of_ids_without_names(write: Any) -> None:
    references = write(listed([17, " med_9 "]))
    assert [len(references(Media(id=media_id))) for media_id in (17, "17", "med_9", 18)] == [1, 1, 1, 0]


def test_string_ids_of_many_formats_are_accepted(write: Any) -> None:
    ids = ["med_7f3a2b1c4d5e", "1e5", "7f3a", "0x1f", "a-b.c", "550e8400-e29b-41d4-a716-446655440000", "0", "été"]
    references = write(listed(ids))
    assert [len(references(Media(id=media_id))) for media_id in ids] == [1] * len(ids)


def test_file_with_two_ids_is_protected_by_either(write: Any) -> None:
    references = write(listed({"17": ["summer"], "med_9": ["autumn"]}))
    assert references(Media(id=17, alternate_id="med_1")) == ["summer"]
    assert references(Media(id=1, alternate_id="med_9")) == ["autumn"]
    assert references(Media(id=17, alternate_id="med_9")) == ["summer", "autumn"]
    assert references(Media(id=1, alternate_id="med_1")) == []


def test_max_age_accepts_an_older_list(write: Any) -> None:
    old = listed({"17": ["summer"]}, (NOW - timedelta(days=3)).isoformat())
    assert write(old, max_age=timedelta(days=4))(Media(id=17)) == ["summer"]


def test_written_list_is_read(tmp_path: Path) -> None:
    references = ListedReferences(path=tmp_path / "new folder" / "in-use.json")
    (tmp_path / "new folder").mkdir()
    references.write({17: ["summer"], "18": ("a", "b")})
    references.write({18: ["b"], 19: "autumn"})
    assert [references(Media(id=media_id)) for media_id in (17, 18, 19)] == [[], ["b"], ["autumn"]]
    references.write(iter([17]))
    assert [len(references(Media(id=media_id))) for media_id in (17, 18)] == [1, 0]
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["in-use.json"]


@pytest.mark.parametrize(
    "users", [{}, [], [None], {"None": ["summer"]}, ["17", ""], [True], ["01"], {"1.0": ["a"]}, [-1]]
)
def test_invalid_list_is_not_written(tmp_path: Path, users: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"references is empty|is not a media id"):
        ListedReferences(path=tmp_path / "in-use.json").write(users)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_the_old_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    references = ListedReferences(path=tmp_path / "in-use.json")
    references.write({1: ["summer"]})

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(MediaError, match=r"^Could not write the list of references to the file .*json: disk full\.$"):
        references.write({2: ["autumn"]})
    assert references(Media(id=1)) == ["summer"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", [".", "file/in-use.json"])
def test_failed_write_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MediaError) as caught:
        ListedReferences(path=tmp_path / name).write([1])
    assert str(caught.value).startswith("Could not write the list of references to the file ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("as_uri", [False, True])
def test_reader_never_sees_an_incomplete_list(tmp_path: Path, as_uri: Any) -> None:
    """Each read during concurrent writes returns a complete list."""
    path = tmp_path / "in-use.json"
    references = ListedReferences(path=f"file://{path}" if as_uri else path)
    references.write(range(1, 2000))
    done = threading.Event()

    def write() -> None:
        for _ in range(15):
            references.write(range(1, 2000))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert len(references(Media(id=1999))) == 1
    writer.join()


def test_several_lists_are_combined(tmp_path: Path) -> None:
    paths = [tmp_path / "summer.json", str(tmp_path / "autumn.json")]
    references = ListedReferences(path=paths)
    ListedReferences(path=paths[0]).write({1: ["summer"], 2: ["summer"]})
    with pytest.raises(MediaInUseError, match=r"the file .*autumn\.json cannot be read"):
        find_references([Media(id=3)], references)
    ListedReferences(path=paths[1]).write({2: ["autumn"]})
    assert find_references([Media(id=number) for number in (1, 2, 3)], references) == {
        1: ["summer"],
        2: ["summer", "autumn"],
    }
    with pytest.raises(MediaConfigurationError, match=r"is read-only: write each list with its own ListedReferences"):
        references.write([3])


def test_each_deletion_reads_the_list_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    references = ListedReferences(path=tmp_path / "in-use.json")
    references.write({1: ["summer"]})
    reads = []
    read = ListedReferences._read_text
    monkeypatch.setattr(ListedReferences, "_read_text", lambda self, path: reads.append(1) or read(self, path))
    assert find_references([Media(id=1), Media(id=2), Media(id=3)], references) == {1: ["summer"]}
    assert len(reads) == 1
    references.write({3: ["autumn"]})
    assert find_references([Media(id=1), Media(id=3)], references) == {3: ["autumn"]}


@pytest.mark.parametrize(
    "arguments",
    [
        *({}, {"variable": ""}, {"path": []}, {"path": ["x", None]}, {"variable": "x", "path": "y"}),
        *({"variable": "x", "max_age": 5}, {"path": "x", "max_age": None}),
    ],
)
def test_invalid_arguments_are_rejected(arguments: dict[str, Any]) -> None:
    with pytest.raises(MediaConfigurationError):
        ListedReferences(**arguments)


def test_pickle_and_repr() -> None:
    copy = pickle.loads(pickle.dumps(ListedReferences(variable="in_use")))  # noqa: S301 - our own
    assert repr(copy) == "ListedReferences(the Variable 'in_use')"
