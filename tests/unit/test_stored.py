"""Test which stored names are credible in a response."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest

from airflow_provider_media._upload.spec import (
    fingerprint_in,
    has_name,
    is_name_credible,
    name_digest_in,
    with_fingerprint,
)
from airflow_provider_media.models import Media

SUM = "a" * 64


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("banner.png", None),
        ("banner.png", "banner.png"),
        ("Summer Banner.PNG", "summer-banner.png"),
        ("Summer Banner.PNG", "summer_banner"),
        (" banner ", "banner"),
        ("cafe\u0301.png", "caf\u00e9.png"),
        ("caf\u00e9.png", "cafe.png"),
        ("caf\u00e9.png", "caf-.png"),
        ("banner-of-the-summer-week.png", "banner-of-the-su"),
        ("banner-of-the-summer-week.png", "banner-of.png"),
        ("summer/2026/banner.png", "banner.png"),
        ("summer/2026/banner.png", "summer-2026-banner.png"),
        ("\u043c\u0435\u043d\u044e.png", "-.png"),
    ],
)
def test_a_shortened_lower_cased_or_slugified_name_is_credible(sent: str, stored: str | None) -> None:
    assert is_name_credible(sent, stored)


@pytest.mark.parametrize(
    "stored",
    [
        "Caf_ _ Gr__e Summer _Week_ 50_ _n_.png",
        "CafGreSummerWeek50n.png",
        "Caf? & Gr??e Summer ?Week? 50% ?n?.png",
        "Cafe & Grosse Summer <<Week>> 50% Uni.png",
        "Cafe & Groesse Summer Week 50% Ueni.png",
        "cafe-and-grosse-summer-week-50-percent-uni-png",
        "cafe-gro-e-summer-we.png",
        "Caf%C3%A9%20%26%20Gr%C3%B6%C3%9Fe%20Summer%20%C2%ABWeek%C2%BB%2050%25%20%C3%9Cn%C3%AF.png",
        "Caf%C3%A9+%26+Gr%C3%B6%C3%9Fe+Summer",
        "Caf\u00c3\u00a9 & Gr\u00c3\u00b6\u00c3\u009fe Summer \u00c2\u00abWeek\u00c2\u00bb",
        "Caf&eacute; &amp; Gr&#246;&szlig;e Summer &laquo;Week&raquo; 50% &Uuml;n&iuml;.png",
        "caf\u00e9 & gr\u00f6\u00dfe summer \u00abweek\u00bb 50% \u00fcn\u00ef.png",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_whose_characters_are_replaced_or_escaped_is_credible(stored: str, form: Literal["NFC", "NFD"]) -> None:
    sent = "Caf\u00e9 & Gr\u00f6\u00dfe Summer \u00abWeek\u00bb 50% \u00dcn\u00ef.png"
    assert is_name_credible(unicodedata.normalize(form, sent), stored)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("\u0431\u0430\u043d\u043d\u0435\u0440 1.png", "banner-1-png"),
        ("\u0449\u0438\u0442.png", "shchit.png"),
        ("\u6a2a\u5e45.png", "hengfu.png"),
        ("\u6a2a\u5e45.png", "_.png"),
        ("sm\u00f8rrebr\u00f8d.png", "smorrebrod.png"),
        ("me@home + you.png", "me-at-home-plus-you.png"),
    ],
)
def test_a_transliterated_name_is_credible(sent: str, stored: str) -> None:
    assert is_name_credible(sent, stored)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("banner.png", "other.png"),
        ("a.png", "b.png"),
        ("banner.png", ".png"),
        ("banner.png", ""),
        ("banner 1.png", "banner 2.png"),
        ("banner-1.png", "banner-12.png"),
        ("caf\u00e9 1.png", "cafe-12.png"),
        ("\u0431\u0430\u043d\u043d\u0435\u0440 1.png", "banner-2.png"),
        ("\u0449\u0438\u0442.png", "a-name-that-is-too-long-for-it.png"),
        ("banner & co.png", "banner-or-co.png"),
    ],
)
def test_any_other_name_is_not_credible(sent: str, stored: str) -> None:
    assert not is_name_credible(sent, stored)


@pytest.mark.parametrize("name", ["Summer Banner.png", " a", "caf\u00e9.png", "banner.png", "a", "week/a.png"])
def test_a_name_digest_in_the_description_matches(name: str) -> None:
    description = with_fingerprint("Of summer", SUM, name)
    assert description.startswith("Of summer name:")
    assert fingerprint_in(description) == SUM
    assert has_name(Media(id=1, name="changed", description=description), name)
    assert not has_name(Media(id=1, name="changed", description=description), "changed")


@pytest.mark.parametrize("description", [None, "", "Of summer", f"sha256:{SUM}", f"name:{'a' * 16} of sha256:{SUM}"])
def test_a_name_without_a_digest_is_compared_exactly(description: str | None) -> None:
    assert name_digest_in(description) is None
    assert has_name(Media(id=1, name="a", description=description), "a")
    assert not has_name(Media(id=1, name="A", description=description), "a")
