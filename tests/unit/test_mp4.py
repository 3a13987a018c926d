"""What an MP4 file's boxes say, that a truncated one is noticed, and that no file can hold up its reader."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._channels.mp4 import read_avc_configuration, read_video
from airflow_provider_media._channels.reader import CorruptFileError, InvalidFileError, Reader
from tests.unit.helpers.boxes import FTYP, MDAT, TURNED, box, esds, mp4, sound, trak, video_track

if TYPE_CHECKING:
    from airflow_provider_media._channels.rules import MediaInfo

MEDIA = Path(__file__).parent / "media"


def info(content: bytes) -> MediaInfo:
    return read_video(Reader("video", BytesIO(content), len(content)))


def outcome(content: bytes) -> str:
    try:
        return str(info(content))
    except InvalidFileError as error:
        return str(error)


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("h264-aac.mp4", (("H.264",), ("AAC",))),
        ("h264-aac-headers-last.mp4", (("H.264",), ("AAC",))),
        ("h264-silent.mp4", (("H.264",), ())),
        ("h264-encrypted.mp4", (("H.264",), ("AAC",))),
        ("h265-aac.mp4", (("H.265",), ("AAC",))),
        ("vp9-opus.mp4", (("VP9",), ("Opus",))),
        ("h264-mp3.mp4", (("H.264",), ("MP3",))),
        ("h264-two-sounds.mp4", (("H.264",), ("AAC", "AAC"))),
        ("sound-only.mp4", ((), ("AAC",))),
    ],
)
def test_the_codecs_of_files_that_ffmpeg_made_are_known(name: str, codecs: tuple[tuple[str, ...], ...]) -> None:
    found = info((MEDIA / name).read_bytes())
    assert (found.video_codecs, found.audio_codecs) == codecs
    assert (found.width, found.height) == ((64, 64) if codecs[0] else (None, None))


@pytest.mark.parametrize(
    ("name", "profile", "bits", "chroma", "has_b_frames"),
    [
        ("h264-aac.mp4", "Main", 8, "4:2:0", False),
        ("h264-silent.mp4", "Baseline", 8, "4:2:0", False),
        ("h264-high-b-frames.mp4", "High", 8, "4:2:0", True),
        ("h264-b-frames-fragmented.mp4", "Main", 8, "4:2:0", True),
        ("h264-ten-bits.mp4", "High 10", 10, "4:2:0", False),
        ("h264-422.mp4", "High 4:2:2", 8, "4:2:2", False),
        ("h264-444.mp4", "High 4:4:4 Predictive", 8, "4:4:4", False),
        ("h264-encrypted.mp4", "Main", 8, "4:2:0", False),
    ],
)
def test_what_h264_needs_of_a_player_is_read(
    name: str, profile: str, bits: int, chroma: str, *, has_b_frames: bool
) -> None:
    found = info((MEDIA / name).read_bytes())
    (h264,) = found.h264
    assert (h264.profile, h264.bits, h264.chroma, h264.level) == (profile, bits, chroma, "1.0")
    assert found.has_b_frames is has_b_frames


@pytest.mark.parametrize(
    ("name", "is_first"),
    [("h264-aac.mp4", True), ("h264-aac-headers-last.mp4", False), ("h264-b-frames-fragmented.mp4", True)],
)
def test_the_place_of_the_index_is_read(name: str, *, is_first: bool) -> None:
    assert info((MEDIA / name).read_bytes()).is_index_first is is_first


@pytest.mark.parametrize(
    ("content", "is_encrypted"),
    [
        ((MEDIA / "h264-encrypted.mp4").read_bytes(), True),
        ((MEDIA / "h264-aac.mp4").read_bytes(), False),
        (mp4(video_track(b"encv")), True),
        (mp4(video_track(), trak(b"soun", box(b"enca", bytes(28)))), True),
        (mp4(video_track(), trak(b"soun", box(b"drms", bytes(28)))), True),
        (mp4(video_track(b"avc1", box(b"sinf", box(b"frma", b"avc1")))), True),
        (mp4(video_track(b"hev1", box(b"sinf", b""))), True),
        (mp4(video_track() + box(b"pssh", bytes(24))), False),
    ],
)
def test_encryption_is_noticed(content: bytes, *, is_encrypted: bool) -> None:
    assert info(content).is_encrypted is is_encrypted


def test_an_incomplete_avc_configuration_is_read_partially() -> None:
    found = read_avc_configuration(bytes.fromhex("0164001fffe00000"))
    assert found
    assert (found.profile, found.level, found.bits) == ("High", "3.1", 8)
    assert read_avc_configuration(b"\1\x64") is None
    # A parameter set that ends within its numbers.
    assert read_avc_configuration(bytes.fromhex("016e001fffe10005676e001f8000000000"))


def test_equal_composition_offsets_are_no_b_frames() -> None:
    def video(*offsets: int) -> bytes:
        rows = b"".join(struct.pack(">II", 1, offset) for offset in offsets)
        return mp4(video_track(tables=box(b"ctts", struct.pack(">II", 0, len(offsets)) + rows)))

    assert info(video(1024, 1024, 1024)).has_b_frames is False
    assert info(video(1024, 3072, 0)).has_b_frames is True
    assert info(video()).has_b_frames is False


@pytest.mark.parametrize(
    ("stream", "codec"),
    [
        (video_track(b"avc3"), "H.264"),
        (video_track(b"hev1"), "H.265"),
        (video_track(b"av01"), "AV1"),
        (video_track(b"vp09"), "VP9"),
        (video_track(b"encv"), "encv"),
        (video_track(b"dvh1"), "Dolby Vision"),
        (video_track(b"apcn"), "ProRes"),
        (video_track(b"mp4v", esds(0x20)), "MPEG-4 Visual"),
        (video_track(b"\xffxy\n"), r"'\xffxy\n'"),
        (trak(b"vide", box(b"avc1"), box(b"hvc1"), box(b"avc1")), "H.264 and H.265"),
    ],
)
def test_video_codecs_have_names(stream: bytes, codec: str) -> None:
    assert info(mp4(stream)).video_codecs == (codec,)


@pytest.mark.parametrize(
    ("stream", "codec"),
    [
        (sound(0x40), "AAC"),
        (sound(0x67), "AAC"),
        (sound(0x6B), "MP3"),
        (sound(0x01), "mp4a of the object type 0x1"),
        (sound(content=b""), "mp4a of the object type 0x0"),
        (sound(content=esds(0x40, long_lengths=True)), "AAC"),
        (sound(content=esds(0x40, flags=0x80 | 0x40 | 0x20)), "AAC"),
        (sound(content=bytes(16) + box(b"wave", esds(0x40))), "AAC"),
        (trak(b"soun", box(b"ac-3")), "AC-3"),
        (trak(b"soun", box(b"Opus")), "Opus"),
        (trak(b"soun", box(b"sawb")), "AMR-WB"),
    ],
)
def test_the_format_of_sound_has_a_name(stream: bytes, codec: str) -> None:
    assert info(mp4(stream)).audio_codecs == (codec,)


def test_streams_of_other_kinds_do_not_count() -> None:
    found = info(mp4(trak(b"text", box(b"tx3g")), video_track(), trak(b"tmcd", box(b"tmcd"))))
    assert (found.video_codecs, found.audio_codecs) == (("H.264",), ())


@pytest.mark.parametrize("version", [0, 1])
def test_a_turned_video_has_the_pixels_that_are_shown(version: int) -> None:
    def pixels(matrix: tuple[int, ...]) -> tuple[int | None, int | None]:
        found = info(mp4(trak(b"vide", box(b"avc1"), size=(1024, 768), matrix=matrix, version=version)))
        return found.width, found.height

    assert pixels((1, 0, 0, 1)) == (1024, 768)
    assert pixels(TURNED) == (768, 1024)


def test_sizes_of_64_bits_and_to_the_end_are_read() -> None:
    content = mp4(video_track(), sound())[: -len(MDAT)]
    for last in (struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd", struct.pack(">I4s", 0, b"mdat") + b"abcd"):
        assert info(content + last).video_codecs == ("H.264",)


def test_only_the_boxes_are_read_of_a_large_file() -> None:
    class Counting(BytesIO):
        count = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            Counting.count += len(data)
            return data

    content = FTYP + box(b"mdat", bytes(20_000_000)) + mp4(video_track(), sound())[len(FTYP) :]
    assert read_video(Reader("video", Counting(content), len(content))).audio_codecs == ("AAC",)
    assert Counting.count < 50_000


@pytest.mark.parametrize(
    "behind",
    [
        b"\0",
        bytes(100_000),
        b"\r\n------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n",
        b"LIGOGPSINFO {}",
        b"\xff" * 12,
        b"\0\0\0\7free",
        struct.pack(">I4sQ", 1, b"\0\1\2\3", 2**63),
    ],
)
@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-aac-headers-last.mp4", "h264-b-frames-fragmented.mp4"])
def test_something_behind_the_last_box_does_no_harm(name: str, behind: bytes) -> None:
    content = (MEDIA / name).read_bytes()
    assert info(content + behind).video_codecs == info(content).video_codecs


@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-aac-headers-last.mp4", "h264-b-frames-fragmented.mp4"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_video_is_noticed(name: str, share: float) -> None:
    content = (MEDIA / name).read_bytes()
    with pytest.raises(CorruptFileError, match=r"^truncated: it "):
        info(content[: int(len(content) * share)])


def fragments(count: int, *, whole: bool = True) -> bytes:
    fragment = box(b"moof", box(b"mfhd", bytes(8))) + box(b"mdat", bytes(200))
    content = mp4(video_track())[: -len(MDAT)] + fragment * count
    return content if whole else content[: -len(box(b"mdat", bytes(200)))]


def test_a_video_truncated_after_a_fragment_index_is_refused() -> None:
    assert info(fragments(3)).video_codecs == ("H.264",)
    with pytest.raises(
        CorruptFileError, match=r"truncated: it ends at byte [\d,]+, between a moof box and its mdat box"
    ):
        info(fragments(3, whole=False))


def test_media_data_without_a_size_are_truncated_if_samples_are_missing() -> None:
    def video(offset: int) -> bytes:
        table = box(b"stco", struct.pack(">III", 0, 1, offset))
        return mp4(video_track(tables=table))[: -len(MDAT)] + struct.pack(">I4s", 0, b"mdat") + bytes(1000)

    assert info(video(400)).video_codecs == ("H.264",)
    with pytest.raises(CorruptFileError, match="before its last samples"):
        info(video(5000))


def test_a_heavily_fragmented_video_is_read_quickly() -> None:
    content = fragments(100_000)
    started = time.thread_time()
    assert info(content).video_codecs == ("H.264",)
    assert time.thread_time() - started < 1.3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FTYP + MDAT, r"truncated: it has no index \(moov box\), which is often written last"),
        (FTYP, "truncated: it has no index"),
        (mp4(video_track())[: -len(MDAT)], r"truncated: it ends at byte \d+, without media data \(mdat box\)"),
        (mp4(video_track())[:-1], "truncated: it ends at byte 424, within its mdat box"),
        (FTYP + MDAT + b"\0\0\1\0xyz!", "truncated: it has no index"),
        (FTYP + b"\0\0\1\0xyz!" + bytes(20), "not an MP4 video, although it starts like one"),
        (FTYP + bytes(1000), "not an MP4 video, although it starts like one"),
        (FTYP + box(b"meta", bytes(30)) + MDAT, "a still image in an MP4 container"),
        (mp4(box(b"cmov", box(b"dcom", b"zlib"))), r"an MP4 with a compressed index \(cmov\)"),
        (mp4(video_track().replace(b"hdlr", b"xxxx")), "an MP4 with an incomplete index: a track has no hdlr box"),
        (mp4(video_track().replace(b"stsd", b"xxxx")), "a track has no stsd box"),
        (mp4(video_track().replace(b"tkhd", b"xxxx")), "a track has no tkhd box"),
        (mp4(box(b"trak", box(b"mdia", box(b"hdlr", b"short")))), r"corrupt: its hdlr box at byte \d+ is too short"),
        (mp4(trak(b"vide")), "a track does not say its format"),
        (
            mp4(box(b"trak", struct.pack(">I4s", 2**31, b"mdia"))),
            "corrupt: the box at byte 148 has an impossible size",
        ),
    ],
)
def test_the_error_states_the_cause(content: bytes, words: str) -> None:
    with pytest.raises(InvalidFileError, match=rf"^{words}|{words}\. "):
        info(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FTYP + box(b"free") * 500_000 + mp4(video_track()), "made of too many segments to check in time"),
        (mp4(box(b"free") * 500_000), "made of too many segments to check in time"),
        (mp4(video_track() * 2000), "an MP4 that claims to have more than 50 tracks"),
        (mp4(trak(b"vide", *[box(b"avc1")] * 200, size=(1, 1))), None),
        (FTYP + b"".join(struct.pack(">I4s", 8 * n, b"moov") for n in range(100_000, 0, -1)) + MDAT, None),
        (FTYP + bytes(1_000_000), "not an MP4 video"),
        (mp4(video_track(tables=box(b"ctts", bytes(20_000_000)))), None),
        (mp4(video_track(content=bytes(20_000_000))), None),
    ],
    ids=["boxes outside", "boxes inside", "tracks", "formats", "nesting", "zeros", "a long table", "a long entry"],
)
def test_a_hostile_file_ends_soon(monkeypatch: pytest.MonkeyPatch, content: bytes, words: str | None) -> None:
    monkeypatch.setattr("airflow_provider_media._channels.reader.MAX_SECONDS", 0.2)
    stream = Reader("video", BytesIO(content), len(content))
    started = time.thread_time()
    tracemalloc.start()
    try:
        if words:
            with pytest.raises(InvalidFileError, match=words):
                read_video(stream)
        else:
            assert read_video(stream).audio_codecs == ()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.thread_time() - started < 1
    assert peak < 2_000_000


@given(
    st.sampled_from(
        ["h264-aac.mp4", "h264-aac-headers-last.mp4", "h264-encrypted.mp4", "h264-b-frames-fragmented.mp4"]
    ),
    st.integers(0, 2**32),
    st.integers(1, 40),
)
def test_any_damage_returns_info_or_one_error(name: str, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    content = bytearray((MEDIA / name).read_bytes())
    for _ in range(changes):
        content[chance.randrange(len(content))] = chance.choice((0, 1, 8, 0x7F, 0xFF, chance.randrange(256)))
    assert outcome(bytes(content[: chance.randrange(1, len(content) + 1)])).isprintable()


@given(st.binary(max_size=300))
def test_any_bytes_in_the_index_return_info_or_one_error(content: bytes) -> None:
    for streams in (content, box(b"trak", content), video_track() + box(b"trak", box(b"mdia", content))):
        assert outcome(mp4(streams)).isprintable()
