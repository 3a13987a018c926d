"""What a platform may have made of a name; it decides only whether a response is believed."""

from __future__ import annotations

import pytest

from airflow_provider_media._api.fingerprint import bears_name, fingerprint_in, name_proof_in, with_fingerprint
from airflow_provider_media._api.stored import is_name_credible
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
    ("sent", "stored"),
    [("banner.png", "other.png"), ("a.png", "b.png"), ("banner.png", ".png"), ("banner 1.png", "banner 2.png")],
)
def test_any_other_name_is_not(sent: str, stored: str) -> None:
    assert not is_name_credible(sent, stored)


@pytest.mark.parametrize("name", ["Summer Banner.png", " a", "caf\u00e9.png", "banner.png", "a", "week/a.png"])
def test_a_name_is_proved_by_the_description(name: str) -> None:
    description = with_fingerprint("Of summer", SUM, name)
    assert description.startswith("Of summer name:")
    assert fingerprint_in(description) == SUM
    assert bears_name(Media(id=1, name="changed", description=description), name)
    assert not bears_name(Media(id=1, name="changed", description=description), "changed")


@pytest.mark.parametrize("description", [None, "", "Of summer", f"sha256:{SUM}", f"name:{'a' * 16} of sha256:{SUM}"])
def test_without_a_proof_the_name_is_compared_exactly(description: str | None) -> None:
    assert name_proof_in(description) is None
    assert bears_name(Media(id=1, name="a", description=description), "a")
    assert not bears_name(Media(id=1, name="A", description=description), "a")
