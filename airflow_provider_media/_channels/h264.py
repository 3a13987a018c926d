"""Read the profile, level, bit depth and chroma format of an H.264 stream (ITU-T H.264, 7.3.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

_PROFILES = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4 Predictive",
    44: "CAVLC 4:4:4 Intra",
    118: "Multiview High",
    128: "Stereo High",
}
_WITH_CHROMA_FORMAT = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
_CHROMA_FORMATS = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
_SEQUENCE_PARAMETER_SET = 7


@dataclass(frozen=True, slots=True)
class H264Info:
    """The parameters of an H.264 stream.

    :param profile: such as ``Main``.
    :param level: such as ``3.1``.
    :param bits: per sample.
    :param chroma: such as ``4:2:0``.
    """

    profile: str
    level: str
    bits: int = 8
    chroma: str = "4:2:0"


def read_avc_configuration(content: bytes) -> H264Info | None:
    """Read an ``avcC`` box (ISO/IEC 14496-15, 5.3.3.1); None if it is too short.

    Bit depth and chroma format are read from the sequence parameter set, because many writers omit the box's own
    fields for them.
    """
    if len(content) < len(b"\1PPL\xff\xe1"):
        return None
    profile, level = content[1], content[3]
    bits, chroma = 8, "4:2:0"
    length = int.from_bytes(content[6:8], "big")
    unit = content[8 : 8 + length]
    if content[5] & 0x1F and len(unit) > len(b"NPCL") and unit[0] & 0x1F == _SEQUENCE_PARAMETER_SET:
        profile, level = unit[1], unit[3]
        if profile in _WITH_CHROMA_FORMAT:
            bits, chroma = _sample_format(unit[4:])
    return H264Info(_PROFILES.get(profile, f"profile {profile}"), f"{level // 10}.{level % 10}", bits, chroma)


def _sample_format(data: bytes) -> tuple[int, str]:
    """Read bit depth and chroma format from the first bytes."""
    numbers = _ExpGolomb(data[:32])
    numbers.read()  # seq_parameter_set_id
    chroma = numbers.read()
    if chroma == len(_CHROMA_FORMATS) - 1:
        numbers.read_bit()  # separate_colour_plane_flag
    luma_bits, chroma_bits = 8 + numbers.read(), 8 + numbers.read()
    name = _CHROMA_FORMATS[chroma] if chroma < len(_CHROMA_FORMATS) else f"chroma format {chroma}"
    return max(luma_bits, chroma_bits), name


class _ExpGolomb:
    """Exponential-Golomb numbers: a prefix of zeros and as many bits (9.1); the data are padded with zeros."""

    def __init__(self, data: bytes) -> None:
        data = data.replace(b"\0\0\3", b"\0\0")  # the bytes that keep a start code from appearing (7.4.1)
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def read_bit(self) -> int:
        self._at += 1
        return self._bits[self._at - 1 : self._at] == "1"

    def read(self) -> int:
        zeros = 0
        while self._at < len(self._bits) and not self.read_bit():
            zeros += 1
        digits = self._bits[self._at : self._at + zeros].ljust(zeros, "0")
        self._at += zeros
        return (1 << zeros) - 1 + int(digits or "0", 2)
