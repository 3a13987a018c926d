"""Media assets: URIs from names, and names from URIs."""

from __future__ import annotations

from importlib.metadata import version
from pkgutil import resolve_name
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media.assets.media import media_asset, media_uri, read_media_uri, sanitize_uri
from airflow_provider_media.provider_info import ASSET_URIS

NAMES = [
    "banner.jpg",
    "Summer Banner.JPG",
    "summer/week 1/banner",
    "/banner",
    "banner/",
    "..",
    "../secret",
    "100% cotton",
    "already%20encoded",
    "Käse & Brot — été ☕",
    "a?b=c#d;e",
    "user:pass@host",
    "tab\tand\nline",
    " spaces around ",
    "[brackets]",
]


@pytest.mark.parametrize("name", NAMES)
def test_name_survives_airflows_normalization(name: str) -> None:
    asset = media_asset("Media_Default", name)
    assert read_media_uri(asset.uri) == ("Media_Default", name)
    assert asset == Asset(uri=asset.uri)


@given(st.text(min_size=1, max_size=40).filter(str.strip), st.text(min_size=1, max_size=40).filter(str.strip))
def test_uri_round_trip_for_any_name_and_connection(connection: str, name: str) -> None:
    try:
        uri = media_uri(connection, name)
    except ValueError:
        assert any(0xD800 <= ord(letter) < 0xE000 for letter in connection + name)
        return
    assert uri.isascii()
    assert read_media_uri(uri) == (connection, name)
    assert sanitize_uri(urlsplit(uri)).geturl() == uri


def test_uri_format() -> None:
    asset = media_asset("media_default", "Summer/Banner 1.jpg")
    assert asset.uri == "media://media_default/Summer%2FBanner%201.jpg"


@pytest.mark.parametrize(
    "written",
    [
        "media://media_default/Summer/Banner 1.jpg",
        "media://media_default/Summer%2fBanner%201.jpg",
        "MEDIA://media_default/Summer/Banner%201.jpg",
        "media://media_default/Summer/Banner 1.jpg/",
        "media://media_default/Summer/Banner 1.jpg#fragment",
    ],
)
def test_handwritten_uris_are_normalized(written: str) -> None:
    assert Asset(uri=written).uri == media_asset("media_default", "Summer/Banner 1.jpg").uri


def test_uris_are_case_sensitive() -> None:
    assert media_asset("c", "Banner") != media_asset("c", "banner")
    assert Asset(uri="media://Prod/Banner").uri == "media://Prod/Banner"


@pytest.mark.parametrize(
    "wrong",
    [
        "media:///banner",
        "media://media_default",
        "media://media_default/",
        "media://c/a?b=c",
        "media://c/%FF",
        "media:x",
    ],
)
def test_invalid_uri_is_rejected_in_one_sentence(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*media asset[^\n]*\.$"):
        sanitize_uri(urlsplit(wrong))


def test_airflow_validates_uris() -> None:
    if version("apache-airflow").startswith("3."):
        rejection = pytest.raises(ValueError, match="'media:///banner' is not a media asset")
    else:
        rejection = pytest.warns(
            UserWarning, match="'media:///banner' is not a media asset.*In Airflow 3, this will raise"
        )
    with rejection:
        Asset(uri="media:///banner")


@pytest.mark.parametrize("wrong", ["", "  ", None, 7])
def test_asset_requires_a_connection_and_a_name(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"^A media asset requires a name, not {wrong!r}.$"):
        media_asset("media_default", wrong)
    with pytest.raises(ValueError, match=f"^A media asset requires a connection, not {wrong!r}.$"):
        media_asset(wrong, "banner")


def test_name_that_is_too_long_is_rejected() -> None:
    assert media_asset("c", "a" * 1490)
    with pytest.raises(ValueError, match="is too long: 1510 characters; at most 1500"):
        media_asset("c", "a" * 1500)


def test_lineage_factory_accepts_keywords() -> None:
    asset = resolve_name(ASSET_URIS[0]["factory"])(media_conn_id="c", name="A b", extra={"x": 1})
    assert asset == media_asset("c", "A b", extra={"x": 1})


def test_openlineage_gets_the_connection_and_the_name() -> None:
    utils = pytest.importorskip("airflow.providers.openlineage.utils.utils")
    dataset = utils.translate_airflow_asset(media_asset("media_default", "Été / 1"), None)
    assert (dataset.namespace, dataset.name) == ("media://media_default", "Été / 1")
