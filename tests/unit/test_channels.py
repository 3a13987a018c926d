"""What the channels take: each row of the rules, with real files."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.source import open_source, sniff
from airflow_provider_media._channels.check import check_channels
from airflow_provider_media._channels.rules import MB, ChannelFindings, MediaFacts, channels_of, judge

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
    reason = f"its colours are {colours}, and the channel takes RGB or RGBA of 8 bits; save it so"
    assert findings(content, "whatsapp").errors == (f"file cannot be sent on WhatsApp: {reason}.",)
    assert findings(content, "rcs") == NOTHING


def test_whatsapp_takes_no_gif_and_rcs_does() -> None:
    error = (
        "file cannot be sent on WhatsApp: it is image/gif, and the channel takes image/jpeg, image/png, video/mp4;"
        " convert it."
    )
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
    assert error.endswith(f"the channel takes {most} MB at most; make it smaller.")


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
        " on a standalone card, 1440x1440 on a standalone card, 768x1024 beside the text, 960x720 in a carousel."
    )
    assert findings(image(size=size), "rcs", "whatsapp") == ChannelFindings((), (warning,))


@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-aac-headers-last.mp4", "h264-silent.mp4"])
def test_videos_of_the_right_codecs_may_go_to_all_channels(name: str) -> None:
    assert findings((MEDIA / name).read_bytes(), "whatsapp", "rcs") == NOTHING


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("h265-aac.mp4", "its video is H.265, and the channel takes H.264; encode it so"),
        ("h264-mp3.mp4", "its sound is MP3, and the channel takes AAC; encode it so"),
        ("h264-two-sounds.mp4", "it has 2 streams of sound, and the channel takes one at most; leave the others out"),
    ],
)
def test_whatsapp_takes_no_other_codecs(name: str, reason: str) -> None:
    content = (MEDIA / name).read_bytes()
    assert findings(content, "whatsapp").errors == (f"file cannot be sent on WhatsApp: {reason}.",)
    assert findings(content, "rcs") == NOTHING


def test_all_that_speaks_against_a_file_is_said() -> None:
    video = facts("video/mp4", 17 * 1024 * 1024, video_codecs=("H.265",), audio_codecs=("MP3", "AAC"))
    found = judge("film", video, ["whatsapp", "rcs"])
    assert len(found.errors) == 4
    assert len(found.warnings) == 1


def test_a_film_without_pictures_is_refused() -> None:
    (error,) = findings((MEDIA / "sound-only.mp4").read_bytes(), "rcs").errors
    assert error == "file cannot be sent on RCS: it holds no video stream; check how it was exported."


def test_the_page_of_the_documentation_shows_what_is_said() -> None:
    page = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()
    banner = facts(width=1000, height=400, colours="CMYK", bits=8)
    found = judge("s3://campaigns/summer/banner.jpg", banner, ["whatsapp", "rcs"])
    assert [sentence in page for sentence in (*found.errors, *found.warnings)] == [True, True]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir()))
def test_the_examples_are_what_their_channels_recommend(name: str) -> None:
    meant_for = "whatsapp" if name.endswith(".mp4") else "rcs"
    assert findings((EXAMPLES / name).read_bytes(), meant_for) == NOTHING
    assert findings((EXAMPLES / name).read_bytes(), "whatsapp", "rcs").errors == ()


@pytest.mark.parametrize("content", [image(), image("PNG"), (MEDIA / "h264-aac.mp4").read_bytes()])
def test_a_stream_is_read_from_where_it_stands(content: bytes) -> None:
    assert findings(content, "whatsapp", before=b"something else " * 1000) == NOTHING


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (image()[:-100], "it ends too early"),
        (image("PNG")[:-100], "it ends too early"),
        ((MEDIA / "h264-aac.mp4").read_bytes()[:-800], "it ends within its box 'mdat', which begins at byte 1698"),
    ],
)
def test_a_damaged_file_is_refused_on_all_channels_at_once(content: bytes, reason: str) -> None:
    error = f"file cannot be sent on any channel: {reason}; export or copy it anew."
    assert findings(content, "whatsapp", "rcs") == ChannelFindings((error,))


class Breaking(BytesIO):
    name = "file"

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 40:
            raise OSError(5, "Input/output error")
        return super().read(min(size or 0, 32))


@pytest.mark.parametrize("content", [image(), image("PNG"), (MEDIA / "h264-aac.mp4").read_bytes()])
def test_what_cannot_be_read_is_no_damage_of_the_file(content: bytes) -> None:
    source = open_source(Breaking(content))
    with pytest.raises(Problem, match=r"reading it failed .*Input/output error") as caught:
        check_channels(source, sniff(source), ["rcs"])
    assert caught.value.kind is Kind.FILE


def test_without_channels_nothing_is_read() -> None:
    assert check_channels(open_source(Breaking(b"no image")), "image/png", ()) == NOTHING


@pytest.mark.parametrize(
    ("value", "channels"),
    [
        (None, ()),
        ([], ()),
        ("rcs", ("rcs",)),
        (["rcs", "whatsapp", "rcs"], ("rcs", "whatsapp")),
        (["RCS", "WhatsApp", " rcs "], ("rcs", "whatsapp")),
        ("WHATSAPP", ("whatsapp",)),
        (iter(["rcs", "whatsapp"]), ("rcs", "whatsapp")),
    ],
)
def test_channels_are_named(value: Any, channels: tuple[str, ...]) -> None:
    assert channels_of(value) == channels


@pytest.mark.parametrize("value", ["sms", ["rcs", "Whats App"], [None], ["None"], [["rcs"]], [7]])
def test_unknown_channels_are_refused(value: Any) -> None:
    with pytest.raises(Problem, match=r"channels must be a list of whatsapp and rcs; .* is neither") as caught:
        channels_of(value)
    assert caught.value.kind is Kind.CONFIGURATION
