"""A secret shows in no repr, and is removed from text however a server may have written it."""

from __future__ import annotations

import base64
import copy
import html
import json
import pickle
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.settings import Secret, redact, redact_bytes
from airflow_provider_media._api.values import redact_url, redact_urls, safe_cause

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = ["sk-live-4f5e6d7c8b9a", 'ab/cd+ef=="x', "K&y<1>'2'%20\\n", "~!@#$^*()_-=[]{}|;:,.?"]

WAYS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in upper case": str.upper,
    "in lower case": str.lower,
    "as JSON": lambda key: json.dumps(key)[1:-1],
    "as JSON in JSON": lambda key: json.dumps(json.dumps(key))[1:-1],
    "with PHP's slashes": lambda key: json.dumps(key)[1:-1].replace("/", r"\/"),
    "as JSON's codes": lambda key: "".join(f"\\u{ord(character):04X}" for character in key),
    "percent-encoded": lambda key: quote(key, safe=""),
    "percent-encoded twice": lambda key: quote(quote(key, safe=""), safe=""),
    "all percent-encoded": lambda key: "".join(f"%{ord(character):02x}" for character in key),
    "as HTML": html.escape,
    "as HTML twice": lambda key: html.escape(html.escape(key)),
    "as HTML's decimal codes": lambda key: "".join(f"&#{ord(character)};" for character in key),
    "as HTML's hexadecimal codes": lambda key: "".join(f"&#x{ord(character):04X};" for character in key),
    "in Base64": lambda key: base64.b64encode(key.encode()).decode(),
    "in Base64 for addresses": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "in Base64 after a user": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "in Base64 within more": lambda key: base64.b64encode(f"xy{key}z".encode()).decode(),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("way", WAYS)
def test_secret_is_redacted_in_any_spelling(key: str, way: str) -> None:
    written = WAYS[way](key)
    said = redact(Secret(key), f"before {written} after")
    assert said.startswith("before ")
    assert said.endswith(" after")
    assert "***" in said
    assert len(said) < len("before *** after") + 12  # of Base64, what other bytes have a part in remains


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "iso-8859-1"])
def test_a_secret_is_redacted_in_every_encoding_of_json(key: str, encoding: str) -> None:
    body = json.dumps({"message": f"Schlüssel {key}", "id": 7}, ensure_ascii=False).encode(encoding)
    assert json.loads(redact_bytes(Secret(key), body).decode(encoding)) == {"message": "Schlüssel ***", "id": 7}


@given(st.binary(max_size=300))
def test_other_bytes_stay_as_they_are(data: bytes) -> None:
    assert redact_bytes(Secret("sk-live-4f5e6d7c8b9a"), data) == data


@given(
    value=st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
    is_ascii=st.booleans(),
)
def test_json_stays_json(value: object, *, is_ascii: bool) -> None:
    key = "sk-live-4f5e6d7c8b9a"
    text = json.dumps([value, f"\\{key}", f"\\\\{key}\n", value], ensure_ascii=is_ascii)
    assert json.loads(redact(Secret(key), text))[0] == value


@pytest.mark.parametrize("key", ["", "k", "content", "media"])
def test_short_secret_is_not_redacted(key: str) -> None:
    assert redact(Secret(key), '{"content": [], "media": "k"}') == '{"content": [], "media": "k"}'
    assert redact(None, "a text") == "a text"


def test_a_secret_shows_in_no_repr_and_survives_copies() -> None:
    secret = Secret("sk-live-4f5e6d7c8b9a")
    for made in (secret, copy.deepcopy(secret), pickle.loads(pickle.dumps(secret))):  # noqa: S301 - our own bytes
        assert made == secret
        assert hash(made) == hash(secret)
        assert made.reveal() == "sk-live-4f5e6d7c8b9a"
        assert "sk-live" not in repr([{"key": made}]) + str(made) + f"{made}"


URLS = {
    "https://media.example/banner.png": "https://media.example/banner.png",
    "https://media.example:8443/a@b.png": "https://media.example:8443/a@b.png",
    "https://user:s3cr3t@media.example/banner.png": "https://***@media.example/banner.png",
    "https://s3cr3t@media.example/banner.png": "https://***@media.example/banner.png",
    "HTTPS://u:s3cr3t@media.example?s3cr3t": "HTTPS://***@media.example?***",
    "https://media.example/b.png?X-Amz-Date=1&X-Amz-Signature=s3cr3t": "https://media.example/b.png?***",
    "https://media.example/b.png?sv=2026&sig=s3cr3t%2F#top": "https://media.example/b.png?***",
    "https://media.example/b.png?s3cr3t": "https://media.example/b.png?***",
    "https://media.example/b.png#access_token=s3cr3t": "https://media.example/b.png#***",
    "https://media.example?next=https://u:s3cr3t@other.example/": "https://media.example?***",
    "s3://aws_campaigns@bucket/banner.png": "s3://aws_campaigns@bucket/banner.png",
    "s3://AKIA:s3cr3t@bucket/banner.png": "s3://***@bucket/banner.png",
    "s3://AKIA:s3/cr3t@bucket/banner.png": "s3://***@bucket/banner.png",
    "s3://bucket/banner.png?X-Amz-Signature=s3cr3t": "s3://bucket/banner.png?***",
    "s3://bucket/really?.png": "s3://bucket/really?.png",
    "abfss://files@account.dfs.example/b.png?sig=s3cr3t": "abfss://files@account.dfs.example/b.png?***",
    "/media/banner.png?sig=none": "/media/banner.png?sig=none",
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_shown_without_credentials_and_signatures(url: str) -> None:
    assert redact_url(url) == URLS[url]
    assert redact_urls(f"GET '{url}' failed: {url}") == f"GET '{URLS[url]}' failed: {URLS[url]}"
    assert redact_url(redact_url(url)) == redact_url(url)


def test_a_cause_with_a_signed_url_is_not_chained() -> None:
    signed, plain = OSError("GET https://files.example/banner.png?sig=s3cr3t"), OSError("no such file")
    wrapped = ValueError("reading failed")
    wrapped.__cause__ = signed
    assert [safe_cause(error) for error in (signed, wrapped, plain)] == [None, None, plain]
