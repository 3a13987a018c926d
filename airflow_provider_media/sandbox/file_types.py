"""Types of accepted files. The tables are independent of the client's, so that both cannot share a mistake."""

from __future__ import annotations

HEAD_BYTES = 64

SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "video/mp4": ".mp4"}
"""The accepted MIME types and the suffixes of their URLs."""

_MAGIC = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\x0d\x0a\x1a\x0a": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def _brands(text: str) -> frozenset[str]:
    """Split a string into brands of four letters each."""
    return frozenset(text[index : index + 4] for index in range(0, len(text), 4))


_MP4_MAJOR_BRANDS = _brands(
    "isomiso2iso3iso4iso5iso6iso7iso8iso9mp41mp42mp71mmp4avc1dashcmfccmffMSNVXAVCF4V f4v M4V M4VHM4VP"
    "NDSCNDSHNDSMNDSPNDSSNDXCNDXHNDXMNDXPNDXS"
)
_MP4_COMPATIBLE_BRANDS = _brands("isomiso2mp41mp42avc1")
_OTHER_BRANDS = (
    *("hei", "hev", "mif", "msf", "avi", "mia", "jp", "mj", "vvi", "jxl"),  # images
    *("crx", "qt", "M4A", "M4B", "M4P", "F4A", "F4B", "F4P", "aax", "odcf", "isml", "piff"),
)


def accepted_type(head: bytes) -> str | None:
    """Return the MIME type of a file; None if it is not accepted.

    :param head: the first :data:`HEAD_BYTES` bytes.
    """
    if head.startswith(b"\xff\xd8\xff\xf7"):  # JPEG-LS
        return None
    for magic, mime_type in _MAGIC.items():
        if head.startswith(magic):
            return mime_type
    if head[4:8] != b"ftyp" or len(head) < len(b"SIZEftypisom"):
        return None
    length = int.from_bytes(head[:4], "big")
    major = head[8:12].decode("latin-1")
    others = head[16:length].decode("latin-1")
    compatible = {others[index : index + 4] for index in range(0, len(others), 4)}
    if major in _MP4_MAJOR_BRANDS:
        return "video/mp4"
    is_other = any(brand.startswith(_OTHER_BRANDS) for brand in compatible) or major.startswith(("3g", *_OTHER_BRANDS))
    return None if is_other or not compatible & _MP4_COMPATIBLE_BRANDS else "video/mp4"
