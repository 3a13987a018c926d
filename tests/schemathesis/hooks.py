"""Real images and a minimal video for the upload's file part, because the sandbox rejects random bytes.

Within Schemathesis a file is a Latin-1 string, which is converted to bytes when it is sent. Schemathesis 4.32 cannot
validate forms with bytes, and then expects a rejection of valid forms whose string fields contain numbers.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import schemathesis
from hypothesis import strategies
from PIL import Image
from schemathesis.transport.requests import REQUESTS_TRANSPORT, multipart_serializer

_MAX_SIDE = 64


def _image(image_format: str) -> strategies.SearchStrategy[bytes]:
    sides = strategies.integers(1, _MAX_SIDE)
    levels = strategies.integers(0, 255)

    def draw(width: int, height: int, level: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (width, height), level).save(buffer, image_format)
        return buffer.getvalue()

    return strategies.builds(draw, sides, sides, levels)


def _video() -> strategies.SearchStrategy[bytes]:
    """Generate the boxes that identify an MP4 file, with random data."""
    kind = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"mp42")
    return strategies.binary(max_size=512).map(lambda data: kind + struct.pack(">I4s", 8 + len(data), b"mdat") + data)


_FILES = strategies.one_of(_image("JPEG"), _image("PNG"), _image("GIF"), _video())

schemathesis.openapi.format("binary", _FILES.map(lambda content: content.decode("latin-1")))


@REQUESTS_TRANSPORT.serializer("multipart/form-data")
def send_file_as_bytes(context: schemathesis.SerializationContext, value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and isinstance(value.get("file"), str):
        value = value | {"file": value["file"].encode("latin-1", "replace")}
    return multipart_serializer(context, value)
