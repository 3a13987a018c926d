"""What the list operator takes for a match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._airflow.arguments import ExactName
from airflow_provider_media.models import Media
from airflow_provider_media.operators.media import MediaListOperator

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ["banner.png", "banner [1].png", "banner 1.png", " banner ", "Banner.png", "what?.gif", "whats.gif"]


class FakeHook:
    def iter_media(self, **_: Any) -> Iterator[Media]:
        return (Media(id=number, name=name, mime_type="image/png") for number, name in enumerate(NAMES, 1))


def listed(**arguments: Any) -> list[str]:
    operator = MediaListOperator(task_id="list", **arguments)
    operator.__dict__["hook"] = FakeHook()
    return [media["name"] for media in operator.execute({})]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("banner.png", ["banner.png"]),
        ("banner*", ["banner.png", "banner [1].png", "banner 1.png"]),
        ("banner [1].png", ["banner [1].png", "banner 1.png"]),
        ("what?.gif", ["what?.gif", "whats.gif"]),
        (" banner ", [" banner "]),
        (" banner.png ", []),
        ("none", []),
    ],
)
def test_a_name_matches_itself_and_as_a_pattern(name: str, found: list[str]) -> None:
    assert listed(name=name) == found


@pytest.mark.parametrize("name", ["banner [1].png", "what?.gif"])
def test_without_wildcards_a_name_matches_itself_only(name: str) -> None:
    assert listed(name=name, wildcards=False) == [name]
    assert listed(name=name, wildcards="False") == [name]
    assert listed(name=ExactName(name)) == [name]
    assert listed(name={"id": 1, "name": name}) == [name]


def test_without_wildcards_an_asterisk_is_a_letter() -> None:
    assert listed(name="banner*", wildcards=False) == []


def test_types_are_matched_by_patterns() -> None:
    assert listed(mime_type="image/*") == NAMES
    assert listed(mime_type="video/*") == []
