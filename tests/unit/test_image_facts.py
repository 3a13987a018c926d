"""What the headers of an image tell, and that its end is there; pixels are not decoded."""

from __future__ import annotations

import random
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from airflow_provider_media._channels import image_facts
from airflow_provider_media._channels.image_facts import picture_facts
from airflow_provider_media._channels.reader import DamagedFileError, Reader

if TYPE_CHECKING:
    from airflow_provider_media._channels.rules import MediaFacts

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif"}


def drawn(file_format: str, mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """Draw noise, which compresses badly: the file has many bytes of pixels."""
    noise = Image.frombytes("RGB", size, random.Random(7).randbytes(size[0] * size[1] * 3))
    content = BytesIO()
    (noise if mode == "RGB" else noise.convert(mode)).save(content, file_format, **options)
    return content.getvalue()


def facts(content: bytes, file_format: str) -> MediaFacts:
    return picture_facts(Reader("banner", BytesIO(content), len(content)), TYPES[file_format])


def outcome(content: bytes, file_format: str) -> str:
    try:
        return str(facts(content, file_format))
    except DamagedFileError as error:
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
    ("content", "file_format", "colours", "bits"),
    [
        (drawn("JPEG"), "JPEG", "RGB", 8),
        (drawn("JPEG", progressive=True), "JPEG", "RGB", 8),
        (drawn("JPEG", "L"), "JPEG", "greyscale", 8),
        (drawn("JPEG", "CMYK"), "JPEG", "CMYK", 8),
        (drawn("PNG"), "PNG", "RGB", 8),
        (drawn("PNG", "RGBA"), "PNG", "RGBA", 8),
        (drawn("PNG", "L"), "PNG", "greyscale", 8),
        (drawn("PNG", "LA"), "PNG", "greyscale", 8),
        (drawn("PNG", "P"), "PNG", "palette", 8),
        (drawn("PNG", "1"), "PNG", "black and white", 1),
        (png(16, 2), "PNG", "RGB", 16),
        (png(16, 6), "PNG", "RGBA", 16),
        (png(16, 0), "PNG", "greyscale", 16),
        (png(4, 3, PALETTE), "PNG", "palette", 4),
        (png(2, 0), "PNG", "greyscale", 2),
        (drawn("GIF", "P"), "GIF", "palette", 8),
    ],
)
def test_colours_and_bits_are_those_of_the_file(content: bytes, file_format: str, colours: str, bits: int) -> None:
    found = facts(content, file_format)
    assert (found.colours, found.bits) == (colours, bits)


@pytest.mark.parametrize("file_format", TYPES)
def test_pixels_are_counted(file_format: str) -> None:
    found = facts(drawn(file_format), file_format)
    assert (found.width, found.height, found.mime_type) == (64, 48, TYPES[file_format])


@pytest.mark.parametrize(("orientation", "size"), [(1, (64, 48)), (3, (64, 48)), (6, (48, 64)), (8, (48, 64))])
def test_a_turned_photo_has_the_pixels_that_are_shown(orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = facts(drawn("JPEG", exif=exif), "JPEG")
    assert (found.width, found.height) == size


def test_an_image_may_have_more_pixels_than_pillow_likes_to_decode() -> None:
    assert facts(png(8, 2, size=(30_000, 15_000)), "PNG").width == 30_000


@pytest.mark.parametrize("file_format", TYPES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_an_image_that_is_cut_off_is_told(file_format: str, share: float) -> None:
    whole = drawn(file_format, size=(256, 192))
    with pytest.raises(DamagedFileError):
        facts(whole[: int(len(whole) * share)], file_format)


def test_a_photo_cut_off_behind_its_thumbnail_is_told() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0" + bytes(4) + drawn("JPEG", size=(8, 8))
    whole = drawn("JPEG", exif=exif, size=(256, 192))
    assert facts(whole, "JPEG").width == 256
    with pytest.raises(DamagedFileError, match="it ends too early"):
        facts(whole[: len(whole) // 2], "JPEG")


@pytest.mark.parametrize("file_format", TYPES)
@pytest.mark.parametrize("behind", [b"\0", b"\0" * 5000, b"what a phone adds"])
def test_something_behind_the_end_does_no_harm(file_format: str, behind: bytes) -> None:
    assert facts(drawn(file_format) + behind, file_format).width == 64


def test_a_moving_picture_is_whole_and_cut_off_as_well() -> None:
    frames = [Image.frombytes("P", (64, 48), random.Random(seed).randbytes(64 * 48)) for seed in range(3)]
    content = BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    whole = content.getvalue()
    assert facts(whole + b"\0\0", "GIF").width == 64
    with pytest.raises(DamagedFileError, match="it ends too early"):
        facts(whole[:-500], "GIF")


def test_a_png_whose_checksum_is_wrong_is_told() -> None:
    content = bytearray(drawn("PNG"))
    content[len(content) // 2] ^= 1
    with pytest.raises(DamagedFileError, match=r"it is damaged \(the checksum of its part 'IDAT' is wrong\)"):
        facts(bytes(content), "PNG")


@pytest.mark.parametrize(
    ("content", "file_format", "words"),
    [
        (b"\xff\xd8\xff" + bytes(5_000_000), "JPEG", "it is made of too many parts"),
        (b"\xff\xd8" + b"\xff\xe9\xff\xff".ljust(65537, b"x") * 300, "JPEG", "its headers have no end"),
        (drawn("PNG")[:33] + (2**31 - 1).to_bytes(4, "big") + b"iCCP" + bytes(20_000_000), "PNG", "have no end"),
        (drawn("PNG")[:33] + chunk(b"teXt", b"") * 300_000, "PNG", "it is made of too many parts"),
        (drawn("GIF")[:13] + b"!\xfe" + b"\1x" * 300_000, "GIF", "it is made of too many parts|damaged"),
    ],
    ids=["junk", "segments", "a huge chunk", "chunks", "blocks"],
)
def test_a_hostile_image_ends_soon(content: bytes, file_format: str, words: str) -> None:
    with pytest.raises(DamagedFileError, match=words):
        facts(content, file_format)


@pytest.mark.parametrize("file_format", TYPES)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 30))
def test_any_damage_ends_in_facts_or_in_a_sentence(file_format: str, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    content = bytearray(drawn(file_format))
    for _ in range(changes):
        at = chance.randrange(3, chance.choice((60, len(content))))
        content[at] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
    assert outcome(bytes(content[: chance.randrange(8, len(content) + 1)]), file_format).isprintable()


def test_the_bound_of_the_headers_leaves_room_for_large_profiles() -> None:
    profile = random.Random(1).randbytes(1_500_000)
    assert facts(drawn("JPEG", icc_profile=profile), "JPEG").width == 64
    assert 4 * len(profile) < image_facts.HEADER_BYTES
