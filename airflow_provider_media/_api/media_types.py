"""Detect a file's type by its first bytes; the library accepts four types.

Sources: the Media API's reference ("Images JPEG, PNG, GIF; video MP4"); the registry at mp4ra.org for the brands of the
ISO base media format; the formats' specifications.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_BYTES = 4096
"""Number of first bytes that :func:`detect_type` needs."""

EXTENSIONS = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png", ".apng"),
    "image/gif": (".gif",),
    "video/mp4": (".mp4", ".m4v", ".f4v"),
}
"""The accepted MIME types, each with its file extensions."""

_KNOWN_EXTENSIONS = {
    *(".avif", ".bmp", ".heic", ".heif", ".ico", ".psd", ".svg", ".tif", ".tiff", ".webp"),
    *(".3gp", ".avi", ".mkv", ".mov", ".mpeg", ".mpg", ".webm", ".wmv"),
    *(".m4a", ".mp3", ".ogg", ".wav", ".gz", ".html", ".json", ".pdf", ".txt", ".zip"),
    *(extension for several in EXTENSIONS.values() for extension in several),
}

ACCEPTED_TYPES = "JPEG, PNG, GIF, MP4"


@dataclass(frozen=True, slots=True)
class FileType:
    """A file type, with its MIME type if the library accepts it, otherwise with advice."""

    title: str
    mime_type: str | None = None
    advice: str = ""


_CONVERT_IMAGE = "Convert it to JPEG or PNG."
_CONVERT_VIDEO = "Convert it to MP4 with H.264 video and AAC audio."
_EXPORT = "Export it as JPEG."
_UNPACK = "Unpack it first."
_ERROR_PAGE = "Was an error page saved in place of the file?"


JPEG = FileType("JPEG image", "image/jpeg")
PNG = FileType("PNG image", "image/png")
GIF = FileType("GIF image", "image/gif")
MP4 = FileType("MP4 video", "video/mp4")
_QUICKTIME = FileType("QuickTime video", advice=_CONVERT_VIDEO)
_3GP = FileType("3GP video", advice=_CONVERT_VIDEO)
_HEIF = FileType("HEIF image", advice=_CONVERT_IMAGE)
_TIFF = FileType("TIFF image", advice=_CONVERT_IMAGE)
_MATROSKA = FileType("Matroska video", advice=_CONVERT_VIDEO)
_ZIP = FileType("ZIP archive", advice=_UNPACK)
_OFFICE = FileType("Microsoft Office document")
_PLIST = FileType("property list")
_PLACEHOLDER = FileType("empty placeholder", advice="Download or copy the file itself.")

_SIGNATURES: tuple[tuple[bytes | tuple[bytes, ...], FileType], ...] = (
    (b"\xff\xd8\xff\xf7", FileType("JPEG-LS image", advice=_CONVERT_IMAGE)),
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    ((b"GIF87a", b"GIF89a"), GIF),
    ((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), FileType("JPEG 2000 image", advice=_CONVERT_IMAGE)),
    ((b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"), FileType("JPEG XL image", advice=_CONVERT_IMAGE)),
    (b"II\xbc\x01", FileType("JPEG XR image", advice=_CONVERT_IMAGE)),
    (b"IIU\0", FileType("Panasonic raw photo", advice=_EXPORT)),
    ((b"IIRO", b"IIRS", b"MMOR"), FileType("Olympus raw photo", advice=_EXPORT)),
    (b"FUJIFILMCCD-RAW", FileType("Fujifilm raw photo", advice=_EXPORT)),
    (b"FOVb", FileType("Sigma raw photo", advice=_EXPORT)),
    (b"\0MRM", FileType("Minolta raw photo", advice=_EXPORT)),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _TIFF),
    (b"8BPS", FileType("Photoshop image", advice=_CONVERT_IMAGE)),
    (b"gimp xcf", FileType("GIMP image", advice=_CONVERT_IMAGE)),
    (b"\0\0\1\0", FileType("ICO image", advice=_CONVERT_IMAGE)),
    (b"\0\0\2\0", FileType("Windows cursor image", advice=_CONVERT_IMAGE)),
    (b"icns", FileType("Apple icon image", advice=_CONVERT_IMAGE)),
    (b"\x8aMNG\r\n\x1a\n", FileType("MNG image", advice=_CONVERT_IMAGE)),
    (b"\x8bJNG\r\n\x1a\n", FileType("JNG image", advice=_CONVERT_IMAGE)),
    (b"qoif", FileType("QOI image", advice=_CONVERT_IMAGE)),
    (b"DDS ", FileType("DDS image", advice=_CONVERT_IMAGE)),
    (b"\x76\x2f\x31\x01", FileType("OpenEXR image", advice=_CONVERT_IMAGE)),
    (b"#?RADIANCE", FileType("Radiance HDR image", advice=_CONVERT_IMAGE)),
    (b"BPG\xfb", FileType("BPG image", advice=_CONVERT_IMAGE)),
    (b"AT&TFORM", FileType("DjVu image", advice=_CONVERT_IMAGE)),
    ((b"%!PS", b"\xc5\xd0\xd3\xc6"), FileType("PostScript image", advice=_CONVERT_IMAGE)),
    (b"\xd7\xcd\xc6\x9a", FileType("WMF image", advice=_CONVERT_IMAGE)),
    (b"\x1a\x45\xdf\xa3", _MATROSKA),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", FileType("Windows Media video", advice=_CONVERT_VIDEO)),
    (b"FLV\x01", FileType("Flash video", advice=_CONVERT_VIDEO)),
    ((b"\0\0\1\xba", b"\0\0\1\xb3"), FileType("MPEG video", advice=_CONVERT_VIDEO)),
    (b".RMF", FileType("RealMedia video", advice=_CONVERT_VIDEO)),
    (b"OggS", FileType("Ogg audio or video", advice=_CONVERT_VIDEO)),
    ((b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa"), FileType("MP3 audio")),
    ((b"\xff\xf1", b"\xff\xf9"), FileType("AAC audio")),
    (b"fLaC", FileType("FLAC audio")),
    (b"#!AMR", FileType("AMR audio")),
    (b"caff\0", FileType("Core Audio audio")),
    (b"MThd", FileType("MIDI audio")),
    (b"%PDF-", FileType("PDF document", advice="Export its pages as images.")),
    (b"{\\rtf", FileType("RTF document")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    ((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"), _ZIP),
    (b"\x1f\x8b", FileType("gzip archive", advice=_UNPACK)),
    (b"BZh", FileType("bzip2 archive", advice=_UNPACK)),
    (b"\xfd7zXZ\0", FileType("xz archive", advice=_UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", FileType("7-Zip archive", advice=_UNPACK)),
    (b"Rar!\x1a\x07", FileType("RAR archive", advice=_UNPACK)),
    (b"\x28\xb5\x2f\xfd", FileType("Zstandard archive", advice=_UNPACK)),
    (b"\0\5\x16\7", FileType("AppleDouble metadata", advice="The file itself has the same name without '._'.")),
    (b"\0\5\x16\0", FileType("AppleSingle file", advice="Copy the file itself from the Mac.")),
    (b"bplist", _PLIST),
    (b"\0\0\0\1Bud1", FileType("macOS folder settings (.DS_Store)")),
    (b"book\0\0\0\0mark", FileType("macOS alias", advice="Copy the file that it points to.")),
    (b"L\0\0\0\1\x14\2\0", FileType("Windows shortcut", advice="Copy the file that it points to.")),
)
"""First bytes; a longer signature comes before its own prefix."""

_REFINEMENTS: tuple[tuple[FileType, Callable[[bytes], bool], FileType], ...] = (
    (_TIFF, lambda head: head[8:10] == b"CR", FileType("Canon CR2 raw photo", advice=_EXPORT)),
    (_MATROSKA, lambda head: b"webm" in head[:64], FileType("WebM video", advice=_CONVERT_VIDEO)),
    (_ZIP, lambda head: b"[Content_Types].xml" in head, _OFFICE),
    (_PLIST, lambda head: b"NSURLNameKey" in head, FileType("iCloud placeholder", advice="Download the file itself.")),
)
"""Container formats: a check, and the specific type if it succeeds."""

_CHECKS: tuple[tuple[Callable[[bytes], bool], FileType], ...] = (
    (lambda head: head[:2] == b"BM" and head[6:10] == bytes(4), FileType("BMP image", advice=_CONVERT_IMAGE)),
    (lambda head: head[:4] + head[8:12] == b"RIFFWEBP", FileType("WebP image", advice=_CONVERT_IMAGE)),
    (lambda head: head[:4] + head[8:12] == b"RIFFAVI ", FileType("AVI video", advice=_CONVERT_VIDEO)),
    (lambda head: head[:4] + head[8:12] == b"RIFFWAVE", FileType("WAV audio")),
    (lambda head: head[:4] == b"FORM" and head[8:11] == b"AIF", FileType("AIFF audio")),
    (
        lambda head: head[:1] == head[188:189] == b"G" or head[4:5] == head[196:197] == b"G",
        FileType("MPEG video", advice=_CONVERT_VIDEO),
    ),
    (lambda head: re.match(rb"P[1-7]\s", head) is not None, FileType("Netpbm image", advice=_CONVERT_IMAGE)),
    (lambda head: head[257:262] == b"ustar", FileType("tar archive", advice=_UNPACK)),
)
"""Formats whose signature is not, or not only, at the start."""

_TEXT_TYPES: tuple[tuple[str, FileType], ...] = (
    (r"version https://(git-lfs|hawser)", FileType("Git LFS pointer", advice="Run git lfs pull.")),
    (r"\S*/annex/objects/", FileType("git-annex pointer", advice="Run git annex get.")),
    (r"data:", FileType("data URI", advice="Decode it first.")),
    (r"[{[]", FileType("JSON text", advice=_ERROR_PAGE)),
    (r"", FileType("text file", advice=_ERROR_PAGE)),
)
"""Patterns for the start of text, in lower case."""

_MP4_BRANDS = re.compile(
    rb"iso[m2-9a-c]|mp4[12]|mp71|mmp4|avc1|M4V[ HP]|MSNV|[Ff]4[Vv] |dash|cmf[2cf]|hlsf|XAVC|ND[SX][CHMPS]"
)
"""Major brands of MP4 video: ISO 14496-12 and -14, DASH and CMAF, and those of Apple, Sony, Adobe and Nero."""

_BRAND_FAMILIES: tuple[tuple[bytes, FileType], ...] = (
    (rb"hei[cxms]", FileType("HEIC image", advice=_CONVERT_IMAGE)),
    (rb"hev[cxms]", FileType("HEIC image sequence", advice=_CONVERT_IMAGE)),
    (rb"avi[fo]", FileType("AVIF image", advice=_CONVERT_IMAGE)),
    (rb"avis", FileType("AVIF image sequence", advice=_CONVERT_IMAGE)),
    (rb"mif\d|msf\d|miaf|MiH[EM]|vvi[cs]|evbi|j2ki|j2is|jpeg|jpgs|unif", _HEIF),
    (rb"crx ", FileType("Canon CR3 raw photo", advice=_EXPORT)),
    (rb"jp2 |jpx |jpxb|jpm |jph |jhc |jxs |jxsc", FileType("JPEG 2000 image", advice=_CONVERT_IMAGE)),
    (rb"jxl ", FileType("JPEG XL image", advice=_CONVERT_IMAGE)),
    (rb"mjp2|mj2s", FileType("Motion JPEG 2000 video", advice=_CONVERT_VIDEO)),
    (rb"qt  |mqt ", _QUICKTIME),
    (rb"3g..|kddi|KDDI", _3GP),
    (rb"M4A |F4A |NDAS", FileType("MPEG-4 (M4A) audio")),
    (rb"M4B |F4B ", FileType("MPEG-4 audio book (M4B)")),
    (rb"M4P ", FileType("copy-protected MPEG-4 audio (M4P)")),
    (rb"F4P |odcf|opf2|opx2", FileType("copy-protected MPEG-4 video")),
    (rb"isml|piff", FileType("Smooth Streaming video", advice=_CONVERT_VIDEO)),
    (rb"aax |aaxc", FileType("Audible audio book")),
)
"""Brands of other formats based on the ISO base media format, by family."""

_QUICKTIME_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""The first boxes of QuickTime files without brands."""

_SEGMENT_BOXES = {b"styp", b"sidx", b"moof"}
_BASE64 = {"/9j/": "JPEG", "iVBORw0KGgo": "PNG", "R0lGOD": "GIF", "AAAAIGZ0eX": "MP4", "AAAAHGZ0eX": "MP4"}
_MARKUP = re.compile(r"<(!doctype html|html|head|body|title|script|meta|div|h1)\b")


def detect_type(head: bytes) -> FileType | None:
    """Return the type of a file by its first :data:`HEAD_BYTES` bytes; None if it is unknown."""
    if not head.strip(b"\0 \t\r\n"):
        return _PLACEHOLDER
    kind = head[4:8]
    if kind in _SEGMENT_BOXES:
        return FileType("MP4 segment without its start", advice="Join the segments to one file.")
    found = _by_brand(head) if kind == b"ftyp" else _QUICKTIME if kind in _QUICKTIME_BOXES else None
    return found or _by_signature(head) or _by_text(head)


def _by_brand(head: bytes) -> FileType | None:
    """Return the type of an ISO base media file (14496-12, 4.3) by its major brand.

    If the major brand is unknown, or HEIF's, which often does not identify the codec, the compatible brands decide.
    """
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))]
    if len(brands[0]) < len(b"isom"):
        return None
    if _MP4_BRANDS.fullmatch(brands[0]):
        return MP4
    families = [
        next((family for pattern, family in _BRAND_FAMILIES if re.fullmatch(pattern, brand, re.DOTALL)), None)
        for brand in brands
    ]
    if families[0] not in {None, _HEIF}:
        return families[0]
    others = [family for family in families if family not in {None, _HEIF, _3GP}]
    if others or families[0]:
        return others[0] if others else families[0]
    if any(_MP4_BRANDS.fullmatch(brand) for brand in brands):
        return MP4
    return FileType(f"ISO media file of the unknown brand {brands[0].decode('latin-1')!a}", advice=_CONVERT_VIDEO)


def _by_signature(head: bytes) -> FileType | None:
    found = next((file_type for signature, file_type in _SIGNATURES if head.startswith(signature)), None)
    if found:
        refined = (file_type for general, matches, file_type in _REFINEMENTS if found is general and matches(head))
        return next(refined, found)
    return next((file_type for matches, file_type in _CHECKS if matches(head)), None)


def _by_text(head: bytes) -> FileType | None:
    """Return the type of text saved in place of a media file."""
    text = _decode(head)
    if text is None or any(character < " " and character not in "\t\n\r\f" for character in text):
        return None
    start = text.lstrip("\ufeff \t\r\n")
    lower = start.lower()
    if lower.startswith("<"):
        return _by_markup(lower)
    encoded = next((kind for prefix, kind in _BASE64.items() if start.startswith(prefix)), None)
    if encoded:
        return FileType(f"Base64 text of a {encoded} file", advice="Decode it first.")
    return next((file_type for pattern, file_type in _TEXT_TYPES if re.match(pattern, lower)), None)


def _decode(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "ignore")
    try:
        return head.decode()
    except UnicodeDecodeError as error:
        is_truncated = len(head) >= HEAD_BYTES and error.start > len(head) - len("\U0010ffff".encode())  # one character
        return head[: error.start].decode() if is_truncated else None


def _by_markup(lower: str) -> FileType:
    if "<svg" in lower and "<html" not in lower:
        return FileType("SVG image", advice=_CONVERT_IMAGE)
    if _MARKUP.search(lower):
        return FileType("web page", advice=_ERROR_PAGE)
    if "<plist" in lower:
        return _PLIST
    return FileType("XML text", advice=_ERROR_PAGE)


def extension_mismatches(file_name: str, mime_type: str) -> bool:
    """Return whether the name's extension belongs to another type; unknown ones ("banner-2026.07") do not."""
    extension = PurePath(file_name).suffix.lower()
    return extension in _KNOWN_EXTENSIONS and extension not in EXTENSIONS.get(mime_type, ())


_TYPE_OF_SUBTYPE = {
    **dict.fromkeys(("jpeg", "jpg", "jpe", "jfif", "pjpeg", "pipeg"), "image/jpeg"),
    **dict.fromkeys(("png", "apng", "vnd.mozilla.apng"), "image/png"),
    "gif": "image/gif",
    **dict.fromkeys(("mp4", "m4v", "mp4v-es", "mpeg4", "mpeg4-generic"), "video/mp4"),
}
"""Other spellings of the accepted types, without a leading ``x-``: old names, and file extensions."""


def accepted_type(stored: str | None) -> str | None:
    """Return the accepted type that a MIME type (``image/x-png``) or a file extension means; None if it is another."""
    subtype = (stored or "").partition(";")[0].strip().lower().rpartition("/")[2]
    return _TYPE_OF_SUBTYPE.get(subtype.removeprefix("x-"))


def is_other_type(stored: str | None, sent: str) -> bool:
    """Return whether a stored type certainly differs from the sent one.

    Other spellings (``image/x-png``, ``image/pjpeg``, ``PNG``), a family alone (``IMAGE``) and types that are not
    accepted (``application/octet-stream``, none) do not count as different.
    """
    known = accepted_type(stored)
    if known is not None:
        return known != sent
    family = (stored or "").partition(";")[0].strip().lower().partition("/")[0]
    return family in {"image", "video"} and family != sent.partition("/")[0]
