"""What may be uploaded is told by the first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.media_types import EXTENSIONS, HEAD_BYTES, detect_mime_type, extension_disagrees


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
