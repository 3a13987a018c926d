"""What may be uploaded: the four types that the platform takes, recognised by their first bytes.

Source of the types: the Media API's reference ("Images JPEG, PNG, GIF; video MP4").
"""

from __future__ import annotations

from pathlib import PurePath

HEAD_BYTES = 16
"""How many of a file's first bytes :func:`detect_mime_type` needs."""

EXTENSIONS = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png",),
    "image/gif": (".gif",),
    "video/mp4": (".mp4", ".m4v"),
}
"""The accepted MIME types, each with the file extensions that go with it."""

_PICTURES = (".avif", ".bmp", ".heic", ".heif", ".ico", ".psd", ".svg", ".tif", ".tiff", ".webp")
_FILMS = (".3gp", ".avi", ".mkv", ".mov", ".mpeg", ".mpg", ".webm", ".wmv")
_OTHERS = (".m4a", ".mp3", ".ogg", ".wav", ".gz", ".html", ".json", ".pdf", ".txt", ".zip")
_KNOWN_EXTENSIONS = {*_PICTURES, *_FILMS, *_OTHERS, *(one for several in EXTENSIONS.values() for one in several)}
"""Of the accepted types, and of others that such a file may be taken for."""

ACCEPTED_TYPES = "JPEG, PNG or GIF images and MP4 video"

# Files of the ISO base media format all start alike; these major brands say "some other format":
# still pictures (HEIF, AVIF), sound only, QuickTime, and the 3GPP phone formats.
_NOT_MP4_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"qt  ", b"M4A ", b"M4B ", b"3g")


def detect_mime_type(head: bytes) -> str | None:
    """Tell the MIME type from a file's first bytes; None when it is none of the accepted ones.

    :param head: the first :data:`HEAD_BYTES` bytes of the file (fewer if the file is shorter).
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[4:8] == b"ftyp" and head[8:12] and not head[8:12].startswith(_NOT_MP4_BRANDS):
        return "video/mp4"
    return None


def extension_disagrees(file_name: str, mime_type: str) -> bool:
    """Whether the name's extension says another type than the bytes do.

    Only an extension that is known to stand for a type says anything: "banner-2026.07" has none.
    """
    extension = PurePath(file_name).suffix.lower()
    return extension in _KNOWN_EXTENSIONS and extension not in EXTENSIONS.get(mime_type, ())


_SUBTYPES = {
    "image/jpeg": ("jpeg", "jpg", "jpe", "jfif", "pjpeg", "pipeg"),
    "image/png": ("png", "apng", "vnd.mozilla.apng"),
    "image/gif": ("gif",),
    "video/mp4": ("mp4", "m4v", "mp4v-es", "mpeg4", "mpeg4-generic"),
}
"""Other spellings of the accepted types, without an ``x-`` in front: old ones, and file extensions in their place."""

_TYPE_OF_SUBTYPE = {subtype: mime_type for mime_type, subtypes in _SUBTYPES.items() for subtype in subtypes}


def types_differ(stored: str | None, sent: str) -> bool:
    """Whether a stored type is surely another one than was sent.

    A type that is spelled differently (``image/x-png``, ``image/pjpeg``, ``PNG``), that names only the family
    (``IMAGE``), or that is not one of the accepted ones (``application/octet-stream``, none) does not differ.

    :param stored: as the platform writes it.
    :param sent: one of :data:`EXTENSIONS`.
    """
    plain = (stored or "").partition(";")[0].strip().lower()
    family, _, subtype = plain.rpartition("/")
    known = _TYPE_OF_SUBTYPE.get(subtype.removeprefix("x-"))
    if known is not None:
        return known != sent
    family = family or plain
    return family in {"image", "video"} and family != sent.partition("/")[0]
