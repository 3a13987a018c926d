"""Reads the headers of images, with Pillow; no pixel is decoded.

Pillow's classes for the three formats are called by themselves: ``Image.open`` would also try other formats, and refuse
large images for what decoding them would cost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_media._api.problem import Problem
from airflow_provider_media._channels.integrity import check_ending
from airflow_provider_media._channels.reader import DamagedFileError
from airflow_provider_media._channels.rules import MediaFacts

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from airflow_provider_media._channels.reader import Reader

HEADER_BYTES = 16 * 1024 * 1024
"""How much is read for the headers; colour profiles and descriptions of a few MB stand there."""

_COLOURS = {
    "1": "black and white",
    "L": "greyscale",
    "I": "greyscale",
    "I;16": "greyscale",
    "LA": "greyscale",
    "P": "palette",
}
"""Words for Pillow's modes; RGB, RGBA and CMYK are words already."""

_ORIENTATION = 0x0112
_LYING_DOWN = (5, 6, 7, 8)
"""The Exif orientations that turn a photo by a quarter."""


def picture_facts(reader: Reader, mime_type: str) -> MediaFacts:
    """Read the headers of a JPEG, PNG or GIF image, and see that it is there to its end.

    :raises DamagedFileError: there are none that make sense, or the end is missing.
    """
    from PIL import GifImagePlugin, JpegImagePlugin, PngImagePlugin

    formats: dict[str, type[ImageFile]] = {
        "image/jpeg": JpegImagePlugin.JpegImageFile,
        "image/png": PngImagePlugin.PngImageFile,
        "image/gif": GifImagePlugin.GifImageFile,
    }
    try:
        with reader.within(HEADER_BYTES):
            picture = formats[mime_type](reader)
    except (Problem, DamagedFileError):
        raise
    except Exception as error:  # what comes out of damaged headers is of many kinds
        raise DamagedFileError(f"it is damaged, or no image ({error})") from error
    check_ending(reader, mime_type)
    width, height = picture.size
    if mime_type == "image/jpeg" and _is_turned(picture):
        width, height = height, width
    return MediaFacts(
        mime_type=mime_type,
        size=reader.size,
        width=width,
        height=height,
        colours=_COLOURS.get(picture.mode, picture.mode),
        bits=_bits(picture),
    )


def _is_turned(picture: ImageFile) -> bool:
    try:
        return picture.getexif().get(_ORIENTATION) in _LYING_DOWN
    except Exception:  # noqa: BLE001 - a damaged description says nothing
        return False


def _bits(picture: ImageFile) -> int:
    """Tell the bits of a channel as the file has them: decoded, Pillow's modes have 8 for most."""
    if picture.mode == "1":
        return 1
    stored = str(picture.tile[0][3]) if picture.tile else ""  # a tile's fourth part: how its pixels are stored
    found = re.search(r";(\d+)", stored)
    return int(found[1]) if found else 8
