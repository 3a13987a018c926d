"""Real pictures and a minimal video for the upload's file part: no random bytes would ever be taken.

Within Schemathesis a file is a text of its bytes (Latin-1), and becomes bytes when it is sent. Given bytes,
Schemathesis 4.32 cannot judge a form by its schema (its validator knows no bytes), and so takes a form whose texts
merely look like numbers, and which is valid as it was sent, for one that should have been refused.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import schemathesis
from hypothesis import strategies
from PIL import Image
from schemathesis.transport.requests import REQUESTS_TRANSPORT, multipart_serializer

_LONGEST_SIDE = 64


def _picture(image_format: str) -> strategies.SearchStrategy[bytes]:
    sides = strategies.integers(1, _LONGEST_SIDE)
    levels = strategies.integers(0, 255)

    def draw(width: int, height: int, level: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (width, height), level).save(buffer, image_format)
        return buffer.getvalue()

    return strategies.builds(draw, sides, sides, levels)


def _video() -> strategies.SearchStrategy[bytes]:
    """Make the boxes that tell an MP4 file, with random content in place of a film."""
    kind = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"mp42")
    return strategies.binary(max_size=512).map(lambda film: kind + struct.pack(">I4s", 8 + len(film), b"mdat") + film)


_FILES = strategies.one_of(_picture("JPEG"), _picture("PNG"), _picture("GIF"), _video())

schemathesis.openapi.format("binary", _FILES.map(lambda content: content.decode("latin-1")))


@REQUESTS_TRANSPORT.serializer("multipart/form-data")
def send_file_as_bytes(context: schemathesis.SerializationContext, value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and isinstance(value.get("file"), str):
        value = value | {"file": value["file"].encode("latin-1", "replace")}
    return multipart_serializer(context, value)
