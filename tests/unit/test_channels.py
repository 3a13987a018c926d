"""What the channels take: each row of the rules, with real files."""

from __future__ import annotations

import random
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from airflow_provider_media._api.channels import MB, ChannelFindings, MediaFacts, channels_of, judge
from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.source import open_source, sniff
from airflow_provider_media._channel_checks import check_channels

MEDIA = Path(__file__).parent / "media"
EXAMPLES = Path(__file__).parents[2] / "example_dags" / "media"


def findings(content: bytes, *channels: str, before: bytes = b"") -> ChannelFindings:
    stream = BytesIO(before + content)
    stream.seek(len(before))
    stream.name = "file"  # type: ignore[attr-defined]
    source = open_source(stream)
    return check_channels(source, sniff(source), channels)


def image(file_format: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (1440, 720), **options: Any) -> bytes:
    content = BytesIO()
    Image.new(mode, size).save(content, file_format, **options)
    return content.getvalue()


def png_of_sixteen_bits() -> bytes:
    """Make what Pillow cannot write: 48 bits a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (1440).to_bytes(4, "big") + (720).to_bytes(4, "big") + bytes((16, 2, 0, 0, 0))
    rows = zlib.compress((b"\0" + bytes(1440 * 6)) * 720)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def facts(mime_type: str = "image/jpeg", size: int = 1000, **others: Any) -> MediaFacts:
    return MediaFacts(mime_type=mime_type, size=size, **others)


NOTHING = ChannelFindings()


@pytest.mark.parametrize(
    "content", [image(), image("PNG"), image("PNG", "RGBA")], ids=["JPEG", "PNG", "PNG with transparency"]
)
def test_pictures_of_eight_bit_colours_may_go_to_all_channels(content: bytes) -> None:
    assert findings(content, "whatsapp", "rcs") == NOTHING


@pytest.mark.parametrize(
    ("content", "colours"),
    [
        (image("JPEG", "L"), "greyscale of 8 bits"),
        (image("JPEG", "CMYK"), "CMYK of 8 bits"),
        (image("PNG", "P"), "palette of 1 bit"),
        (image("PNG", "1"), "black and white of 1 bit"),
        (image("PNG", "I;16"), "greyscale of 16 bits"),
        (png_of_sixteen_bits(), "RGB of 16 bits"),
    ],
)
def test_whatsapp_takes_no_other_colours(content: bytes, colours: str) -> None:
    assert findings(content, "whatsapp").errors == (
        f"file cannot be sent on WhatsApp: its colours are {colours}, and the channel takes RGB or RGBA of 8 bits.",
    )
    assert findings(content, "rcs") == NOTHING


def test_whatsapp_takes_no_gif_and_rcs_does() -> None:
    error = "file cannot be sent on WhatsApp: it is image/gif, and the channel takes image/jpeg, image/png, video/mp4."
    assert findings(image("GIF", "P"), "whatsapp", "rcs") == ChannelFindings((error,))


@pytest.mark.parametrize(
    ("channel", "mime_type", "most"),
    [
        ("whatsapp", "image/png", 5),
        ("whatsapp", "video/mp4", 16),
        ("rcs", "image/jpeg", 100),
        ("rcs", "image/gif", 100),
        ("rcs", "video/mp4", 100),
    ],
)
def test_size_has_a_limit(channel: str, mime_type: str, most: int) -> None:
    def errors(size: int) -> tuple[str, ...]:
        return judge("file", facts(mime_type, size, video_codecs=("H.264",)), [channel]).errors

    assert errors(most * 1024 * 1024) == ()
    (error,) = errors(most * 1024 * 1024 + 1)
    assert error.endswith(f"the channel takes {most} MB at most.")


def test_between_the_two_readings_of_a_megabyte_is_a_warning() -> None:
    warning = (
        "file is not what is recommended for WhatsApp: its 5,000,001 bytes are within 5 MB only if the channel counts"
        " 1,048,576 bytes a MB."
    )
    assert judge("file", facts(size=5 * MB), ["whatsapp"]) == NOTHING
    assert judge("file", facts(size=5 * MB + 1), ["whatsapp"]) == ChannelFindings((), (warning,))


@pytest.mark.parametrize(("mime_type", "recommended"), [("image/png", 2), ("video/mp4", 10)])
def test_rcs_recommends_smaller_files(mime_type: str, recommended: int) -> None:
    size = recommended * 1024 * 1024
    assert judge("file", facts(mime_type, size, video_codecs=("H.264",)), ["rcs"]) == NOTHING
    found = judge("file", facts(mime_type, size + 1, video_codecs=("H.264",)), ["rcs"])
    assert found.errors == ()
    assert [warning.endswith(f"at most {recommended} MB are recommended.") for warning in found.warnings] == [True]


@pytest.mark.parametrize("size", [(1440, 720), (1440, 1440), (768, 1024), (960, 720), (2880, 1440), (1500, 1500)])
def test_recommended_shapes_are_fine(size: tuple[int, int]) -> None:
    assert findings(image(size=size), "rcs") == NOTHING


@pytest.mark.parametrize(
    ("size", "why"), [((720, 360), "it is smaller than recommended"), ((1440, 300), "its shape fits none")]
)
def test_other_shapes_are_warned_of(size: tuple[int, int], why: str) -> None:
    warning = (
        f"file is not what is recommended for RCS: it has {size[0]}x{size[1]} pixels, {why}; recommended are 1440x720"
        " on a standalone card, 1440x1440 on a standalone card, 768x1024 on a card with its picture beside the text,"
        " 960x720 on a carousel."
    )
    assert findings(image(size=size), "rcs", "whatsapp") == ChannelFindings((), (warning,))


@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-aac-headers-last.mp4", "h264-silent.mp4"])
def test_videos_of_the_right_codecs_may_go_to_all_channels(name: str) -> None:
    assert findings((MEDIA / name).read_bytes(), "whatsapp", "rcs") == NOTHING


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("h265-aac.mp4", "its video is H.265, and the channel takes H.264"),
        ("h264-mp3.mp4", "its sound is MPEG Audio, and the channel takes AAC"),
        ("h264-two-sounds.mp4", "it has 2 streams of sound, and the channel takes one at most"),
    ],
)
def test_whatsapp_takes_no_other_codecs(name: str, reason: str) -> None:
    content = (MEDIA / name).read_bytes()
    assert findings(content, "whatsapp").errors == (f"file cannot be sent on WhatsApp: {reason}.",)
    assert findings(content, "rcs") == NOTHING


def test_all_that_speaks_against_a_file_is_said() -> None:
    video = facts("video/mp4", 17 * 1024 * 1024, video_codecs=("H.265",), audio_codecs=("MPEG Audio", "AAC"))
    found = judge("film", video, ["whatsapp", "rcs"])
    assert len(found.errors) == 4
    assert len(found.warnings) == 1


def test_a_film_without_pictures_is_refused() -> None:
    (error,) = findings((MEDIA / "sound-only.mp4").read_bytes(), "rcs").errors
    assert error == "file cannot be sent on RCS: it holds no video stream that can be read."


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir()))
def test_examples_may_go_to_all_channels(name: str) -> None:
    assert findings((EXAMPLES / name).read_bytes(), "whatsapp", "rcs").errors == ()


@pytest.mark.parametrize("content", [image(), image("PNG"), (MEDIA / "h264-aac.mp4").read_bytes()])
def test_a_stream_is_read_from_where_it_stands(content: bytes) -> None:
    assert findings(content, "whatsapp", before=b"something else " * 1000) == NOTHING


@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-aac-headers-last.mp4"])
def test_a_video_that_is_cut_off_is_refused(name: str) -> None:
    content = (MEDIA / name).read_bytes()
    assert findings(content[: len(content) - 800], "rcs").errors != ()


def test_a_picture_that_is_damaged_is_refused() -> None:
    whole = image("PNG")
    for content in (whole[:40], whole[:60] + b"xxxx" + whole[64:], image()[:30]):
        (error,) = findings(content, "whatsapp", "rcs").errors
        assert error.startswith("file cannot be sent on any channel: it is damaged, or no image (")


def test_a_picture_of_monstrous_size_is_refused() -> None:
    png = bytearray(image("PNG"))
    png[16:24] = (100_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    (error,) = findings(bytes(png), "rcs").errors
    assert "it claims to have more pixels than any picture" in error


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["h264-aac.mp4", "h264-aac-headers-last.mp4"]), st.integers(0, 2**32), st.integers(1, 40))
def test_a_video_with_any_damage_ends_in_findings(name: str, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    content = bytearray((MEDIA / name).read_bytes())
    for _ in range(changes):
        content[chance.randrange(12, len(content))] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
    found = findings(bytes(content[: chance.randrange(40, len(content))]), "whatsapp", "rcs")
    assert isinstance(found, ChannelFindings)


@pytest.mark.parametrize(
    ("value", "channels"),
    [(None, ()), ([], ()), ("rcs", ("rcs",)), (["rcs", "whatsapp", "rcs"], ("rcs", "whatsapp"))],
)
def test_channels_are_named(value: Any, channels: tuple[str, ...]) -> None:
    assert channels_of(value) == channels


@pytest.mark.parametrize("value", ["sms", ["rcs", "WhatsApp"], [None], ["None"]])
def test_unknown_channels_are_refused(value: Any) -> None:
    with pytest.raises(Problem, match=r"channels may hold whatsapp and rcs, not ") as caught:
        channels_of(value)
    assert caught.value.kind is Kind.CONFIGURATION
