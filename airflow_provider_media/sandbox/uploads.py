"""Streaming parser for an upload's multipart body, which writes the file to disk, and the accepted types of files.

The tables of types are independent of the client's, so that both cannot share a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.datastructures import Headers

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
    compatible = {others[index : index + 4] for index in range(0, len(others), 4)}
    if major in _MP4_MAJOR_BRANDS:
        return "video/mp4"
    is_other = any(brand.startswith(_OTHER_BRANDS) for brand in compatible) or major.startswith(("3g", *_OTHER_BRANDS))
    return None if is_other or not compatible & _MP4_COMPATIBLE_BRANDS else "video/mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The validated fields of an upload; the file itself is on disk."""

    name: str
    description: str | None
    folder_id: int | None
    mime_type: str


@dataclass(slots=True)
class _Part:
    name: str | None = None
    file_name: str | None = None
    content: bytearray = field(default_factory=bytearray)
    """Content of a text part, or the first bytes of the file."""

    size: int = 0


def read_boundary(headers: Headers, max_bytes: int) -> bytes:
    """Validate an upload's headers, before its body is read, and return the multipart boundary."""
    media_type, options = parse_options_header(headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not boundary:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "The body must be multipart/form-data with a boundary.")
    declared = headers.get("content-length", "0")
    if int(declared) > max_bytes + _FRAMING_BYTES:  # h11 accepts only digits
        raise _too_large(max_bytes)
    return boundary


async def receive_upload(stream: AsyncIterator[bytes], boundary: bytes, path: Path, max_bytes: int) -> Upload:
    """Receive a body in batches of 1 MiB; a thread writes them to disk."""
    with path.open("wb") as target:
        reader = _BodyReader(boundary, target, max_bytes)
        batch = bytearray()
        async for chunk in stream:
            batch += chunk
            if len(batch) >= _BATCH_BYTES:
                await run_in_threadpool(reader.feed, bytes(batch))
                batch.clear()
        await run_in_threadpool(reader.feed, bytes(batch))
        return reader.finish()


class _BodyReader:
    """Feeds the multipart parser and collects the parts."""

    def __init__(self, boundary: bytes, target: BinaryIO, max_bytes: int) -> None:
        self._target = target
        self._max_bytes = max_bytes
        self._parts: dict[str, _Part] = {}
        self._part = _Part()
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def feed(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def finish(self) -> Upload:
        if not self._complete:
            raise _malformed("it ends before its closing boundary")
        file = self._parts.get("file")
        if file is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "The part 'file' is missing.")
        if not file.size:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "The file is empty.")
        mime_type = accepted_type(bytes(file.content))
        if mime_type is None:
            message = "Unsupported file type: accepted are JPEG, PNG and GIF images and MP4 videos."
            raise HTTPException(HTTPStatus.BAD_REQUEST, message)
        name = self._text("name")
        return Upload(
            name=name if name is not None else file.file_name or "file",
            description=self._text("description"),
            folder_id=self._folder_id(),
            mime_type=mime_type,
        )

    def _text(self, name: str) -> str | None:
        part = self._parts.get(name)
        return None if part is None else _decode(bytes(part.content), f"The part {name!r}")

    def _folder_id(self) -> int | None:
        text = self._text("folderId")
        if text is None:
            return None
        # An int64 has at most 19 digits; int() would also accept "1_0", " 1" and non-ASCII digits.
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < len("9" * 20) else 0
        if not 1 <= number <= _MAX_FOLDER_ID:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "folderId must be an integer of at least 1.")
        return number

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._header_value))
            if b"name" in options:
                self._part.name = _decode(options[b"name"], "A part's name")
            if b"filename" in options:
                self._part.file_name = _decode(options[b"filename"], "The file's name")
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        name = self._part.name
        if name is None:
            raise _malformed("a part has no name")
        if name in self._parts:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"The part {name!r} must not be repeated.")
        if name == "file" or name in _TEXT_PARTS:  # other parts are ignored
            self._parts[name] = self._part

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if part.name == "file":
            if part.size > self._max_bytes:
                raise _too_large(self._max_bytes)
            part.content += data[start : min(end, start + HEAD_BYTES - len(part.content))]
            self._target.write(data[start:end])
        elif part.name in _TEXT_PARTS:
            if part.size > _MAX_TEXT_BYTES:
                message = f"The part {part.name!r} is longer than {_MAX_TEXT_BYTES} bytes."
                raise HTTPException(HTTPStatus.BAD_REQUEST, message)
            part.content += data[start:end]

    def _on_end(self) -> None:
        self._complete = True


def _decode(content: bytes, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"{what} is not valid UTF-8.") from None


def _malformed(reason: str) -> HTTPException:
    return HTTPException(HTTPStatus.BAD_REQUEST, f"The multipart body is malformed: {reason}.")


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The file is larger than {max_bytes} bytes.")
