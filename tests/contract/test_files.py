"""Files as strangers have them, through the hook and the operators to the sandbox over HTTP."""

from __future__ import annotations

import os
import random
import re
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from airflow_provider_media.exceptions import MediaFileError
from airflow_provider_media.operators.media import MediaSyncOperator, MediaUploadOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.sandbox_library import SandboxLibrary

VIDEOS = Path(__file__).parents[1] / "unit" / "media"


def image(file_format: str, seed: int = 1, **options: Any) -> bytes:
    content = BytesIO()
    Image.frombytes("RGB", (96, 64), random.Random(seed).randbytes(96 * 64 * 3)).save(content, file_format, **options)
    return content.getvalue()


def video(name: str) -> bytes:
    return (VIDEOS / name).read_bytes()


def ftyp(*brands: bytes) -> bytes:
    content = brands[0] + bytes(4) + b"".join(brands[1:])
    return (8 + len(content)).to_bytes(4, "big") + b"ftyp" + content


@pytest.mark.parametrize("mime_type", [None, "video/mp4"])
@pytest.mark.parametrize(
    ("head", "title"),
    [
        (ftyp(b"heix", b"mif1"), "HEIC image"),
        (ftyp(b"mif1", b"miaf", b"avif"), "AVIF image"),
        (ftyp(b"msf1", b"hevc"), "HEIC image sequence"),
        (ftyp(b"crx ", b"crx ", b"isom"), "Canon CR3 raw photo"),
        (ftyp(b"jpm ", b"jp2 "), "JPEG 2000 image"),
        (ftyp(b"qt  "), "QuickTime video"),
        (ftyp(b"M4B ", b"isom"), r"MPEG-4 audio book \(M4B\)"),
        (b"RIFF\x10\0\0\0WEBPVP8L", "WebP image"),
        (b"<!doctype html><title>Sign in</title>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 9\n", "Git LFS pointer"),
        (b"\0\5\x16\7\0\2\0\0", "AppleDouble metadata"),
        (b"%PDF-1.4", "PDF document"),
        (bytes(3000), "empty placeholder"),
    ],
)
def test_an_error_names_the_type_of_the_file(
    hook: MediaHook, library: SandboxLibrary, head: bytes, title: str, mime_type: str | None
) -> None:
    with pytest.raises(MediaFileError, match=f": {title}; the library accepts JPEG, PNG, GIF, MP4"):
        hook.upload(BytesIO(head), name="banner", mime_type=mime_type)
    assert library.methods() == ""


@pytest.mark.parametrize("head", [ftyp(b"heim"), ftyp(b"crx ", b"isom"), ftyp(b"abcd", b"efgh"), b"%PDF-1.4"])
def test_the_sandbox_refuses_by_its_own_judgment(library: SandboxLibrary, head: bytes) -> None:
    response = library.post("banner", head)
    assert response.status_code == 400
    assert "Unsupported file type" in response.text


@pytest.mark.parametrize("name", ["banner.png", "banner.jpg", "banner.gif", "h264-aac.mp4"])
def test_a_truncated_file_is_a_warning_or_an_error(
    hook: MediaHook, library: SandboxLibrary, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = video(name) if name.endswith("mp4") else image({"jpg": "JPEG"}.get(name[-3:], name[-3:].upper()))
    half = whole[: len(whole) * 2 // 3]
    with pytest.raises(MediaFileError, match=r"truncated: it .*\. Copy or export it again\.$"):
        hook.upload(BytesIO(half), name=name, check_integrity=True)
    assert library.methods() == ""
    assert hook.upload(BytesIO(half), name=name).created
    assert "truncated: it " in capsys.readouterr().out
    assert hook.upload(BytesIO(whole), name=name, check_integrity=True).created
    assert "truncated" not in capsys.readouterr().out


def test_a_sync_checks_the_integrity_by_default(
    define: Callable[..., str], library: SandboxLibrary, tmp_path: Path
) -> None:
    connection = define()
    (tmp_path / "half.jpg").write_bytes(image("JPEG")[:-500])
    arguments: dict[str, Any] = {"task_id": "one", "media_conn_id": connection}
    upload = MediaUploadOperator(file=str(tmp_path / "half.jpg"), check_integrity="{{ 'true' }}", **arguments)
    upload.render_template_fields({})
    with pytest.raises(MediaFileError, match="truncated"):
        upload.execute({})
    with pytest.raises(MediaFileError, match=r"half\.jpg  truncated: it ends at byte [\d,]+, within its pixels"):
        MediaSyncOperator(source=str(tmp_path), **arguments).execute({})
    assert library.count("POST") == 0
    manifest = MediaSyncOperator(source=str(tmp_path), check_integrity=False, **arguments).execute({})
    assert manifest["half.jpg"]["warnings"][0].startswith("truncated: ")


@pytest.mark.parametrize(
    ("content", "channels"),
    [
        (image("GIF")[:-1], ["rcs"]),
        (image("GIF")[:-1] + bytes(4000), ["rcs"]),
        (video("h264-aac.mp4") + b"\r\n--part--\r\n", ["whatsapp", "rcs"]),
        (video("h264-aac.mp4") + bytes(5000), ["whatsapp", "rcs"]),
        (image("PNG") + b"\0" * 10, ["whatsapp", "rcs"]),
        (image("JPEG") + b"SEFT", ["whatsapp", "rcs"]),
        (image("JPEG", icc_profile=random.Random(1).randbytes(1_200_000)), ["whatsapp", "rcs"]),
    ],
    ids=["GIF without trailer", "GIF padding", "MP4 text", "MP4 zeros", "PNG zeros", "JPEG trailer", "profile"],
)
def test_what_follows_the_end_and_large_metadata_are_fine(
    hook: MediaHook, library: SandboxLibrary, content: bytes, channels: list[str]
) -> None:
    assert hook.upload(BytesIO(content), name="banner", channels=channels).media.size == len(content)


def test_a_helper_librarys_limits_are_not_the_files_fault(hook: MediaHook, library: SandboxLibrary) -> None:
    png = image("PNG")
    text = b"zTXtkey\0\0" + zlib.compress(bytes(3_000_000))
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    assert hook.upload(BytesIO(png[:33] + chunk + png[33:]), name="banner", channels=["whatsapp"]).created
    lossless = image("JPEG").replace(b"\xff\xc0", b"\xff\xc3")
    with pytest.raises(MediaFileError, match="a lossless JPEG, which phones and browsers do not show"):
        hook.upload(BytesIO(lossless), name="banner", channels=["rcs"])
    crushed = png[:8] + b"\0\0\0\x04CgBI\x50\0\x20\2" + zlib.crc32(b"CgBI\x50\0\x20\2").to_bytes(4, "big") + png[8:]
    with pytest.raises(MediaFileError, match=r"optimized for iOS .* Revert it: xcrun"):
        hook.upload(BytesIO(crushed), name="banner", channels=["rcs"])
    assert library.count("POST") == 1


@pytest.mark.parametrize(
    ("name", "channel", "outcome", "words"),
    [
        ("h264-silent.mp4", "whatsapp", "sent", ""),
        ("h264-high-b-frames.mp4", "whatsapp", "warned", "H.264 High profile"),
        ("h264-b-frames-fragmented.mp4", "whatsapp", "warned", "video with B-frames"),
        ("h264-aac-headers-last.mp4", "whatsapp", "warned", "moov box after the media data"),
        ("h264-444.mp4", "whatsapp", "refused", "4:4:4 chroma"),
        ("h264-ten-bits.mp4", "whatsapp", "refused", "10 bits"),
        ("vp9-opus.mp4", "whatsapp", "refused", "VP9 video; WhatsApp accepts H.264. Opus audio; WhatsApp accepts AAC"),
        ("h264-encrypted.mp4", "rcs", "refused", "encrypted video"),
    ],
)
def test_a_video_is_checked_for_playback_on_phones(
    hook: MediaHook,
    library: SandboxLibrary,
    name: str,
    channel: str,
    outcome: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if outcome == "refused":
        with pytest.raises(MediaFileError, match=re.escape(words)):
            hook.upload(VIDEOS / name, channels=[channel])
    else:
        hook.upload(VIDEOS / name, channels=[channel])
    output = capsys.readouterr().out
    assert ("WhatsApp: " in output) is (outcome == "warned")
    assert words in output or outcome == "refused"
    assert library.count("POST") == (outcome != "refused")


NAMES = ['Sale "now".png', "two\nlines.png", "tab\t\x7f.png", "None", " ", "a;b=c%41.png", "\u202e.png", "\udce9.png"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_local_name_can_be_uploaded_by_every_operator(
    define: Callable[..., str], library: SandboxLibrary, tmp_path: Path, name: str
) -> None:
    connection = define()
    Path(os.fsdecode(os.fsencode(tmp_path / name))).write_bytes(image("PNG"))
    stored = name.encode(errors="backslashreplace").decode()
    arguments: dict[str, Any] = {"task_id": "one", "media_conn_id": connection}
    uploaded = MediaUploadOperator(file=str(tmp_path / name), **arguments).execute({})
    assert uploaded["name"] == stored
    (synced,) = MediaSyncOperator(source=str(tmp_path), **arguments).execute({}).values()
    assert (synced["id"], synced["name"]) == (uploaded["id"], stored)


def test_control_characters_are_escaped_in_errors_and_logs(
    define: Callable[..., str], library: SandboxLibrary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: dict[str, Any] = {"task_id": "one", "media_conn_id": define()}
    (tmp_path / "a\n\x1b[2Jb.png").write_bytes(b"%PDF-1.4")
    with pytest.raises(MediaFileError) as caught:
        MediaUploadOperator(file=str(tmp_path / "a\n\x1b[2Jb.png"), **arguments).execute({})
    assert str(caught.value).isprintable()
    with pytest.raises(MediaFileError) as caught:
        MediaSyncOperator(source=str(tmp_path), **arguments).execute({})
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    (tmp_path / "a\n\x1b[2Jb.png").write_bytes(image("PNG"))
    MediaUploadOperator(file=str(tmp_path / "a\n\x1b[2Jb.png"), channels=["rcs"], **arguments).execute({})
    MediaSyncOperator(source=str(tmp_path), **arguments).execute({})
    output = capsys.readouterr().out
    assert r"a\n\x1b[2Jb.png" in output
    assert "\x1b[2J" not in output
