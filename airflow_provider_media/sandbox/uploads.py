"""Streaming parser for an upload's multipart body, which writes the file to disk, and the accepted types of files.

The tables of types are independent of the client's, so that both cannot share a mistake.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

_TEXT_PARTS = ("name", "description", "folderId")
_MAX_TEXT_BYTES = 64 * 1024
_FRAMING_BYTES = 4 * _MAX_TEXT_BYTES
"""Maximum difference between the body's declared length and the file size."""

_BATCH_BYTES = 1024 * 1024
_MAX_FOLDER_ID = 2**63 - 1  # int64
HEAD_BYTES = 64

_MAGIC = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\x0d\x0a\x1a\x0a": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


_MP4_MAJOR_BRANDS = frozenset(
    re.findall(
        "....",
        "isomiso2iso3iso4iso5iso6iso7iso8iso9mp41mp42mp71mmp4avc1dashcmfccmffMSNVXAVCF4V f4v M4V M4VHM4VP"
        "NDSCNDSHNDSMNDSPNDSSNDXCNDXHNDXMNDXPNDXS",
    )
)
_MP4_COMPATIBLE_BRANDS = {"isom", "iso2", "mp41", "mp42", "avc1"}
_OTHER_BRANDS = (
    *("hei", "hev", "mif", "msf", "avi", "mia", "jp", "mj", "vvi", "jxl"),  # images
    *("crx", "qt", "M4A", "M4B", "M4P", "F4A", "F4B", "F4P", "aax", "odcf", "isml", "piff"),
)


def accepted_type(head: bytes) -> str | None:
    """Return the MIME type of a file; None if it is not accepted."""
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
    compatible = set(re.findall("(?s).{1,4}", others))
    if major in _MP4_MAJOR_BRANDS:
        return "video/mp4"
    is_other = any(brand.startswith(_OTHER_BRANDS) for brand in compatible) or major.startswith(("3g", *_OTHER_BRANDS))
    return None if is_other or not compatible & _MP4_COMPATIBLE_BRANDS else "video/mp4"


async def receive_upload(request: Request, path: Path, max_bytes: int) -> dict[str, Any]:
    """Receive a body in batches of 1 MiB, which a thread writes to disk; return the values for the library."""
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        raise HTTPException(400, "The body must be multipart/form-data with a boundary.")
    if int(request.headers.get("content-length", "0")) > max_bytes + _FRAMING_BYTES:  # h11 accepts only digits
        raise _too_large(max_bytes)
    with path.open("wb") as target:
        try:
            reader = _BodyReader(boundary, target, max_bytes)
            batch = bytearray()
            async for chunk in request.stream():
                batch += chunk
                if len(batch) >= _BATCH_BYTES:
                    await run_in_threadpool(reader.parser.write, bytes(batch))
                    batch.clear()
            await run_in_threadpool(reader.parser.write, bytes(batch))
        except FormParserError as error:
            raise _malformed(str(error)) from error
        return reader.finish()


class _BodyReader:
    """Writes the file to disk, and collects the other parts; ``on_...`` are the parser's callbacks."""

    def __init__(self, boundary: bytes, target: BinaryIO, max_bytes: int) -> None:
        self._target = target
        self._max_bytes = max_bytes
        self._parts: dict[str, bytearray] = {}  # of the file, its first bytes
        self._part = ""
        self._file_name = ""
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition: dict[bytes, bytes] = {}
        self._is_complete = False
        callbacks: Any = {name: getattr(self, name) for name in dir(self) if name.startswith("on_")}
        self.parser = MultipartParser(boundary, callbacks)

    def finish(self) -> dict[str, Any]:
        if not self._is_complete:
            raise _malformed("it ends before its closing boundary")
        if "file" not in self._parts:
            raise HTTPException(400, "The part 'file' is missing.")
        if not self._parts["file"]:
            raise HTTPException(400, "The file is empty.")
        mime_type = accepted_type(bytes(self._parts["file"]))
        if mime_type is None:
            raise HTTPException(400, "Unsupported file type: accepted are JPEG, PNG and GIF images and MP4 videos.")
        name, description, folder_id = (
            _decode(self._parts[part], f"The part {part!r}") if part in self._parts else None for part in _TEXT_PARTS
        )
        return {
            "name": (self._file_name or "file") if name is None else name,
            "description": description,
            "folder_id": None if folder_id is None else _parse_folder_id(folder_id),
            "mime_type": mime_type,
        }

    def on_part_begin(self) -> None:
        self._disposition = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(bytes(self._header_value))
        self._header_name.clear()
        self._header_value.clear()

    def on_headers_finished(self) -> None:
        if b"name" not in self._disposition:
            raise _malformed("a part has no name")
        self._part = _decode(self._disposition[b"name"], "A part's name")
        if self._part in self._parts:
            raise HTTPException(400, f"The part {self._part!r} must not be repeated.")
        if self._part in ("file", *_TEXT_PARTS):  # other parts are ignored
            self._parts[self._part] = bytearray()
        if self._part == "file":
            self._file_name = _decode(self._disposition.get(b"filename", b""), "The file's name")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "file":
            if self._target.tell() + end - start > self._max_bytes:
                raise _too_large(self._max_bytes)
            head = self._parts["file"]
            head += data[start : min(end, start + HEAD_BYTES - len(head))]
            self._target.write(data[start:end])
        elif self._part in self._parts:
            if len(self._parts[self._part]) + end - start > _MAX_TEXT_BYTES:
                raise HTTPException(400, f"The part {self._part!r} is longer than {_MAX_TEXT_BYTES} bytes.")
            self._parts[self._part] += data[start:end]

    def on_end(self) -> None:
        self._is_complete = True


def _parse_folder_id(text: str) -> int:
    # An int64 has at most 19 digits; int() would also accept "1_0", " 1" and non-ASCII digits.
    number = int(text) if re.fullmatch("[0-9]{1,19}", text) else 0
    if not 1 <= number <= _MAX_FOLDER_ID:
        raise HTTPException(400, "folderId must be an integer of at least 1.")
    return number


def _decode(content: bytes | bytearray, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise HTTPException(400, f"{what} is not valid UTF-8.") from None


def _malformed(reason: str) -> HTTPException:
    return HTTPException(400, f"The multipart body is malformed: {reason}.")


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"The file is larger than {max_bytes} bytes.")
