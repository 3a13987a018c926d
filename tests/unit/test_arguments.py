"""Arguments from templates and XComs."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    ExactName,
    parse_choice,
    parse_list,
    parse_media_id,
    parse_media_ids,
    parse_name,
    parse_names,
    parse_nullable,
    parse_optional,
    parse_path,
    parse_str,
    parse_token,
)
from airflow_provider_media._api.values import parse_bool, parse_int
from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = {
    "banner.jpg": {"path": "banner.jpg", "id": 7, "name": "summer/banner [1].jpg"},
    "id": {"path": "id", "id": "med_9", "name": "summer/id"},
}


class Sequence:
    """Like the lazy sequence of a mapped task's results."""

    def __init__(self, *items: Any) -> None:
        self.items = items or (1, 2)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def test_not_given_is_a_singleton_with_a_stable_repr() -> None:
    for again in (copy.copy(NOT_GIVEN), copy.deepcopy([NOT_GIVEN])[0], pickle.loads(pickle.dumps(NOT_GIVEN))):  # noqa: S301 - our own
        assert again is NOT_GIVEN
    assert repr(NOT_GIVEN) == str(NOT_GIVEN) == f"{NOT_GIVEN}" == "NOT_GIVEN"
    assert not NOT_GIVEN


@pytest.mark.parametrize(
    "parse", [parse_int, parse_bool, parse_str, parse_token, parse_name, parse_names, parse_list, parse_path]
)
def test_none_is_rejected_with_the_field_name(parse: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"^folder_id must not be None: .* leave the argument out\.$"):
        parse_optional(parse, "folder_id", None)
    assert parse_optional(parse, "folder_id", NOT_GIVEN) is None
    assert parse_nullable(parse, "folder_id", None) is None


@pytest.mark.parametrize(("value", "number"), [(1, 1), ("12", 12), (" 12 ", 12)])
def test_an_integer_may_be_a_string(value: Any, number: int) -> None:
    assert parse_int("max_items", value) == number


@pytest.mark.parametrize("value", [0, "0", -1, 1.5, "", "None", True, "ten", "1_0", "9" * 30])
def test_invalid_integer_is_rejected_with_the_field_name(value: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="max_items must be an integer of at least 1"):
        parse_int("max_items", value)


@pytest.mark.parametrize("text", [" a b ", "banner ", "\tbanner", "Banner\n", "2026_07", "1e5"])
def test_a_string_is_never_changed(text: str) -> None:
    assert parse_str("name", text) == text
    assert parse_name("name", text) == text
    assert parse_names("names", [text]) == [text]


def test_an_integer_of_native_rendering_is_its_digits() -> None:
    assert parse_str("name", 20260701) == "20260701"


@pytest.mark.parametrize("value", ["", "  ", "None", " None "])
def test_empty_string_is_rejected_with_the_field_name(value: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"^name must not be .* return nothing\?$"):
        parse_str("name", value)


@pytest.mark.parametrize("value", [1.5, True, ["a"], {"a": 1}, b"a"])
def test_other_type_than_string_is_rejected_with_the_field_name(value: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"^name must be a string, not "):
        parse_str("name", value)


@pytest.mark.parametrize("value", ["ignore", " Ignore ", "IGNORE"])
def test_a_choice_is_one_of_its_choices_in_any_case(value: str) -> None:
    assert parse_choice("if_missing", value, ("fail", "ignore")) == "ignore"


def test_invalid_choice_is_rejected_with_the_field_name() -> None:
    with pytest.raises(MediaConfigurationError, match="if_missing must be one of fail, ignore, not 'warn'"):
        parse_choice("if_missing", "warn", ("fail", "ignore"))


@pytest.mark.parametrize(
    ("value", "spread"),
    [
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (Sequence(), [1, 2]),
        ((number for number in (1, 2)), [1, 2]),
        ("[1, 'b', None]", [1, "b", None]),
        (" (1, 2) ", [1, 2]),
        ('["a", null, 3]', ["a", None, 3]),
        ('["it\'s", "\\u00e9"]', ["it's", "é"]),
        ("[draft] banner", ["[draft] banner"]),
        ("(5)", ["(5)"]),
        ("[a, b]", ["[a, b]"]),
        ("(open('x'))", ["(open('x'))"]),
        pytest.param("[" * 10_000, ["[" * 10_000], id="deep nesting"),
        ("med_7", ["med_7"]),
        (7, [7]),
        ("", [""]),
        ([], []),
        ([[1], [2, [3]]], [1, 2, 3]),
        ([Sequence("a", "b"), "c"], ["a", "b", "c"]),
        ([Sequence(Sequence(1), []), ()], [1]),
        (["[draft]", "[1]"], ["[draft]", "[1]"]),
        (MANIFEST, list(MANIFEST.values())),
        (str(MANIFEST), list(MANIFEST.values())),
        ({}, []),
        ({"id": 7, "name": "a"}, [{"id": 7, "name": "a"}]),
        ([{"id": 7}, MANIFEST], [{"id": 7}, *MANIFEST.values()]),
    ],
)
def test_lists_are_parsed_in_every_form(value: Any, spread: list[Any]) -> None:
    assert parse_list("names", value) == spread


@pytest.mark.parametrize("value", ["[1, 2", "[a, b]", "(open('x'))", "[" * 10_000, "{'a'"])
def test_string_that_resembles_a_list_is_not_an_id(value: str) -> None:
    with pytest.raises(MediaConfigurationError, match="is not a list of ids"):
        parse_media_ids(NOT_GIVEN, value, ignore_none=True)


@pytest.mark.parametrize("media_ids", [[], "[]", (), {}, [[], Sequence([], [])]])
def test_empty_list_of_ids_is_an_error_unless_none_is_ignored(media_ids: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="media_ids is empty"):
        parse_media_ids(NOT_GIVEN, media_ids, ignore_none=False)
    assert parse_media_ids(7, media_ids, ignore_none=False) == [7]
    assert parse_media_ids(NOT_GIVEN, media_ids, ignore_none=True) == []


@pytest.mark.parametrize(
    ("media_id", "media_ids", "ids"),
    [
        (7, NOT_GIVEN, [7]),
        ("7", NOT_GIVEN, ["7"]),
        ({"id": 7, "name": "a"}, NOT_GIVEN, [7]),
        (NOT_GIVEN, [3, 1, 2], [3, 1, 2]),
        (9, [1, "9", "1", 2], ["9", "1", 2]),
        (NOT_GIVEN, "['med_a', 'med_b']", ["med_a", "med_b"]),
        (NOT_GIVEN, 7, [7]),
        (NOT_GIVEN, " 7 ", ["7"]),
        (NOT_GIVEN, "1e5", ["1e5"]),
        (NOT_GIVEN, Sequence(), [1, 2]),
        (NOT_GIVEN, [Sequence(), 9, [4, [5]]], [1, 2, 9, 4, 5]),
        (NOT_GIVEN, ["[1, 2]", 3], [1, 2, 3]),
        (NOT_GIVEN, MANIFEST, [7, "med_9"]),
        (NOT_GIVEN, str(MANIFEST), [7, "med_9"]),
        (NOT_GIVEN, [{"id": 7}, MANIFEST["id"]], [7, "med_9"]),
    ],
)
def test_ids_are_unique_and_in_order(media_id: Any, media_ids: Any, ids: list[Any]) -> None:
    assert parse_media_ids(media_id, media_ids, ignore_none=False) == ids


@pytest.mark.parametrize(
    ("media_id", "media_ids"),
    [
        *((None, NOT_GIVEN), (NOT_GIVEN, None), (None, [1]), (NOT_GIVEN, [None]), (7, [None]), (NOT_GIVEN, [1, None])),
        *((NOT_GIVEN, "[None]"), (NOT_GIVEN, "[null]"), (NOT_GIVEN, [Sequence(1, None)]), (NOT_GIVEN, [[None], 1])),
    ],
)
def test_none_is_rejected_as_an_id_unless_ignored(media_id: Any, media_ids: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="None is not a media id"):
        parse_media_ids(media_id, media_ids, ignore_none=False)
    assert None not in parse_media_ids(media_id, media_ids, ignore_none=True)


@pytest.mark.parametrize("ignore_none", [True, False])
def test_neither_one_nor_several_is_an_error(*, ignore_none: bool) -> None:
    with pytest.raises(MediaConfigurationError, match=r"^Give media_id or media_ids"):
        parse_media_ids(NOT_GIVEN, NOT_GIVEN, ignore_none=ignore_none)


@pytest.mark.parametrize("wrong", ["", "None", True, 1.5, {"name": "a"}, {"id": None}, {"manifest_path": "/x"}])
@pytest.mark.parametrize("ignore_none", [True, False])
def test_invalid_id_is_rejected_even_if_none_is_ignored(wrong: Any, *, ignore_none: bool) -> None:
    with pytest.raises(MediaConfigurationError, match="is not a media id"):
        parse_media_ids(NOT_GIVEN, [1, wrong], ignore_none=ignore_none)
    with pytest.raises(MediaConfigurationError, match="is not a media id"):
        parse_media_ids(wrong, NOT_GIVEN, ignore_none=ignore_none)


@pytest.mark.parametrize("several", [[1], Sequence(), {1, 2}])
def test_several_are_not_one_id(several: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="several values: use media_ids"):
        parse_media_id("media_id", several)


@pytest.mark.parametrize("given", ["17,18", "17, 18", "17 18", "17;18", "17\n18", ["16", "17,18"], "['17,18']"])
def test_a_string_of_several_ids_is_refused_with_a_hint(given: Any) -> None:
    for ignore_none in (False, True):
        with pytest.raises(MediaConfigurationError, match=r"^media_ids '.*' is not a media id\. Pass a list"):
            parse_media_ids(NOT_GIVEN, given, ignore_none=ignore_none)


def test_iterator_of_ids_is_consumed_once() -> None:
    assert parse_media_ids(NOT_GIVEN, iter([1, 2]), ignore_none=False) == [1, 2]
    with pytest.raises(MediaConfigurationError, match="None is not a media id"):
        parse_media_ids(NOT_GIVEN, iter([1, None]), ignore_none=False)


LAZY_TEXTS = ["LazySelectSequence([3 items])", "x-LazyXComSelectSequence([2 items])", "<generator object f at 0x7f>"]


@pytest.mark.parametrize("text", LAZY_TEXTS)
def test_repr_of_a_lazy_sequence_is_not_an_id_or_name(text: str) -> None:
    for given in (text, [text], [[text]]):
        with pytest.raises(MediaConfigurationError, match=r"lazy sequence.* Pass its \.output, as in media_ids=upload"):
            parse_media_ids(NOT_GIVEN, given, ignore_none=True)
        with pytest.raises(MediaConfigurationError, match=r"lazy sequence.* Pass its \.output"):
            parse_names("names", given)
    for parse in (parse_str, parse_name, parse_media_id, parse_path):
        with pytest.raises(MediaConfigurationError, match=r"lazy sequence.* Pass its \.output"):
            parse("name", text)


def test_names_of_files_are_exact_and_others_may_be_patterns() -> None:
    names = parse_names("names", [{"id": 1, "name": "a [1]"}, "b*", MANIFEST])
    assert names == ["a [1]", "b*", "summer/banner [1].jpg", "summer/id"]
    assert [isinstance(name, ExactName) for name in names] == [True, False, True, True]


@pytest.mark.parametrize("several", [["a", "b"], (Path("a"),), {"a": 1}])
def test_several_paths_are_refused_with_the_fix(several: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"file must be one path, .* \.expand\(file=\[\.\.\.\]\)"):
        parse_path("file", several)


def test_path_or_stream_is_returned_unchanged() -> None:
    path = Path("/data/banner.png")
    assert parse_path("file", path) is path
