"""What may be uploaded is told by the first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.media_types import (
    EXTENSIONS,
    HEAD_BYTES,
    detect_mime_type,
    extension_disagrees,
    types_differ,
)


def box(brand: bytes) -> bytes:
    return b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x02\x00"


@pytest.mark.parametrize(
    ("head", "mime_type"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"\xff\xd8\xff\xe1..Exif", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n....IHDR", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a\x01\x00", "image/gif"),
        *[
            (box(brand), "video/mp4")
            for brand in (b"isom", b"mp41", b"mp42", b"avc1", b"iso2", b"M4V ", b"MSNV", b"dash")
        ],
    ],
)
def test_accepted_types_are_known_by_content(head: bytes, mime_type: str) -> None:
    assert detect_mime_type(head[:HEAD_BYTES]) == mime_type


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff\xd8",
        b"\x89PNG\n\x1a\n",
        b"GIF88a",
        b"RIFF....WEBPVP8 ",
        b"BM......",
        b"II*\x00",
        b"%PDF-1.7",
        b"<svg xmlns=",
        b"\x00\x00\x00\x18ftyp",
        b"\x00\x00\x00\x14moov\x00\x00\x00",
        *[
            box(brand)
            for brand in (
                b"heic",
                b"heix",
                b"mif1",
                b"msf1",
                b"avif",
                b"avis",
                b"qt  ",
                b"M4A ",
                b"M4B ",
                b"3gp4",
                b"3g2a",
            )
        ],
    ],
)
def test_all_else_is_not_accepted(head: bytes) -> None:
    assert detect_mime_type(head[:HEAD_BYTES]) is None


@given(st.binary(max_size=40))
def test_any_bytes_get_an_accepted_type_or_none_and_the_head_decides(content: bytes) -> None:
    assert detect_mime_type(content) in {None, *EXTENSIONS}
    assert detect_mime_type(content[:HEAD_BYTES]) == detect_mime_type(content)


@pytest.mark.parametrize(
    ("file_name", "mime_type", "disagrees"),
    [
        ("a.jpg", "image/jpeg", False),
        ("a.JPEG", "image/jpeg", False),
        ("a.b.png", "image/png", False),
        ("a", "image/png", False),
        (".png", "image/jpeg", False),
        ("a.png", "image/jpeg", True),
        ("a.txt", "video/mp4", True),
        ("a.m4v", "video/mp4", False),
        ("a.webp", "image/png", True),
        ("a.MOV", "video/mp4", True),
        ("banner-2026.07", "image/png", False),
        ("v1.2", "image/jpeg", False),
    ],
)
def test_an_extension_that_says_another_type_is_noticed(file_name: str, mime_type: str, *, disagrees: bool) -> None:
    assert extension_disagrees(file_name, mime_type) is disagrees


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ("image/png", "image/png"),
        ("IMAGE/PNG; charset=binary", "image/png"),
        ("image/x-png", "image/png"),
        ("PNG", "image/png"),
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg", "image/jpeg"),
        ("image/x-jpg", "image/jpeg"),
        ("jpg", "image/jpeg"),
        ("application/mp4", "video/mp4"),
        ("video/x-m4v", "video/mp4"),
        ("video/quicktime", "video/mp4"),
        ("IMAGE", "image/gif"),
        ("Video", "video/mp4"),
        ("image/*", "image/png"),
        ("application/octet-stream", "image/png"),
        ("binary/octet-stream", "video/mp4"),
        ("FILE", "video/mp4"),
        ("", "image/png"),
        (None, "image/png"),
    ],
)
def test_a_type_that_reads_differently_does_not_differ(stored: str | None, sent: str) -> None:
    assert types_differ(stored, sent) is False


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ("image/gif", "image/png"),
        ("image/x-png", "image/jpeg"),
        ("jpg", "image/png"),
        ("VIDEO", "image/png"),
        ("video/webm", "image/gif"),
        ("image/webp", "video/mp4"),
        ("IMAGE", "video/mp4"),
    ],
)
def test_a_type_of_another_kind_differs(stored: str, sent: str) -> None:
    assert types_differ(stored, sent) is True
