"""The plan of a sync."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_media._sync.plan import LocalFile, PlanStep, SyncPlan, group_by_name, keep_used, make_plan
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
    plan = make_plan(files, group_by_name(files, library), **{"if_changed": "replace", **options})
    return [(step.action, step.media and step.media.id, [media.id for media in step.old]) for step in plan.steps]


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
def test_files_are_compared_by_name_size_and_type(library: list[Media], expected: Any) -> None:
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
def test_only_files_of_the_folder_count_and_unknown_ones_stay(library: list[Media], expected: Any) -> None:
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
def test_fingerprints_are_compared_with_the_description(description: str | None, action: str) -> None:
    assert planned([a_file(fingerprint=SUM)], [stored(1, description=description)])[0][0] == action


@pytest.mark.parametrize(
    ("if_changed", "expected"),
    [("replace", ("replace", None, [1])), ("upload", ("create", None, [])), ("fail", ("refuse", None, []))],
)
def test_if_changed_decides_about_other_versions(if_changed: str, expected: Any) -> None:
    assert planned([a_file()], [stored(1, size=5)], if_changed=if_changed) == [expected]


def test_files_that_would_share_a_name_are_all_refused() -> None:
    twice = [LocalFile(path=f"{folder}/x.png", name="x.png", upload=make_upload(name="x.png")) for folder in "abcde"]
    plan = make_plan([*twice, a_file()], {}, if_changed="replace")

    assert [step.error_class for step in plan.steps] == [MediaConflictError] * 5 + [None]
    assert plan.steps[0].reason == (
        "would share the name 'x.png' with b/x.png, c/x.png, d/x.png and 1 more; change name_template"
    )
    assert plan.refused == plan.steps[:5]


@pytest.mark.parametrize("name", ["caf\u00e9", " cafe\u0301", "Cafe\u0301"])
def test_a_name_in_another_form_does_not_match(name: str) -> None:
    assert planned([a_file("cafe\u0301")], [stored(1, name), stored(2, None)]) == [("create", None, [])]


def test_names_that_a_platform_may_merge_are_refused() -> None:
    plan = make_plan([a_file("caf\u00e9"), a_file("cafe\u0301 ")], {}, if_changed="replace")
    assert [step.error_class for step in plan.steps] == [MediaConflictError] * 2


def test_a_file_with_a_problem_is_refused() -> None:
    file = LocalFile(path="a", name="a", problem="it is empty.")
    plan = make_plan([file], {}, if_changed="replace")
    assert plan.steps == (PlanStep(action="refuse", file=file, reason="it is empty.", error_class=MediaFileError),)


def test_an_interrupted_replacement_is_finished_without_an_upload() -> None:
    library = [stored(1, size=5), stored(2, size=6), stored(9), stored(10, size=7)]
    options: dict[str, Any] = {"sent_before": lambda media: media.id > 8}

    assert planned([a_file()], library, **options) == [("replace", 9, [1, 2])]
    assert planned([a_file()], library) == [("keep", 9, [])]
    assert planned([a_file()], library, if_changed="upload", **options) == [("keep", 9, [])]
    assert planned([a_file()], [stored(1, size=5), stored(3), stored(9, size=6)], **options) == [("keep", 3, [])]


def test_files_in_use_are_refused_or_kept() -> None:
    files = [a_file("a.png"), a_file("b.png"), a_file("c.png")]
    library = [stored(1, "a.png", size=5), stored(2, "a.png", size=6), stored(3, "b.png", size=5)]
    plan = make_plan(files, group_by_name(files, library), if_changed="replace")
    used = {2: ["campaign 7"], 3: ["campaign 7", "8"], 99: ["x"]}
    refused = keep_used(plan, used, on_reference="fail")
    skipped = keep_used(plan, used, on_reference="skip")

    assert [step.error_class for step in refused.steps] == [MediaInUseError, MediaInUseError, None]
    assert refused.steps[1].reason == "cannot be replaced: media 3 is used by campaign 7, 8"
    assert [(step.action, [media.id for media in step.old]) for step in skipped.steps] == [
        ("replace", [1]),
        ("create", []),
        ("create", []),
    ]
    assert keep_used(plan, {}, on_reference="fail") == plan


def test_an_uploaded_file_is_kept_when_the_old_one_is_used() -> None:
    files = [a_file()]
    library = group_by_name(files, [stored(1, size=5), stored(9)])
    plan = make_plan(files, library, if_changed="replace", sent_before=lambda media: media.id == 9)
    (step,) = keep_used(plan, {1: ["campaign 7"]}, on_reference="skip").steps
    assert (step.action, step.media, step.old) == ("keep", stored(9), ())


def test_the_same_lists_make_equal_plans_that_survive_json() -> None:
    files = [a_file("a.png"), a_file("b.png")]
    library = group_by_name(files, [stored(1, "a.png"), stored(2, "b.png", size=5)])
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
                "reason": "in the library as 1: same size and type",
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
                "reason": f"id 2 differs (5 bytes, here {SIZE} bytes); deleted after the upload",
                "size": SIZE,
                "mime_type": "image/png",
                "id": None,
                "old_ids": [2],
                "warnings": [],
            },
        ],
    }


def test_one_path_in_two_unicode_forms_is_refused() -> None:
    """Both have the same path in the folder, composed."""
    plan = make_plan([a_file("é.png"), a_file("é.png")], {}, if_changed="replace")
    assert [(step.action, step.error_class) for step in plan.steps] == [("refuse", MediaConflictError)] * 2
    assert "in different Unicode forms (NFC and NFD)" in plan.steps[0].reason


def test_the_table_is_limited_to_500_rows() -> None:
    def steps(action: str, count: int) -> list[PlanStep]:
        files = [LocalFile(path=f"{action}{number}", name="") for number in range(count)]
        return [PlanStep(action=action, file=file, reason="why") for file in files]

    plan = SyncPlan((*steps("keep", 25), *steps("create", 600), *steps("refuse", 1)))
    table = plan.table("refuse", "replace", "create").splitlines()
    assert table[:2] == ["refuse  refuse0    why", "create  create0    why"]
    assert table[-1] == "create: 101 more"
    assert len(table) == 500 + 1
    assert len(plan.table("keep").splitlines()) == 25
    assert plan.table("replace") == ""


@pytest.mark.parametrize(
    ("library", "shown"),
    [
        ([], "create  banner.png  RCS: 9x9 fits no card"),
        (
            [stored(1, size=5)],
            "replace  banner.png  id 1 differs (%s); deleted after the upload; RCS: 9x9 fits no card",
        ),
        ([stored(1)], "keep  banner.png  in the library as 1: same size and type"),
    ],
)
def test_the_table_shows_warnings_of_uploads(library: list[Media], shown: str) -> None:
    file = replace(a_file(), warnings=("RCS: 9x9 fits no card; recommended: 1440x720 (standalone card)",))
    plan = make_plan([file], group_by_name([file], library), if_changed="replace")
    assert plan.table("create", "replace", "keep") == shown.replace("%s", f"5 bytes, here {SIZE} bytes")


def test_sizes_that_round_alike_are_shown_in_bytes() -> None:
    big = LocalFile(path="a.png", name="a.png", upload=make_upload(b"\x89PNG\r\n\x1a\n" + bytes(20_000), name="a.png"))
    plan = make_plan([big], {"a.png": [stored(1, "a.png", size=20_009)]}, if_changed="upload")
    assert plan.steps[0].reason == "id 1 differs (20,009 bytes, here 20,008); kept beside it"
