"""What the channels take: each row of the rules, with real files."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_media._channels.check import check_file
from airflow_provider_media._channels.rules import MB, ChannelReport, H264Info, MediaInfo, channels_of, validate
from airflow_provider_media._upload.source import detect_mime_type, open_source
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaFileError

MEDIA = Path(__file__).parent / "media"
EXAMPLES = Path(__file__).parents[2] / "example_dags" / "media"


def report(content: bytes, *channels: str, before: bytes = b"") -> ChannelReport:
    stream = BytesIO(before + content)
    stream.seek(len(before))
    source = open_source(stream)
    return check_file(source, detect_mime_type(source), channels, check_integrity=False)


def video(name: str) -> bytes:
    return (MEDIA / name).read_bytes()


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


def info(mime_type: str = "image/jpeg", size: int = 1000, **others: Any) -> MediaInfo:
    return MediaInfo(mime_type=mime_type, size=size, **others)


NOTHING = ChannelReport()


@pytest.mark.parametrize(
    "content", [image(), image("PNG"), image("PNG", "RGBA")], ids=["JPEG", "PNG", "PNG with transparency"]
)
def test_images_of_eight_bits_are_accepted_on_all_channels(content: bytes) -> None:
    assert report(content, "whatsapp", "rcs") == NOTHING


@pytest.mark.parametrize(
    ("content", "colors"),
    [
        (image("JPEG", "L"), "8-bit grayscale"),
        (image("JPEG", "CMYK"), "8-bit CMYK"),
        (image("PNG", "P"), "1-bit palette"),
        (image("PNG", "1"), "1-bit grayscale"),
        (image("PNG", "I;16"), "16-bit grayscale"),
        (png_of_sixteen_bits(), "16-bit RGB"),
    ],
)
def test_whatsapp_accepts_no_other_colors(content: bytes, colors: str) -> None:
    assert report(content, "whatsapp").errors == (f"{colors}; WhatsApp accepts 8-bit RGB or RGBA",)
    assert report(content, "rcs") == NOTHING


def test_whatsapp_accepts_no_gif_and_rcs_does() -> None:
    assert report(image("GIF", "P"), "whatsapp", "rcs") == ChannelReport(
        ("GIF; WhatsApp accepts JPEG, PNG, MP4",), rejected_by=("WhatsApp",)
    )


@pytest.mark.parametrize(
    ("channel", "mime_type", "max_mb"),
    [
        ("whatsapp", "image/png", 5),
        ("whatsapp", "video/mp4", 16),
        ("rcs", "image/jpeg", 100),
        ("rcs", "image/gif", 100),
        ("rcs", "video/mp4", 100),
    ],
)
def test_size_has_a_limit(channel: str, mime_type: str, max_mb: int) -> None:
    def errors(size: int) -> tuple[str, ...]:
        return validate(info(mime_type, size, video_codecs=("H.264",)), [channel]).errors

    assert errors(max_mb * 1024 * 1024) == ()
    (error,) = errors(max_mb * 1024 * 1024 + 1)
    assert error.endswith(f"accepts at most {max_mb} MB")


def test_a_size_between_two_definitions_of_mb_is_a_warning() -> None:
    warning = "WhatsApp: 5,000,001 bytes may be more than 5 MB; 5,000,000 bytes are safe, because 1 MB is not defined"
    assert validate(info(size=5 * MB), ["whatsapp"]) == NOTHING
    assert validate(info(size=5 * MB + 1), ["whatsapp"]) == ChannelReport((), (warning,))


@pytest.mark.parametrize(("mime_type", "recommended"), [("image/png", 2), ("video/mp4", 10)])
def test_rcs_recommends_smaller_files(mime_type: str, recommended: int) -> None:
    size = recommended * 1024 * 1024
    assert validate(info(mime_type, size, video_codecs=("H.264",)), ["rcs"]) == NOTHING
    found = validate(info(mime_type, size + 1, video_codecs=("H.264",)), ["rcs"])
    assert found.errors == ()
    assert [warning.endswith(f", recommended at most {recommended} MB") for warning in found.warnings] == [True]


@pytest.mark.parametrize("size", [(1440, 720), (1440, 1440), (768, 1024), (960, 720), (2880, 1440), (1500, 1500)])
def test_recommended_shapes_are_fine(size: tuple[int, int]) -> None:
    assert report(image(size=size), "rcs") == NOTHING


@pytest.mark.parametrize(("size", "why"), [((720, 360), "is smaller than recommended"), ((1440, 300), "fits no card")])
def test_other_shapes_are_a_warning(size: tuple[int, int], why: str) -> None:
    warning = (
        f"RCS: {size[0]}x{size[1]} {why}; recommended: 1440x720 (standalone card), 1440x1440 (standalone card),"
        " 768x1024 (card with the image beside the text), 960x720 (carousel)"
    )
    assert report(image(size=size), "rcs", "whatsapp") == ChannelReport((), (warning,))


@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-silent.mp4"])
def test_videos_as_recommended_are_accepted_on_all_channels(name: str) -> None:
    assert report(video(name), "whatsapp", "rcs") == NOTHING


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("h265-aac.mp4", "H.265 video; WhatsApp accepts H.264"),
        ("h264-mp3.mp4", "MP3 audio; WhatsApp accepts AAC"),
        ("h264-two-sounds.mp4", "2 audio tracks; WhatsApp accepts at most 1"),
        ("h264-ten-bits.mp4", "H.264 High 10 with 10 bits and 4:2:0 chroma; WhatsApp accepts 8 bits and 4:2:0"),
        ("h264-422.mp4", "H.264 High 4:2:2 with 8 bits and 4:2:2 chroma; WhatsApp accepts 8 bits and 4:2:0"),
        ("h264-444.mp4", "H.264 High 4:4:4 Predictive with 8 bits and 4:4:4 chroma; WhatsApp accepts 8 bits and 4:2:0"),
    ],
)
def test_whatsapp_accepts_no_other_video(name: str, reason: str) -> None:
    assert report(video(name), "whatsapp").errors == (reason,)
    assert report(video(name), "rcs") == NOTHING


PROFILE = "WhatsApp: H.264 High profile; all phones play Main and Baseline (ffmpeg: -profile:v main)"
B_FRAMES = "WhatsApp: video with B-frames; Android may not play them (ffmpeg: -bf 0)"
INDEX_LAST = (
    "WhatsApp: moov box after the media data; playback starts sooner with it first (ffmpeg: -movflags +faststart)"
)


@pytest.mark.parametrize(
    ("name", "warnings"),
    [
        ("h264-high-b-frames.mp4", (PROFILE, B_FRAMES)),
        ("h264-b-frames-fragmented.mp4", (B_FRAMES,)),
        ("h264-aac-headers-last.mp4", (INDEX_LAST,)),
    ],
)
def test_whatsapp_recommends_simple_video(name: str, warnings: tuple[str, ...]) -> None:
    assert report(video(name), "whatsapp", "rcs") == ChannelReport((), warnings)


@pytest.mark.parametrize(
    ("profile", "warns"),
    [("Baseline", False), ("Main", False), ("High", True), ("profile 3", True)],
)
def test_each_profile_beyond_main_is_a_warning(profile: str, *, warns: bool) -> None:
    found = validate(info("video/mp4", video_codecs=("H.264",), h264=(H264Info(profile, "4.0"),)), ["whatsapp"])
    assert (found.errors, bool(found.warnings)) == ((), warns)


@pytest.mark.parametrize("channel", ["rcs", "whatsapp"])
def test_an_encrypted_video_is_refused_on_all_channels(channel: str) -> None:
    reason = "encrypted video; no channel plays it. Export it without copy protection"
    assert report(video("h264-encrypted.mp4"), channel).errors == (reason,)


def test_all_violations_of_a_file_are_reported() -> None:
    found = validate(
        info("video/mp4", 17 * 1024 * 1024, video_codecs=("H.265",), audio_codecs=("MP3", "AAC")), ["whatsapp", "rcs"]
    )
    assert len(found.errors) == 4
    assert len(found.warnings) == 1


def test_sound_without_a_video_track_is_refused() -> None:
    (error,) = report(video("sound-only.mp4"), "rcs").errors
    assert error == "MP4 without a video track; no channel accepts it. Check the export"


def test_the_documentation_quotes_the_messages() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guides" / "channels.md").read_text()
    found = validate(info(width=1000, height=400, colors="CMYK", bits=8), ["whatsapp", "rcs"])
    assert [sentence in page for sentence in (*found.errors, *found.warnings)] == [True, True]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir()))
def test_the_examples_meet_the_recommendations(name: str) -> None:
    meant_for = "whatsapp" if name.endswith(".mp4") else "rcs"
    assert report((EXAMPLES / name).read_bytes(), meant_for) == NOTHING
    assert report((EXAMPLES / name).read_bytes(), "whatsapp", "rcs").errors == ()


@pytest.mark.parametrize("content", [image(), image("PNG"), video("h264-aac.mp4")])
def test_a_stream_is_read_from_its_position(content: bytes) -> None:
    assert report(content, "whatsapp", before=b"something else " * 1000) == NOTHING


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (image()[:-100], "truncated: it ends at byte 16,727, within its pixels"),
        (image("PNG")[:-100], "truncated: it ends at byte "),
        (video("h264-aac.mp4")[:-800], "truncated: it ends at byte 4,870, within its mdat box"),
    ],
)
def test_a_truncated_file_is_refused_on_all_channels(content: bytes, reason: str) -> None:
    (error,) = report(content, "whatsapp", "rcs").errors
    assert error.startswith(reason)
    assert error.endswith(". Copy or export it again")


class Breaking(BytesIO):
    name = "file"

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 40:
            raise OSError(5, "Input/output error")
        return super().read(min(size or 0, 32))


@pytest.mark.parametrize("content", [image(), image("PNG"), video("h264-aac.mp4")])
def test_what_cannot_be_read_is_no_damage_of_the_file(content: bytes) -> None:
    source = open_source(Breaking(content))
    with pytest.raises(MediaError, match=r"reading it failed .*Input/output error") as caught:
        check_file(source, detect_mime_type(source), ["rcs"], check_integrity=False)
    assert type(caught.value) is MediaFileError


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
    with pytest.raises(MediaError, match=r"Unknown channel .* in channels; use whatsapp or rcs") as caught:
        channels_of(value)
    assert type(caught.value) is MediaConfigurationError
