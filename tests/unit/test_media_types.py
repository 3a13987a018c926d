"""What a file is, by its first bytes: the client and the sandbox judge it by tables of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._api.media_types import (
    EXTENSIONS,
    HEAD_BYTES,
    detect_type,
    extension_mismatches,
    is_other_type,
)
from airflow_provider_media.sandbox.uploads import accepted_type


def ftyp(*brands: bytes) -> bytes:
    """Write the first box of an ISO media file: the major brand, a version, the compatible brands."""
    content = brands[0] + bytes(4) + b"".join(brands[1:])
    return (8 + len(content)).to_bytes(4, "big") + b"ftyp" + content


@pytest.mark.parametrize(
    ("head", "mime_type"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"\xff\xd8\xff\xe1..Exif", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n....IHDR", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a\x01\x00", "image/gif"),
        *[
            (ftyp(brand), "video/mp4")
            for brand in (
                b"isom",
                b"iso6",
                b"mp41",
                b"mp42",
                b"avc1",
                b"M4V ",
                b"M4VP",
                b"MSNV",
                b"dash",
                b"NDSC",
                b"F4V ",
            )
        ],
        (ftyp(b"mp42", b"qt  ", b"3gp4"), "video/mp4"),
        (ftyp(b"niko", b"niko", b"mp42"), "video/mp4"),
        (ftyp(b"abcd", b"isom", b"3gp5"), "video/mp4"),
    ],
)
def test_accepted_types_are_detected_by_content(head: bytes, mime_type: str) -> None:
    found = detect_type(head)
    assert found
    assert found.mime_type == accepted_type(head) == mime_type


@pytest.mark.parametrize(
    ("brands", "title"),
    [
        ((b"heic", b"mif1", b"heic"), "HEIC image"),
        ((b"heis",), "HEIC image"),
        ((b"mif1", b"mif1", b"heic"), "HEIC image"),
        ((b"hevc", b"msf1"), "HEIC image sequence"),
        ((b"msf1", b"mif1", b"hevx"), "HEIC image sequence"),
        ((b"mif1", b"mif1", b"miaf"), "HEIF image"),
        ((b"mif2",), "HEIF image"),
        ((b"avif", b"mif1"), "AVIF image"),
        ((b"mif1", b"avif"), "AVIF image"),
        ((b"avis", b"msf1", b"iso8"), "AVIF image sequence"),
        ((b"crx ", b"isom"), "Canon CR3 raw photo"),
        ((b"jp2 ",), "JPEG 2000 image"),
        ((b"jpx ", b"jp2 "), "JPEG 2000 image"),
        ((b"mjp2",), "Motion JPEG 2000 video"),
        ((b"jxl ",), "JPEG XL image"),
        ((b"qt  ",), "QuickTime video"),
        ((b"niko", b"qt  ", b"mp42"), "QuickTime video"),
        ((b"3gp4", b"isom"), "3GP video"),
        ((b"3g2a",), "3GP video"),
        ((b"M4A ", b"mp42", b"isom"), "MPEG-4 (M4A) audio"),
        ((b"M4B ",), "MPEG-4 audio book (M4B)"),
        ((b"M4P ", b"isom"), "copy-protected MPEG-4 audio (M4P)"),
        ((b"F4P ",), "copy-protected MPEG-4 video"),
        ((b"isml", b"piff", b"iso2"), "Smooth Streaming video"),
        ((b"abcd", b"efgh"), "ISO media file of the unknown brand 'abcd'"),
        ((b"ab\n\x80",), "ISO media file of the unknown brand 'ab\\n\\x80'"),
    ],
)
def test_other_formats_in_the_mp4_container_are_detected(brands: tuple[bytes, ...], title: str) -> None:
    found = detect_type(ftyp(*brands))
    assert found
    assert (found.title, found.mime_type, accepted_type(ftyp(*brands))) == (title, None, None)


@pytest.mark.parametrize(
    ("head", "title"),
    [
        (b"", "empty placeholder"),
        (b"\n", "empty placeholder"),
        (bytes(HEAD_BYTES), "empty placeholder"),
        (b"RIFF....WEBPVP8 ", "WebP image"),
        (b"RIFF....AVI LIST", "AVI video"),
        (b"RIFF....WAVEfmt ", "WAV audio"),
        (b"BM\x46\0\0\0\0\0\0\0", "BMP image"),
        (b"II*\0\x08\0\0\0", "TIFF image"),
        (b"II*\0\x10\0\0\0CR\2\0", "Canon CR2 raw photo"),
        (b"FUJIFILMCCD-RAW 0201", "Fujifilm raw photo"),
        (b"8BPS\0\1", "Photoshop image"),
        (b"P6\n160 96\n255\n", "Netpbm image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 image"),
        (b"\xff\xd8\xff\xf7", "JPEG-LS image"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\xf2\x81\4B\xf3\x81\x08B\x82\x84webm", "WebM video"),
        (b"\x1a\x45\xdf\xa3\1\0\0\0\0\0\0#B\x86\x81\1B\x82\x88matroska", "Matroska video"),
        (b"\0\0\0\x14moov\0\0\0", "QuickTime video"),
        (b"\0\0\0\x08wide", "QuickTime video"),
        (b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix", "MP4 segment without its start"),
        (b"ID3\4\0", "MP3 audio"),
        (b"%PDF-1.7\n", "PDF document"),
        (b"PK\3\4\x14\0\6\0", "ZIP archive"),
        (b"PK\3\4\x14\0\6\0\x08\0....[Content_Types].xml", "Microsoft Office document"),
        (b"\x1f\x8b\x08\0", "gzip archive"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X        ", "AppleDouble metadata"),
        (b"bplist00\xd3\1\2\3NSURLNameKey", "iCloud placeholder"),
        (b"bplist00\xd1", "property list"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS pointer"),
        (b"../../.git/annex/objects/Wf/x0/SHA256E-s31390--f50d.jpg", "git-annex pointer"),
        (b"<!DOCTYPE html>\n<html>", "web page"),
        (b"\n\n  <HTML><head>", "web page"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0">', "web page"),
        ("\ufeff<!-- sign in --><html>".encode("utf-16"), "web page"),
        (b'<?xml version="1.0"?>\n<!-- drawn --><svg xmlns="http://www.w3.org/2000/svg">', "SVG image"),
        (b"<Error><Code>AccessDenied</Code></Error>", "XML text"),
        (b'{"message": "Not Found"}', "JSON text"),
        (b"/9j/4AAQSkZJRgABAQ", "Base64 text of a JPEG file"),
        (b"data:image/png;base64,iVBOR", "data URI"),
        ("è una nota".encode(), "text file"),
    ],
)
def test_rejected_types_have_a_title(head: bytes, title: str) -> None:
    found = detect_type(head)
    assert found
    assert (found.title, found.mime_type, accepted_type(head)) == (title, None, None)


@pytest.mark.parametrize("head", [b"\xff\xd8", b"\x89PNG\x1a\n", b"\x80\x81\x82", b"RIFF....XYZ\0", b"\0\0\0\x18ftyp"])
def test_some_files_are_unknown(head: bytes) -> None:
    assert detect_type(head) is None


@given(st.binary(max_size=40) | st.binary(max_size=30).map(lambda content: b"\0\0\0\x20ftyp" + content))
def test_any_bytes_are_accepted_without_an_error(content: bytes) -> None:
    found = detect_type(content)
    assert found is None or (found.title.isprintable() and found.mime_type in {None, *EXTENSIONS})
    assert accepted_type(content) in {None, *EXTENSIONS}


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
def test_extension_of_another_type_is_detected(file_name: str, mime_type: str, *, disagrees: bool) -> None:
    assert extension_mismatches(file_name, mime_type) is disagrees


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
def test_other_spelling_of_a_type_does_not_differ(stored: str | None, sent: str) -> None:
    assert is_other_type(stored, sent) is False


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
    assert is_other_type(stored, sent) is True
