"""Patterns over the paths of a folder, and what a sync skips by default."""

from __future__ import annotations

import re
import time
from fnmatch import translate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._sync.scan import PathPattern, reason_to_skip
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.{jpg,png}", ["a.jpg", "b.png"], ["a.gif", "x/a.jpg", "a.{jpg,png}"]),
        ("**/*.{jp{,e}g,png}", ["a.jpg", "x/a.jpeg", "x/y/a.png"], ["a.jpgg"]),
        ("{summer,winter}/**", ["summer/a.png", "winter/x/a.png"], ["spring/a.png", "x/summer/a.png"]),
        ("{summer/a,winter}.png", ["summer/a.png", "winter.png"], ["winter/a.png"]),
        ("banner{1}.png", ["banner{1}.png"], ["banner1.png"]),
        ("[!a]*", ["b.png"], ["a.png", "x/b.png"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["b", "a/b/c"]),
        ("/a/", ["a"], ["a/b"]),
        ("a//b", ["a//b"], ["a/b"]),
    ],
)
def test_a_pattern_matches_paths(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = PathPattern(pattern)
    assert [path for path in matching if not compiled.matches(path)] == []
    assert [path for path in others if compiled.matches(path)] == []


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.psd", ["a.psd", "x/y/a.psd"], ["a.psd.png"]),
        ("raw", ["raw", "raw/a.png", "x/raw/y/a.png"], ["rawhide/a.png", "a/raw.png"]),
        ("raw/", ["raw/a.png", "x/raw/a.png"], ["rawhide/a.png"]),
        ("x/*.psd", ["x/a.psd"], ["y/x/a.psd", "x/y/a.psd"]),
        ("old/**", ["old/a.png", "old/x/a.png"], ["x/old/a.png"]),
        ("{drafts,*_tmp*}", ["drafts/a.png", "x/a_tmp.png"], ["draft/a.png"]),
    ],
)
def test_an_exclude_pattern_matches_at_any_depth(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = PathPattern.anywhere(pattern)
    assert [path for path in matching if not compiled.matches(path)] == []
    assert [path for path in others if compiled.matches(path)] == []


NAMES = st.text(alphabet="ab.", min_size=1, max_size=3)
PARTS = st.one_of(st.just("**"), st.text(alphabet="ab.*?", min_size=1, max_size=3))


@given(st.lists(PARTS, min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=5))
def test_a_pattern_matches_as_its_regular_expression(parts: list[str], names: list[str]) -> None:
    def match(names: list[str], rest: list[str]) -> bool:
        if not names:
            return not rest
        if names[0] == "**":
            return any(match(names[1:], rest[skipped:]) for skipped in range(len(rest) + 1))
        return bool(rest) and bool(re.match(translate(names[0]), rest[0])) and match(names[1:], rest[1:])

    compiled = PathPattern("/".join(parts))
    assert compiled.matches("/".join(names)) == match(parts, names)
    if compiled.matches("/".join(names)):
        assert all(compiled.may_match_within("/".join(names[:depth])) for depth in range(len(names)))


def test_many_double_asterisks_stay_fast() -> None:
    compiled = PathPattern("**/a*/" * 12 + "**/*.png")
    path = "/".join(["aa"] * 40) + "/x.jpg"
    began = time.process_time()
    assert not any(compiled.matches(f"{number}/{path}") for number in range(100))
    assert time.process_time() - began < 5


def test_too_many_alternatives_are_refused() -> None:
    with pytest.raises(MediaError, match="more than 1000 patterns") as caught:
        PathPattern("{a,b}" * 12)
    assert type(caught.value) is MediaConfigurationError


@pytest.mark.parametrize(
    "path",
    [
        *("@eaDir/a.png", "x/@EADIR/a.jpg", "#recycle/a.png", "@Recycle/x/a.png", "$RECYCLE.BIN/a.png"),
        *("lost+found/#1", "__MACOSX/a.png", "x/#snapshot/a.png", "System Volume Information/a.png"),
        *("a.mp4.part", "a.png.filepart", "a.PARTIAL", "a.crdownload", "a.mp4.!ut", "~syncthing~a.png.tmp"),
        *("Icon\r", "ehthumbs_vista.db", "THUMBS.DB", "~$deck.pptx", "x_$folder$", "x/_SUCCESS", ".DS_Store"),
        *(".git/a.png", "x/.a.png", "desktop.ini"),
    ],
)
def test_what_is_not_meant_is_skipped(path: str) -> None:
    assert reason_to_skip(path)


@pytest.mark.parametrize(
    "path",
    [
        *("part.png", "@banner.png", "recycle/a.png", "a/../b.png", "./a.png", "a//b.png", "Icon.png", "snapshot.png"),
        *("_SUCCESS.png", "partial/a.png", "~a.png", "#summer.png"),
    ],
)
def test_content_is_not_skipped(path: str) -> None:
    assert reason_to_skip(path) is None
