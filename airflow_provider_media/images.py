"""Prepare images for a messaging channel, in a ``@task`` before the upload. Requires the extra ``images``."""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.values import format_size
from airflow_provider_media._channels.rules import CHANNELS, MB, channels_of
from airflow_provider_media._upload.source import file_error
from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from PIL.Image import Image as PillowImage

__all__ = ["fit_image"]

log = logging.getLogger(__name__)

_JPEG_QUALITIES = (95, 90, 85, 80, 75)
"""Tried in this order; below 75, artifacts are visible, so the image is made smaller instead."""

_SCALE_STEP = 0.9
_MIN_SIDE, _MAX_SIDE = 16, 1_000_000
_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1


def fit_image(
    path: str | os.PathLike[str], channel: str | Iterable[str], *, folder: str | os.PathLike[str] | None = None
) -> Path:
    """Convert an image so that a channel accepts it, with as little loss of quality as possible; return its path.

    The result is an RGB or RGBA image of 8 bits per color: a PNG if the source has transparency or is lossless and
    small enough, otherwise a JPEG. It is upright, within the channel's size in bytes and pixels, and without metadata
    such as the place where it was taken. An image is never enlarged or cropped. An animation becomes its first frame.
    An image that fits already is returned unchanged. One version of Pillow always returns the same bytes.

    :param path: a JPEG, PNG, GIF, WebP or other image that Pillow reads; HEIC with the package ``pillow-heif``.
    :param channel: ``whatsapp``, ``rcs``, or a list.
    :param folder: where to write the image; by default beside the source. Its name is that of the source with the
        channel, such as ``banner-whatsapp.jpg``.
    :raises MediaConfigurationError: the channel is unknown, or Pillow is not installed.
    :raises MediaFileError: it is not an image, or is truncated or too large to decode.
    """
    channels = channels_of(channel if isinstance(channel, str) else list(channel))
    if not channels:
        raise MediaConfigurationError(f"fit_image requires a channel: {' or '.join(CHANNELS)}.")
    image_module = _pillow()
    source = Path(path)
    limits = _limits_of(channels)
    try:
        with image_module.open(source) as image:
            image.load()  # raises if it is truncated
            if _fits(image, source, limits):
                return source
            if getattr(image, "n_frames", 1) > 1:
                log.warning("%r has %d images; only one is used", source.name, image.n_frames)
            is_lossless = image.format in {"PNG", "GIF", "BMP", "TIFF"}
            content, suffix = _encode(_shrink(_to_rgb(image), limits.box), limits, is_lossless=is_lossless)
    except FileNotFoundError:
        raise file_error(str(source), "it does not exist") from None
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        if isinstance(error, image_module.UnidentifiedImageError):  # its message has the path again
            reason = "it is empty, corrupt, or in a format that Pillow does not read"
        else:
            reason = f"Pillow cannot read the image ({error})"
        needs_plugin = (
            source.suffix.lower() in {".heic", ".heif"} and ".heic" not in image_module.registered_extensions()
        )
        raise file_error(source.name, f"{reason}{'. For HEIC, install pillow-heif' if needs_plugin else ''}") from error
    target = Path(folder or source.parent) / f"{source.stem}-{'-'.join(channels)}{suffix}"
    target.write_bytes(content)
    log.info("Converted %r to %r, %s", source.name, target.name, format_size(len(content)))
    return target


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limits that an image meets for all of the channels.

    :param max_bytes: the recommended size, or else the maximum.
    :param box: the largest recommended width and height in pixels.
    :param mime_types: the types that all channels accept.
    """

    max_bytes: int
    box: tuple[int, int]
    mime_types: frozenset[str]


def _limits_of(channels: Iterable[str]) -> _Limits:
    every = [CHANNELS[name].rules for name in channels]
    images = [rules[mime_type] for rules in every for mime_type in ("image/jpeg", "image/png")]
    sizes = [size for rules in images for size in rules.recommended_pixels or ()] or [(_MAX_SIDE, _MAX_SIDE)]
    return _Limits(
        max_bytes=min((rules.recommended_mb or rules.max_mb) * MB for rules in images),
        box=(max(width for width, _ in sizes), max(height for _, height in sizes)),
        mime_types=frozenset.intersection(*(frozenset(rules) for rules in every)),
    )


def _pillow() -> Any:
    """Import Pillow, and register HEIC if its plug-in is installed."""
    try:
        from PIL import Image
    except ImportError:
        raise MediaConfigurationError(
            "fit_image requires Pillow. Install it with the extra: airflow-provider-media[images]."
        ) from None
    with suppress(ImportError):
        import pillow_heif  # type: ignore[import-not-found]

        pillow_heif.register_heif_opener()
    return Image


def _fits(image: PillowImage, source: Path, limits: _Limits) -> bool:
    """Return whether the file can be sent as it is; an animation, if the channels accept GIF."""
    mime_type = f"image/{(image.format or '').lower()}"
    colors = {"RGB", "RGBA", "P", "L"} if mime_type == "image/gif" else {"RGB", "RGBA"}
    return (
        mime_type in limits.mime_types
        and image.mode in colors
        and image.getexif().get(_ORIENTATION_TAG, _UPRIGHT) == _UPRIGHT
        and image.width <= limits.box[0]
        and image.height <= limits.box[1]
        and source.stat().st_size <= limits.max_bytes
    )


def _to_rgb(image: PillowImage) -> PillowImage:
    """Return the image upright, in sRGB, as RGB or with used transparency as RGBA."""
    from PIL import ImageCms, ImageOps

    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = upright.point(lambda value: value / 256).convert("L")
    if upright.has_transparency_data:
        converted = upright.convert("RGBA")
        is_opaque = converted.getchannel("A").getextrema() == (255, 255)
        return converted.convert("RGB") if is_opaque else converted
    with suppress(ImageCms.PyCMSError, OSError):  # a profile that cannot be used
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(upright, source, target, outputMode="RGB") or upright.convert("RGB")
    return upright.convert("RGB")


def _shrink(image: PillowImage, box: tuple[int, int]) -> PillowImage:
    from PIL.Image import Resampling

    image = image.copy()
    image.thumbnail(box, Resampling.LANCZOS)  # never enlarges
    return image


def _encode(image: PillowImage, limits: _Limits, *, is_lossless: bool) -> tuple[bytes, str]:
    """Return the content and the suffix of the best file within the limit.

    :param is_lossless: whether the source was; if so, a PNG is preferred.
    """
    if is_lossless and image.mode != "RGBA" and len(content := _save(image, "PNG", optimize=True)) <= limits.max_bytes:
        return content, ".png"
    attempts: list[dict[str, Any]] = [{"quality": quality} for quality in _JPEG_QUALITIES]
    form, suffix = "JPEG", ".jpg"
    if image.mode == "RGBA":
        form, suffix, attempts = "PNG", ".png", [{}]
    while True:
        for options in attempts:
            content = _save(image, form, optimize=True, **options)
            if len(content) <= limits.max_bytes:
                return content, suffix
        if min(image.size) <= _MIN_SIDE:
            return content, suffix
        image = _shrink(image, (int(image.width * _SCALE_STEP), int(image.height * _SCALE_STEP)))


def _save(image: PillowImage, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
