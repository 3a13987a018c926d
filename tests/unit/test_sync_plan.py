"""The plan of a sync, made of values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_media._sync.plan import LocalFile, PlanStep, SyncPlan, keep_used, make_plan, namesakes_of
from airflow_provider_media.exceptions import MediaConflictError, MediaFileError, MediaInUseError
from airflow_provider_media.models import Media
from tests.unit.helpers.fake_library import PNG, make_upload

SIZE = len(PNG)
SUM = "a" * 64


def a_file(path: str = "banner.png", *, fingerprint: str | None = None, **arguments: Any) -> LocalFile:
    return LocalFile(path=path, name=path, upload=make_upload(name=path, **arguments), fingerprint=fingerprint)


def stored(media_id: int, name: str | None = "banner.png", size: int | None = SIZE, **fields: Any) -> Media:
    return Media(id=media_id, name=name, size=size, **{"mime_type": "image/png", **fields})


def planned(files: list[LocalFile], library: list[Media], **options: Any) -> list[tuple[str, Any, list[Any]]]:
    plan = make_plan(files, namesakes_of(files, library), **{"if_changed": "replace", **options})
    return [(step.action, step.there and step.there.id, [media.id for media in step.old]) for step in plan.steps]


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ([], ("create", None, [])),
        ([stored(1, "other.png")], ("create", None, [])),
        ([stored(1)], ("keep", 1, [])),
        ([stored(2), stored(1)], ("keep", 1, [])),
        ([stored(1, mime_type="IMAGE/PNG; x")], ("keep", 1, [])),
        ([stored(1, size=SIZE + 1)], ("replace", None, [1])),
        ([stored(1, mime_type="image/jpeg")], ("replace", None, [1])),
        ([stored(2, size=5), stored(1, size=6)], ("replace", None, [1, 2])),
        ([stored(1, size=5), stored(2)], ("keep", 2, [])),
        ([stored(1, size=None)], ("replace", None, [1])),
        ([stored(1, mime_type=None)], ("keep", 1, [])),
        ([stored(1, mime_type="image/x-png")], ("keep", 1, [])),
        ([stored(1, mime_type="application/octet-stream")], ("keep", 1, [])),
        ([stored(1, mime_type="VIDEO")], ("replace", None, [1])),
        ([stored(1, size=0)], ("replace", None, [1])),
        ([stored(1, folder_id=8)], ("keep", 1, [])),
        ([stored(1, folder_id=8, size=5)], ("replace", None, [1])),
    ],
)
def test_name_size_and_type_tell_what_is_the_same(library: list[Media], expected: Any) -> None:
    assert planned([a_file()], library) == [expected]


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ([stored(1, folder_id=8)], ("create", None, [])),
        ([stored(1, folder_id="7")], ("keep", 1, [])),
        ([stored(1, folder_id=8, size=5), stored(2, folder_id=7, size=5)], ("replace", None, [2])),
        ([stored(1)], ("keep", 1, [])),
        ([stored(1), stored(2, folder_id=7)], ("keep", 2, [])),
        ([stored(1, size=5), stored(2, folder_id=7, size=5)], ("refuse", None, [])),
    ],
)
def test_in_a_folder_no_file_of_another_one_counts_and_one_that_may_be_is_never_deleted(
    library: list[Media], expected: Any
) -> None:
    assert planned([a_file(folder_id=7)], library) == [expected]


@pytest.mark.parametrize(
    ("description", "action"),
    [
        (f"sha256:{SUM}", "keep"),
        (f"Of summer sha256:{SUM} ", "keep"),
        (f"Of summer sha256:{'b' * 64}", "replace"),
        (f"sha256:{SUM} of summer", "replace"),
        (f"xsha256:{SUM}", "replace"),
        ("Of summer", "replace"),
        ("", "replace"),
        (None, "replace"),
    ],
)
def test_with_a_fingerprint_the_description_tells(description: str | None, action: str) -> None:
    assert planned([a_file(fingerprint=SUM)], [stored(1, description=description)])[0][0] == action


@pytest.mark.parametrize(
    ("if_changed", "expected"),
    [("replace", ("replace", None, [1])), ("upload", ("create", None, [])), ("fail", ("refuse", None, []))],
)
def test_if_changed_says_what_becomes_of_another_version(if_changed: str, expected: Any) -> None:
    assert planned([a_file()], [stored(1, size=5)], if_changed=if_changed) == [expected]


def test_files_that_would_share_a_name_are_all_refused() -> None:
    twice = [LocalFile(path=f"{folder}/x.png", name="x.png", upload=make_upload(name="x.png")) for folder in "abcde"]
    plan = make_plan([*twice, a_file()], {}, if_changed="replace")

    assert [step.refused for step in plan.steps] == [MediaConflictError] * 5 + [None]
    assert plan.steps[0].reason == (
        "b/x.png, c/x.png, d/x.png and 1 more would get the same name 'x.png': let name_template tell them apart"
    )
    assert plan.refused == plan.steps[:5]


@pytest.mark.parametrize("name", ["caf\u00e9", " cafe\u0301", "Cafe\u0301"])
def test_a_name_in_another_form_is_another_name(name: str) -> None:
    assert planned([a_file("cafe\u0301")], [stored(1, name), stored(2, None)]) == [("create", None, [])]


def test_two_files_whose_names_a_platform_may_make_one_are_refused() -> None:
    plan = make_plan([a_file("caf\u00e9"), a_file("cafe\u0301 ")], {}, if_changed="replace")
    assert [step.refused for step in plan.steps] == [MediaConflictError] * 2


def test_a_file_with_a_problem_of_its_own_is_refused_for_that() -> None:
    plan = make_plan([LocalFile(path="a", name="a", problem="it is empty.")], {}, if_changed="replace")
    assert plan.steps == (PlanStep(action="refuse", path="a", name="a", reason="it is empty.", refused=MediaFileError),)


def test_a_replacement_that_an_earlier_try_began_is_finished_without_sending() -> None:
    library = [stored(1, size=5), stored(2, size=6), stored(9), stored(10, size=7)]
    options: dict[str, Any] = {"sent_before": lambda media: media.id > 8}

    assert planned([a_file()], library, **options) == [("replace", 9, [1, 2])]
    assert planned([a_file()], library) == [("keep", 9, [])]
    assert planned([a_file()], library, if_changed="upload", **options) == [("keep", 9, [])]
    assert planned([a_file()], [stored(1, size=5), stored(3), stored(9, size=6)], **options) == [("keep", 3, [])]


def test_what_is_used_is_refused_or_kept_beside() -> None:
    files = [a_file("a.png"), a_file("b.png"), a_file("c.png")]
    library = [stored(1, "a.png", size=5), stored(2, "a.png", size=6), stored(3, "b.png", size=5)]
    plan = make_plan(files, namesakes_of(files, library), if_changed="replace")
    used = {2: ["campaign 7"], 3: ["campaign 7", "8"], 99: ["x"]}
    refused = keep_used(plan, used, on_reference="fail")
    skipped = keep_used(plan, used, on_reference="skip")

    assert [step.refused for step in refused.steps] == [MediaInUseError, MediaInUseError, None]
    assert refused.steps[1].reason == "3 is used by campaign 7, 8, so it cannot be replaced"
    assert [(step.action, [media.id for media in step.old]) for step in skipped.steps] == [
        ("replace", [1]),
        ("create", []),
        ("create", []),
    ]
    assert keep_used(plan, {}, on_reference="fail") == plan


def test_a_finished_replacement_whose_old_version_is_used_is_kept() -> None:
    files = [a_file()]
    library = namesakes_of(files, [stored(1, size=5), stored(9)])
    plan = make_plan(files, library, if_changed="replace", sent_before=lambda media: media.id == 9)
    (step,) = keep_used(plan, {1: ["campaign 7"]}, on_reference="skip").steps
    assert (step.action, step.there, step.old) == ("keep", stored(9), ())


def test_the_same_lists_make_equal_plans_that_survive_json() -> None:
    files = [a_file("a.png"), a_file("b.png")]
    library = namesakes_of(files, [stored(1, "a.png"), stored(2, "b.png", size=5)])
    plan = make_plan(files, library, if_changed="replace")

    assert plan == make_plan(files, library, if_changed="replace")
    assert plan != make_plan(files, {}, if_changed="replace")
    assert json.loads(json.dumps(plan.to_dict())) == {
        "counts": {"create": 0, "replace": 1, "keep": 1, "refuse": 0},
        "steps": [
            {
                "action": "keep",
                "path": "a.png",
                "name": "a.png",
                "reason": "the library has it as 1: same size and type",
                "size": SIZE,
                "mime_type": "image/png",
                "id": 1,
                "old_ids": [],
                "warnings": [],
            },
            {
                "action": "replace",
                "path": "b.png",
                "name": "b.png",
                "reason": f"2 differs (5 bytes, here {SIZE}); deleted when this one is there",
                "size": SIZE,
                "mime_type": "image/png",
                "id": None,
                "old_ids": [2],
                "warnings": [],
            },
        ],
    }


def test_twins_that_are_written_in_two_forms_of_unicode_are_told_apart_in_words() -> None:
    """Both have the same path in the folder, composed."""
    plan = make_plan([a_file("é.png"), a_file("é.png")], {}, if_changed="replace")
    assert [(step.action, step.refused) for step in plan.steps] == [("refuse", MediaConflictError)] * 2
    assert "written in different forms of Unicode (NFC and NFD)" in plan.steps[0].reason


def test_the_table_shows_what_changes_first_and_stays_short() -> None:
    def steps(action: str, count: int) -> list[PlanStep]:
        return [PlanStep(action=action, path=f"{action}{number}", name="", reason="why") for number in range(count)]

    table = SyncPlan((*steps("keep", 25), *steps("create", 600), *steps("refuse", 1))).table().splitlines()
    assert table[:2] == ["refuse  refuse0    why", "create  create0    why"]
    assert table[-2:] == ["create: 101 more", "keep: 5 more"]
    assert len(table) == 500 + 20 + 2
