"""What the headers of an image say, and that its end is there; no pixel is decoded."""

from __future__ import annotations

import random
import time
import tracemalloc
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from airflow_provider_media._channels.check import check_file, inspect
from airflow_provider_media._channels.reader import CorruptFileError, InvalidFileError
from airflow_provider_media._upload.source import open_source

if TYPE_CHECKING:
    from airflow_provider_media._channels.rules import MediaInfo

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif"}


def drawn(file_format: str, mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """Draw noise, which compresses badly: the file has many bytes of pixels."""
    noise = Image.frombytes("RGB", size, random.Random(7).randbytes(size[0] * size[1] * 3))
    content = BytesIO()
    (noise if mode == "RGB" else noise.convert(mode)).save(content, file_format, **options)
    return content.getvalue()


def info(content: bytes, file_format: str) -> MediaInfo:
    return inspect(open_source(BytesIO(content)), TYPES[file_format], checksums=True)


def outcome(content: bytes, file_format: str) -> str:
    try:
        return str(info(content, file_format))
    except InvalidFileError as error:
        return str(error)


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(bits: int, colour_type: int, *chunks: bytes, size: tuple[int, int] = (4, 4)) -> bytes:
    """Write a PNG of a kind that Pillow does not write."""
    header = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big") + bytes((bits, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(4 * (1 + 4 * 8))))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + pixels + chunk(b"IEND", b"")


PALETTE = chunk(b"PLTE", bytes(6))


@pytest.mark.parametrize(
    ("content", "file_format", "colors", "bits"),
    [
        (drawn("JPEG"), "JPEG", "RGB", 8),
        (drawn("JPEG", progressive=True), "JPEG", "RGB", 8),
        (drawn("JPEG", "L"), "JPEG", "grayscale", 8),
        (drawn("JPEG", "CMYK"), "JPEG", "CMYK", 8),
        (drawn("PNG"), "PNG", "RGB", 8),
        (drawn("PNG", "RGBA"), "PNG", "RGBA", 8),
        (drawn("PNG", "L"), "PNG", "grayscale", 8),
        (drawn("PNG", "LA"), "PNG", "grayscale", 8),
        (drawn("PNG", "P"), "PNG", "palette", 8),
        (drawn("PNG", "1"), "PNG", "grayscale", 1),
        (png(16, 2), "PNG", "RGB", 16),
        (png(16, 6), "PNG", "RGBA", 16),
        (png(16, 0), "PNG", "grayscale", 16),
        (png(4, 3, PALETTE), "PNG", "palette", 4),
        (png(2, 0), "PNG", "grayscale", 2),
        (drawn("GIF", "P"), "GIF", "palette", 8),
    ],
)
def test_colors_and_bits_are_those_of_the_file(content: bytes, file_format: str, colors: str, bits: int) -> None:
    found = info(content, file_format)
    assert (found.colors, found.bits) == (colors, bits)


@pytest.mark.parametrize("file_format", TYPES)
def test_pixels_are_counted(file_format: str) -> None:
    found = info(drawn(file_format), file_format)
    assert (found.width, found.height, found.mime_type) == (64, 48, TYPES[file_format])


@pytest.mark.parametrize(("orientation", "size"), [(1, (64, 48)), (3, (64, 48)), (6, (48, 64)), (8, (48, 64))])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_turned_photo_has_the_pixels_that_are_shown(orientation: int, size: tuple[int, int], order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x010E] = "a description"
    exif[0x0112] = orientation
    found = info(drawn("JPEG", exif=exif), "JPEG")
    assert (found.width, found.height) == size


def test_an_image_may_exceed_the_pixel_limit_of_pillow() -> None:
    assert info(png(8, 2, size=(30_000, 15_000)), "PNG").width == 30_000


@pytest.mark.parametrize(
    ("content", "file_format"),
    [
        (png(8, 2, chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(3_000_000)))), "PNG"),
        (png(8, 2, chunk(b"iTXt", b"XML\0\1\0\0\0" + zlib.compress(bytes(5_000_000)))), "PNG"),
        (png(8, 2, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(500_000)))] * 200), "PNG"),
        (png(8, 2, chunk(b"tEXt", b"a\0" + b"x" * 2_000_000)), "PNG"),
        (drawn("JPEG", icc_profile=random.Random(1).randbytes(1_500_000)), "JPEG"),
        (drawn("JPEG", comment=b"c" * 65_000), "JPEG"),
        (drawn("PNG", exif=b"Exif\0\0MM\0*" + b"\xff" * 10_000), "PNG"),
    ],
    ids=["profile", "compressed text", "texts", "text", "JPEG profile", "JPEG comment", "Exif"],
)
def test_large_metadata_are_fine(content: bytes, file_format: str) -> None:
    assert info(content, file_format).width


def test_a_moving_png_and_an_interlaced_one_are_fine() -> None:
    content = BytesIO()
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(content, "PNG", save_all=True, append_images=frames[1:])
    assert b"acTL" in content.getvalue()
    assert info(content.getvalue(), "PNG").colors == "RGB"
    interlaced = bytearray(png(8, 2))
    interlaced[28] = 1
    interlaced[29:33] = zlib.crc32(interlaced[12:29]).to_bytes(4, "big")
    assert info(bytes(interlaced), "PNG").bits == 8


def jpeg_as(marker: int, bits: int = 8) -> bytes:
    """Change the sort of a JPEG; its pixels would not decode any more, which nobody here does."""
    content = bytearray(drawn("JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 1], content[at + 4] = marker, bits
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (jpeg_as(0xC1, bits=12), "a 12-bit JPEG"),
        (jpeg_as(0xC2, bits=12), "a 12-bit JPEG"),
        (jpeg_as(0xC3), "a lossless JPEG"),
        (jpeg_as(0xC9), "an arithmetic-coded JPEG"),
        (jpeg_as(0xCA), "an arithmetic-coded JPEG"),
        (jpeg_as(0xC5), "a hierarchical JPEG"),
    ],
)
def test_a_jpeg_that_phones_do_not_show_is_refused(content: bytes, words: str) -> None:
    said = outcome(content, "JPEG")
    assert said.startswith(f"{words}, which phones and browsers do not show. Export it as a baseline")


def test_a_png_for_ios_is_refused_with_the_way_back() -> None:
    content = png(8, 6)
    crushed = content[:8] + chunk(b"CgBI", b"\x50\0\x20\6") + content[8:]
    said = outcome(crushed, "PNG")
    assert said.startswith("a PNG that Xcode optimized for iOS (CgBI), which only Apple devices show. Revert it: xcrun")


@pytest.mark.parametrize("file_format", TYPES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_a_truncated_image_is_noticed(file_format: str, share: float) -> None:
    whole = drawn(file_format, size=(256, 192))
    with pytest.raises(CorruptFileError, match=r"^truncated: it ends at byte [\d,]+, within its "):
        info(whole[: int(len(whole) * share)], file_format)


def test_a_photo_truncated_behind_its_thumbnail_is_noticed() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0" + bytes(4) + drawn("JPEG", size=(8, 8))
    whole = drawn("JPEG", exif=exif, size=(256, 192))
    assert info(whole, "JPEG").width == 256
    with pytest.raises(CorruptFileError, match="truncated"):
        info(whole[: len(whole) // 2], "JPEG")


@pytest.mark.parametrize("file_format", TYPES)
@pytest.mark.parametrize("behind", [b"\0", b"\0" * 5000, b"what a phone adds", b"\xff" * 9, b"\r\n--boundary--\r\n"])
def test_something_behind_the_end_does_no_harm(file_format: str, behind: bytes) -> None:
    assert info(drawn(file_format) + behind, file_format).width == 64


def moving_gif(frames: int = 3) -> bytes:
    drawings = [Image.frombytes("P", (64, 48), random.Random(seed).randbytes(64 * 48)) for seed in range(frames)]
    content = BytesIO()
    drawings[0].save(content, "GIF", save_all=True, append_images=drawings[1:])
    return content.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[:-1] + bytes(3),
        lambda whole: whole[:-1] + bytes(70_000),
        lambda whole: whole[:-1] + b"\xff" * 7,
        lambda whole: whole[:-1] + b"<!-- cached -->",
        lambda whole: whole.replace(b"\0!\xf9", b"\0\0\0!\xf9"),
        lambda whole: whole + b"\0\0",
    ],
    ids=["no trailer", "zeros", "padding", "other padding", "text", "zeros between blocks", "behind the trailer"],
)
def test_a_gif_needs_no_trailer_and_may_have_padding(change: Any) -> None:
    changed = change(moving_gif())
    assert changed != moving_gif()
    assert info(changed, "GIF").width == 64


@pytest.mark.parametrize("count", [2, 3, 500, 9000])
def test_a_gif_truncated_within_a_frame_is_noticed(count: int) -> None:
    with pytest.raises(CorruptFileError, match="truncated"):
        info(moving_gif()[:-count], "GIF")


def test_a_gif_without_an_image_is_no_image() -> None:
    assert outcome(moving_gif()[:13] + bytes(768) + b";", "GIF").startswith("a GIF file without an image")
    with pytest.raises(CorruptFileError, match="truncated"):
        info(moving_gif()[:13] + bytes(90_000), "GIF")


def test_a_large_gif_of_many_small_parts_is_read_quickly() -> None:
    header = moving_gif(1)[: 13 + 768]
    frame = b"," + bytes(4) + b"\x40\0\x30\0\0\x08"
    content = header + (frame + (b"\xfe" + bytes(254)) * 1000 + b"\0") * 150 + b";"
    assert len(content) > 38_000_000
    started = time.thread_time()
    assert info(content, "GIF").width == 64
    assert time.thread_time() - started < 1
    many = header + (frame + b"\1\1\0") * 20_000 + b";"
    assert info(many, "GIF").width == 64


def test_a_png_whose_checksum_is_wrong_is_noticed() -> None:
    content = bytearray(drawn("PNG"))
    content[len(content) // 2] ^= 1
    with pytest.raises(CorruptFileError, match=r"checksum of its IDAT chunk is wrong\. Copy or export it again$"):
        info(bytes(content), "PNG")


def test_a_wrong_checksum_of_an_ancillary_chunk_is_no_matter() -> None:
    content = png(8, 2, chunk(b"tEXt", b"a\0b")[:-1] + b"\0")
    assert info(content, "PNG").width == 4


@pytest.mark.parametrize(
    ("content", "file_format", "words"),
    [
        (b"\xff\xd8\xff" + bytes(5_000_000), "JPEG", "not a JPEG image, although it starts like one"),
        (b"\xff\xd8" + b"\xff\xe9\xff\xff".ljust(65537, b"x") * 300, "JPEG", "truncated"),
        (b"\xff\xd8" + b"\xff\xe9\0\2" * 700_000, "JPEG", "made of too many segments"),
        (drawn("PNG")[:33] + (2**31 - 1).to_bytes(4, "big") + b"iCCP" + bytes(20_000_000), "PNG", "truncated"),
        (drawn("PNG")[:33] + chunk(b"teXt", b"") * 500_000, "PNG", "made of too many segments"),
        (drawn("GIF")[:13] + bytes(768) + b"!\xfe" + b"\1x" * 10_000_000, "GIF", "made of too many segments|truncated"),
        (drawn("GIF")[:13] + bytes(768) + b"!\xfe\0" * 1_000_000, "GIF", "made of too many segments"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 100, "PNG", "not a PNG image, although it starts like one"),
    ],
    ids=["junk", "segments", "tiny segments", "a huge chunk", "chunks", "sub-blocks", "blocks", "no header"],
)
def test_a_hostile_image_ends_soon(
    monkeypatch: pytest.MonkeyPatch, content: bytes, file_format: str, words: str
) -> None:
    monkeypatch.setattr("airflow_provider_media._channels.reader.MAX_SECONDS", 0.2)
    started = time.thread_time()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidFileError, match=words):
            info(content, file_format)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.thread_time() - started < 1
    assert peak < 5_000_000


@pytest.mark.parametrize("file_format", TYPES)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 30))
def test_any_damage_returns_info_or_one_error(file_format: str, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    content = bytearray(drawn(file_format))
    for _ in range(changes):
        at = chance.randrange(3, chance.choice((60, len(content))))
        content[at] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
    assert outcome(bytes(content[: chance.randrange(8, len(content) + 1)]), file_format).isprintable()


def test_a_truncated_image_without_channels_is_a_warning_or_an_error() -> None:
    source = open_source(BytesIO(drawn("PNG")[:-20]))
    warned = check_file(source, "image/png", (), check_integrity=False)
    refused = check_file(source, "image/png", (), check_integrity=True)
    assert (warned.errors, refused.warnings) == ((), ())
    assert warned.warnings == refused.errors
    assert warned.warnings[0].startswith("truncated: ")


def test_without_channels_what_is_no_such_image_is_not_judged() -> None:
    source = open_source(BytesIO(b"\x89PNG\r\n\x1a\nof a test"))
    report = check_file(source, "image/png", (), check_integrity=True)
    assert (report.errors, report.warnings) == ((), ())
