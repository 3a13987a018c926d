"""The index of names and patterns finds the same matches as testing each pattern."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._polling.criteria import NameIndex

ALPHABET = "ab*?[]!-^.\\ \n"


@given(
    patterns=st.lists(st.text(ALPHABET, min_size=1, max_size=6), max_size=8),
    names=st.lists(st.text(ALPHABET, max_size=8), max_size=8),
)
def test_index_equals_testing_each_pattern(patterns: list[str], names: list[str]) -> None:
    index = NameIndex(patterns)
    for name in names:
        matching = list(index.matching(name))
        expected = {pattern for pattern in patterns if pattern == name or fnmatchcase(name, pattern)}
        assert (set(matching), len(matching)) == (expected, len(expected))
    assert list(index.matching(None)) == []


@pytest.mark.parametrize("pattern", ["*-{}.jpg", "autumn-*-{}.jpg", "{}-*", "card-?{}", "card-[ab]{}"])
def test_patterns_with_other_ends_are_not_tested(pattern: str) -> None:
    index = NameIndex([pattern.format(number) for number in range(1000)])
    name = pattern.format(7).replace("*", "x").replace("?", "x").replace("[ab]", "a")
    assert list(index.matching(name)) == [pattern.format(7)]
    assert index.tested <= 2
