"""Arguments that came out of templates and XComs."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_media._airflow.arguments import parse_choice, parse_int, parse_list, parse_media_ids, parse_str
from airflow_provider_media.exceptions import MediaConfigurationError


class Sequence:
    """Like the lazy sequence of a mapped task's results."""

    def __iter__(self) -> Any:
        return iter([1, 2])


@pytest.mark.parametrize(("value", "number"), [(1, 1), ("12", 12), (" 12 ", 12)])
def test_a_whole_number_may_be_a_text(value: Any, number: int) -> None:
    assert parse_int("max_items", value) == number


@pytest.mark.parametrize("value", [0, "0", -1, 1.5, "", "None", None, True, "ten", "1_0", "9" * 30])
def test_what_is_no_whole_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="max_items must be a whole number of at least 1"):
        parse_int("max_items", value)


def test_a_text_is_stripped() -> None:
    assert parse_str("name", " a b ") == "a b"


@pytest.mark.parametrize("value", ["", "  ", "None", None, 5, ["a"]])
def test_a_text_that_came_out_empty_is_refused_by_name(value: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"^name must not be .* come out empty\?$"):
        parse_str("name", value)


def test_a_choice_is_one_of_its_choices() -> None:
    assert parse_choice("if_missing", "fail", ("fail", "ignore")) == "fail"
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
        (None, [None]),
        ("", [""]),
        ([], []),
    ],
)
def test_several_may_be_given_in_many_ways(value: Any, spread: list[Any]) -> None:
    assert parse_list("names", value) == spread


@pytest.mark.parametrize("value", ["[1, 2", "[a, b]", "(open('x'))", "[" * 10_000])
def test_a_text_that_only_looks_like_a_list_is_no_id(value: str) -> None:
    with pytest.raises(MediaConfigurationError, match="is not a list of ids"):
        parse_media_ids(None, value, ignore_none=True)


@pytest.mark.parametrize("media_ids", [[], "[]", ()])
def test_an_empty_list_is_told_as_such_unless_nothing_is_fine(media_ids: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="No id was given: media_ids is empty"):
        parse_media_ids(None, media_ids, ignore_none=False)
    assert parse_media_ids(7, media_ids, ignore_none=False) == [7]
    assert parse_media_ids(None, media_ids, ignore_none=True) == []


@pytest.mark.parametrize(
    ("media_id", "media_ids", "ids"),
    [
        (7, None, [7]),
        ("7", None, ["7"]),
        (None, [3, 1, 2], [3, 1, 2]),
        (9, [1, "9", "1", 2], ["9", "1", 2]),
        (None, "['med_a', 'med_b']", ["med_a", "med_b"]),
        (None, 7, [7]),
        (None, " 7 ", ["7"]),
        (None, Sequence(), [1, 2]),
    ],
)
def test_ids_are_put_together_each_once_in_their_order(media_id: Any, media_ids: Any, ids: list[Any]) -> None:
    assert parse_media_ids(media_id, media_ids, ignore_none=False) == ids


@pytest.mark.parametrize(
    ("media_id", "media_ids"),
    [(None, None), (None, [None]), (7, [None]), (None, [1, None]), (None, "[None]"), (None, "[null]")],
)
def test_none_is_refused_as_an_id_unless_told_to_ignore_it(media_id: Any, media_ids: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="None is not a media id"):
        parse_media_ids(media_id, media_ids, ignore_none=False)
    assert None not in parse_media_ids(media_id, media_ids, ignore_none=True)


@pytest.mark.parametrize("wrong", ["", "None", True, 1.5, [1], {}])
@pytest.mark.parametrize("ignore_none", [True, False])
def test_what_is_no_id_is_refused_even_when_none_is_ignored(wrong: Any, *, ignore_none: bool) -> None:
    with pytest.raises(MediaConfigurationError, match="is not a media id"):
        parse_media_ids(None, [1, wrong], ignore_none=ignore_none)
    with pytest.raises(MediaConfigurationError, match="is not a media id"):
        parse_media_ids(wrong, None, ignore_none=ignore_none)


def test_ids_that_can_be_walked_only_once_are_walked_once() -> None:
    assert parse_media_ids(None, iter([1, 2]), ignore_none=False) == [1, 2]
    with pytest.raises(MediaConfigurationError, match="None is not a media id"):
        parse_media_ids(None, iter([1, None]), ignore_none=False)
