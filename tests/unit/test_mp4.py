"""What an MP4 file's boxes tell, and that no file can hold up whoever reads them."""

from __future__ import annotations

import random
import struct
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_media._channels import reader as reader_module
from airflow_provider_media._channels.mp4 import video_facts
from airflow_provider_media._channels.reader import DamagedFileError, Reader
from tests.unit.helpers.boxes import FTYP, MDAT, TURNED, box, esds, mp4, picture, sound, trak

if TYPE_CHECKING:
    from airflow_provider_media._channels.rules import MediaFacts

MEDIA = Path(__file__).parent / "media"


def facts(content: bytes) -> MediaFacts:
    return video_facts(Reader("film", BytesIO(content), len(content)))


def outcome(content: bytes) -> str:
    try:
        return str(facts(content))
    except DamagedFileError as error:
        return str(error)


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("h264-aac.mp4", (("H.264",), ("AAC",))),
        ("h264-aac-headers-last.mp4", (("H.264",), ("AAC",))),
        ("h264-silent.mp4", (("H.264",), ())),
        ("h265-aac.mp4", (("H.265",), ("AAC",))),
        ("h264-mp3.mp4", (("H.264",), ("MP3",))),
        ("h264-two-sounds.mp4", (("H.264",), ("AAC", "AAC"))),
        ("sound-only.mp4", ((), ("AAC",))),
    ],
)
def test_the_codecs_of_files_that_ffmpeg_made_are_known(name: str, codecs: tuple[tuple[str, ...], ...]) -> None:
    found = facts((MEDIA / name).read_bytes())
    assert (found.video_codecs, found.audio_codecs) == codecs
    assert (found.width, found.height) == ((64, 64) if codecs[0] else (None, None))


@pytest.mark.parametrize(
    ("stream", "codec"),
    [
        (picture(b"avc3"), "H.264"),
        (picture(b"hev1"), "H.265"),
        (picture(b"av01"), "AV1"),
        (picture(b"vp09"), "VP9"),
        (picture(b"encv"), "encrypted"),
        (picture(b"mp4v", esds(0x20)), "MPEG-4 Visual"),
        (picture(b"\xffxy\n"), r"'\xffxy\n'"),
        (trak(b"vide", box(b"avc1"), box(b"hvc1"), box(b"avc1")), "H.264 and H.265"),
    ],
)
def test_the_format_of_pictures_has_a_name(stream: bytes, codec: str) -> None:
    assert facts(mp4(stream)).video_codecs == (codec,)


@pytest.mark.parametrize(
    ("stream", "codec"),
    [
        (sound(0x40), "AAC"),
        (sound(0x67), "AAC"),
        (sound(0x6B), "MP3"),
        (sound(0x01), "'mp4a' of the object type 0x1"),
        (sound(content=b""), "'mp4a' of the object type 0x0"),
        (sound(content=esds(0x40, long_lengths=True)), "AAC"),
        (sound(content=esds(0x40, flags=0x80 | 0x40 | 0x20)), "AAC"),
        (sound(content=bytes(16) + box(b"wave", esds(0x40))), "AAC"),
        (trak(b"soun", box(b"ac-3")), "AC-3"),
        (trak(b"soun", box(b"Opus")), "Opus"),
    ],
)
def test_the_format_of_sound_has_a_name(stream: bytes, codec: str) -> None:
    assert facts(mp4(stream)).audio_codecs == (codec,)


def test_streams_of_other_kinds_do_not_count() -> None:
    found = facts(mp4(trak(b"text", box(b"tx3g")), picture(), trak(b"tmcd", box(b"tmcd"))))
    assert (found.video_codecs, found.audio_codecs) == (("H.264",), ())


@pytest.mark.parametrize("version", [0, 1])
def test_a_turned_video_has_the_pixels_that_are_shown(version: int) -> None:
    def pixels(matrix: tuple[int, ...]) -> tuple[int | None, int | None]:
        found = facts(mp4(trak(b"vide", box(b"avc1"), size=(1024, 768), matrix=matrix, version=version)))
        return found.width, found.height

    assert pixels((1, 0, 0, 1)) == (1024, 768)
    assert pixels(TURNED) == (768, 1024)


def test_sizes_of_64_bits_and_to_the_end_are_read() -> None:
    content = mp4(picture(), sound())[: -len(MDAT)]
    for last in (struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd", struct.pack(">I4s", 0, b"mdat") + b"abcd"):
        assert facts(content + last).video_codecs == ("H.264",)


def test_only_the_boxes_are_read_of_a_large_file(tmp_path: Path) -> None:
    class Counting(BytesIO):
        count = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            Counting.count += len(data)
            return data

    content = FTYP + box(b"mdat", bytes(20_000_000)) + mp4(picture(), sound())[len(FTYP) :]
    assert video_facts(Reader("film", Counting(content), len(content))).audio_codecs == ("AAC",)
    assert Counting.count < 50_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FTYP + MDAT, "it has no index, which is often written last"),
        (mp4(picture())[: -len(MDAT)], "it has an index, but no content"),
        (mp4(picture())[:-1], "it ends within its box 'mdat', which begins at byte"),
        (FTYP, "it has no index"),
        (FTYP + struct.pack(">I4s", 7, b"free") + mp4(picture()), "its box 'free' at byte 24 has no sensible size"),
        (FTYP + struct.pack(">I4sQ", 1, b"free", 15) + mp4(picture()), "'free' at byte 24 has no sensible size"),
        (FTYP + struct.pack(">I4sQ", 1, b"free", 2**64 - 1) + mp4(picture()), "it ends within its box 'free'"),
        (mp4(picture().replace(b"hdlr", b"xxxx")), "a stream has no 'hdlr' box"),
        (mp4(picture().replace(b"stsd", b"xxxx")), "a stream has no 'stsd' box"),
        (mp4(picture().replace(b"tkhd", b"xxxx")), "a stream has no 'tkhd' box"),
        (mp4(box(b"trak", box(b"mdia", box(b"hdlr", b"short")))), "its box 'hdlr' is too short"),
        (mp4(trak(b"vide")), "a stream does not say its format"),
        (mp4(box(b"trak", struct.pack(">I4s", 2**31, b"mdia"))), "it ends within its box 'mdia'"),
    ],
)
def test_what_is_cut_off_or_damaged_is_told(content: bytes, words: str) -> None:
    with pytest.raises(DamagedFileError, match=words):
        facts(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FTYP + box(b"free") * 300_000 + mp4(picture()), "it is made of too many parts"),
        (mp4(box(b"free") * 300_000), "it is made of too many parts"),
        (mp4(picture() * 2000), "it claims to have 2,000 streams"),
        (mp4(trak(b"vide", *[box(b"avc1")] * 200, size=(1, 1))), None),
        (FTYP + b"".join(struct.pack(">I4s", 8 * n, b"moov") for n in range(100_000, 0, -1)) + MDAT, None),
        (FTYP + bytes(1_000_000), "it has no index"),
    ],
    ids=["boxes outside", "boxes inside", "streams", "formats", "nesting", "zeros"],
)
def test_a_hostile_file_ends_soon(content: bytes, words: str | None) -> None:
    stream = Reader("film", BytesIO(content), len(content))
    if words:
        with pytest.raises(DamagedFileError, match=words):
            video_facts(stream)
    else:
        assert video_facts(stream).audio_codecs == ()
    assert stream._steps <= reader_module.MAX_STEPS + 1


@given(
    st.sampled_from(["h264-aac.mp4", "h264-aac-headers-last.mp4", "h264-two-sounds.mp4"]),
    st.integers(0, 2**32),
    st.integers(1, 40),
)
def test_any_damage_ends_in_facts_or_in_a_sentence(name: str, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    content = bytearray((MEDIA / name).read_bytes())
    for _ in range(changes):
        content[chance.randrange(len(content))] = chance.choice((0, 1, 8, 0x7F, 0xFF, chance.randrange(256)))
    assert outcome(bytes(content[: chance.randrange(1, len(content) + 1)])).isprintable()


@given(st.binary(max_size=300))
def test_any_bytes_in_the_index_end_in_facts_or_in_a_sentence(content: bytes) -> None:
    for streams in (content, box(b"trak", content), picture() + box(b"trak", box(b"mdia", content))):
        assert outcome(mp4(streams)).isprintable()
