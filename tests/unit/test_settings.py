"""A connection becomes one checked value, or one clear sentence."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.settings import DEFAULT_BASE_ADDRESS, Secret, Settings, read_settings
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError


def read(**fields: Any) -> Settings:
    password = fields.pop("password", "a-key")
    return read_settings(password=None if password is None else Secret(password), **fields)


def refusal(**fields: Any) -> str:
    with pytest.raises(MediaError) as raised:
        read(**fields)
    assert type(raised.value) is MediaConfigurationError
    return str(raised.value)


def test_empty_connection_has_the_documented_defaults() -> None:
    assert read() == Settings(
        base_url="https://lora-api.agiletelecom.com/api",
        api_key=Secret("a-key"),
        timeout=60,
        connect_timeout=10,
        settle_seconds=30,
        max_attempts=10,
        retry_budget=120,
        verify=True,
        proxy=None,
        requests_per_second=None,
        allow_delete=True,
    )


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "media.example"}, "https://media.example"),
        ({"host": "  media.example  "}, "https://media.example"),
        ({"host": "http://media.example"}, "http://media.example"),
        ({"host": "HTTPS://media.example"}, "https://media.example"),
        ({"host": "https://media.example/api/"}, "https://media.example/api"),
        ({"host": "media.example/api"}, "https://media.example/api"),
        ({"host": "media.example", "port": 8443}, "https://media.example:8443"),
        ({"host": "media.example", "port": "8443"}, "https://media.example:8443"),
        ({"host": "media.example", "port": ""}, "https://media.example"),
        ({"host": "media.example:8443"}, "https://media.example:8443"),
        ({"host": "media.example:8443", "port": 8443}, "https://media.example:8443"),
        ({"host": "media.example", "schema": "api"}, "https://media.example/api"),
        ({"host": "media.example", "schema": "/api/v2/"}, "https://media.example/api/v2"),
        ({"host": "media.example/a", "schema": "b"}, "https://media.example/a/b"),
        ({"host": "media.example", "schema": "http"}, "http://media.example"),
        ({"host": "media.example", "schema": "HTTPS"}, "https://media.example"),
        ({"host": "http://media.example", "schema": "https"}, "http://media.example"),
        ({"host": "https://media.example/api/partner-gateway/v1/media"}, "https://media.example/api"),
        ({"host": "https://media.example/partner-gateway/v1/media/"}, "https://media.example"),
        ({"host": "media.example", "schema": "api/partner-gateway/v1/media"}, "https://media.example/api"),
        ({"host": "http://[::1]:8080/api"}, "http://[::1]:8080/api"),
        ({"host": "[::1]", "port": 8080}, "https://[::1]:8080"),
        ({"host": "::1", "port": 8080, "schema": "http"}, "http://[::1]:8080"),
        ({"host": "2001:DB8::7/api"}, "https://[2001:db8::7]/api"),
        ({"host": "media.example", "schema": "http/"}, "http://media.example"),
        ({"host": "media.example", "schema": "/HTTPS/"}, "https://media.example"),
        ({"host": None, "schema": None, "port": None}, DEFAULT_BASE_ADDRESS),
        ({"host": "   "}, DEFAULT_BASE_ADDRESS),
    ],
)
def test_base_address_combines_host_port_and_schema(fields: dict[str, Any], base_url: str) -> None:
    assert read(**fields).base_url == base_url


def test_library_url_is_under_the_base_address() -> None:
    assert read(host="http://h/api").media_url == "http://h/api/partner-gateway/v1/media"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"port": 80}, "no base address"),
        ({"schema": "api"}, "no base address"),
        ({"host": "ftp://media.example"}, "is not a valid URL"),
        ({"host": "https://"}, "is not a valid URL"),
        ({"host": "media example"}, "is not a valid URL"),
        ({"host": "media.example:99999"}, "is not a valid URL"),
        ({"host": "media.example:abc"}, "is not a valid URL"),
        ({"host": "[::1"}, "is not a valid URL"),
        *[
            ({"host": host}, f"base address {host!r} has an IPv6 zone id, which HTTP libraries cannot use.")
            for host in (
                "http://fe80::1%eth0",
                "fe80::1%25lo",
                "http://[fe80::1%25eth0]:8080/api",
                "[::1%lo]:8080",
            )
        ],
        ({"host": "media.example?a=b"}, "only scheme, host, port and path"),
        ({"host": "media.example#a"}, "only scheme, host, port and path"),
        ({"host": "media.example:1", "port": 2}, "has port 1, but its port field is 2"),
        ({"host": "media.example", "port": 0}, "port must be an integer from 1 to 65535, not 0"),
        ({"host": "media.example", "port": 65536}, "not 65536"),
        ({"host": "media.example", "port": "http"}, "not 'http'"),
        pytest.param({"host": "media.example", "port": "9" * 5000}, "must be an integer from 1", id="5000 digits"),
    ],
)
def test_invalid_base_address_is_rejected(fields: dict[str, Any], words: str) -> None:
    assert words in refusal(**fields)


@pytest.mark.parametrize("host", ["https://user:hunter2@media.example", "hunter2@media.example:99999", "x://hunter2@h"])
def test_credentials_in_the_address_are_rejected_and_not_shown(host: str) -> None:
    assert "hunter2" not in refusal(host=host)


@pytest.mark.parametrize("password", [None, "", "   "])
def test_a_missing_key_is_refused(password: str | None) -> None:
    assert "no API key" in refusal(password=password)


@pytest.mark.parametrize("password", ["hunter2\nX-Other: 1", "hunter2\u2028x", "hunter2é", "hunter2\x00"])
def test_key_invalid_in_a_header_is_rejected_and_not_shown(password: str) -> None:
    sentence = refusal(password=password)
    assert "Copy it again" in sentence
    assert "hunter2" not in sentence


def test_blanks_around_the_key_are_stripped() -> None:
    assert read(password=" a-key\n").api_key.reveal() == "a-key"


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        *[(key, 2, 2.0) for key in ("timeout", "connect_timeout", "settle_seconds", "retry_budget")],
        *[(key, " 2.5 ", 2.5) for key in ("timeout", "connect_timeout", "settle_seconds", "retry_budget")],
        ("settle_seconds", 0, 0.0),
        ("retry_budget", "0", 0.0),
        ("requests_per_second", "0.5", 0.5),
        ("max_attempts", 1, 1),
        ("max_attempts", "7", 7),
        ("max_attempts", 3.0, 3),
        ("verify", False, False),
        ("verify", "false", False),
        ("verify", "True", True),
        ("verify", " /etc/ca.pem ", "/etc/ca.pem"),
        ("allow_delete", "no", False),
        ("allow_delete", "0", False),
        ("allow_delete", 0, False),
        ("allow_delete", "Yes", True),
        ("allow_delete", True, True),
        ("proxy", "http://user:word@proxy.example:3128", "http://user:word@proxy.example:3128"),
    ],
)
def test_extras_are_read_from_numbers_booleans_and_text(key: str, given: Any, value: Any) -> None:
    settings = read(extra={key: given})
    assert getattr(settings, key) == value
    assert type(getattr(settings, key)) is type(value)


EXTRAS = [
    "timeout",
    "connect_timeout",
    "settle_seconds",
    "max_attempts",
    "retry_budget",
    "verify",
    "proxy",
    "requests_per_second",
    "allow_delete",
]


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("key", EXTRAS)
def test_an_empty_form_field_keeps_the_default(key: str, nothing: str | None) -> None:
    assert getattr(read(extra={key: nothing}), key) == getattr(read(), key)


@pytest.mark.parametrize("extra", [None, "", "  ", "{}", "null", {}])
def test_extra_may_be_empty(extra: Any) -> None:
    assert read(extra=extra) == read()


def test_extra_may_be_the_text_of_a_json_object() -> None:
    assert read(extra='{"timeout": 5, "verify": "false"}') == read(extra={"timeout": 5, "verify": False})


@pytest.mark.parametrize(
    ("key", "given"),
    [
        *[(key, wrong) for key in ("timeout", "connect_timeout") for wrong in ("abc", 0, -1, True, [], math.nan)],
        *[(key, wrong) for key in ("settle_seconds", "retry_budget") for wrong in ("abc", -0.1, False, {}, "inf")],
        *[("requests_per_second", wrong) for wrong in (0, "-1", "1e999", 1e-300)],
        *[(key, 1e12) for key in ("timeout", "connect_timeout", "settle_seconds", "retry_budget")],
        *[("max_attempts", wrong) for wrong in (0, "two", 1.5, True, -1, [])],
        pytest.param("requests_per_second", 10**400, id="requests_per_second-400 digits"),
        pytest.param("max_attempts", "9" * 400, id="max_attempts-400 digits"),
        pytest.param("max_attempts", 10**4000, id="max_attempts-4000 digits"),
        *[("verify", wrong) for wrong in (1, [], {})],
        *[("allow_delete", wrong) for wrong in ("maybe", 2, [])],
        *[
            ("proxy", wrong)
            for wrong in (
                "proxy.example:3128",
                "ftp://proxy.example",
                "http://",
                "http://[",
                "http://[fe80::1%25lo]:80",
                7,
            )
        ],
    ],
)
def test_invalid_extra_is_named_on_one_line(key: str, given: Any) -> None:
    sentence = refusal(extra={key: given})
    assert repr(key) in sentence
    assert "\n" not in sentence


def test_unknown_extra_is_named_with_the_valid_ones() -> None:
    sentence = refusal(extra={"time_out": 3})
    assert "'time_out'" in sentence
    assert all(key in sentence for key in EXTRAS)


@pytest.mark.parametrize("extra", ["[1]", "7", '"text"', "{", pytest.param("[" * 100_000, id="deep"), ["timeout"], 7])
def test_extra_that_is_not_a_json_object_is_rejected(extra: Any) -> None:
    assert "The connection's extra" in refusal(extra=extra)


def test_error_about_a_proxy_does_not_show_its_password() -> None:
    assert "hunter2" not in refusal(extra={"proxy": "user:hunter2@proxy.example:3128"})


def test_repr_shows_neither_key_nor_proxy() -> None:
    shown = repr(read(password="hunter2", extra={"proxy": "http://u:hunter3@proxy.example"}))
    assert "hunter" not in shown


@pytest.mark.parametrize(
    ("host", "in_clear"),
    [
        ("http://media.example", True),
        ("http://192.0.2.1:8080", True),
        ("https://media.example", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost", False),
        ("http://[::1]:80", False),
        ("http://127.0.0.2:9", False),
        ("http://127.example", True),
        ("http://10.0.0.1", True),
    ],
)
def test_key_is_unencrypted_over_http_except_on_loopback(host: str, *, in_clear: bool) -> None:
    assert read(host=host).sends_key_in_clear is in_clear


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
TEXTS = st.none() | st.text(max_size=40) | st.from_regex(r"(https?://)?[a-z@:\[\]0-9./%-]{0,30}", fullmatch=True)


@given(
    host=TEXTS,
    schema=TEXTS,
    port=st.none() | st.integers() | st.text(max_size=6),
    password=st.none() | st.text(max_size=20),
    extra=st.none()
    | st.text(max_size=40)
    | st.dictionaries(st.sampled_from(EXTRAS), VALUES, max_size=4)
    | VALUES.map(json.dumps),
)
def test_any_connection_is_parsed_or_raises_a_configuration_error(**fields: Any) -> None:
    try:
        settings = read(**fields)
    except MediaError as problem:
        refused = problem
    else:
        assert settings.base_url.startswith(("http://", "https://"))
        assert not settings.base_url.endswith("/")
        assert settings.timeout > 0
        assert settings.max_attempts >= 1
        return
    assert type(refused) is MediaConfigurationError
    assert str(refused).endswith(".")
