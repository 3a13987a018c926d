"""``fit_image`` converts images for a channel; the channel's own check accepts the results."""

from __future__ import annotations

import random
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageCms

from airflow_provider_media import images
from airflow_provider_media._channels.check import check_file
from airflow_provider_media._channels.rules import CHANNELS
from airflow_provider_media._upload.source import detect_mime_type, open_source
from airflow_provider_media.exceptions import MediaConfigurationError, MediaFileError
from airflow_provider_media.images import fit_image
from tests.helpers.doc_samples import MEDIA, ROOT, samples_of

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = "tests/unit/test_images.py::test_guide_prepares_an_image"


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def gradient(size: tuple[int, int] = (60, 40), mode: str = "RGB") -> Image.Image:
    return Image.merge("RGB", [Image.radial_gradient("L").resize(size)] * 3).convert(mode)


def errors_of(path: Path, channel: str) -> tuple[str, ...]:
    source = open_source(path)
    return check_file(source, detect_mime_type(source), [channel], check_integrity=True).errors


SOURCES = {
    "cmyk.jpg": lambda path: save(gradient(mode="CMYK"), path),
    "gray.jpg": lambda path: save(gradient(mode="L"), path),
    "palette.png": lambda path: save(gradient(mode="P"), path),
    "clear.png": lambda path: save(Image.new("LA", (9, 9), (3, 0)), path),
    "sixteen.png": lambda path: save(Image.new("I;16", (9, 9), 40_000), path),
    "still.gif": lambda path: save(gradient(mode="P"), path),
    "photo.webp": lambda path: save(gradient(), path, quality=80),
    "photo.tiff": lambda path: save(gradient(), path),
    "tiny.png": lambda path: save(Image.new("1", (1, 1)), path),
}


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_accepts_the_result_of_a_large_image(channel: str, tmp_path: Path) -> None:
    source = save(Image.new("RGB", (5000, 2500), "navy"), tmp_path / "large.png")
    assert errors_of(fit_image(source, channel), channel) == ()


@pytest.mark.parametrize("name", SOURCES)
def test_result_is_accepted_and_deterministic(name: str, tmp_path: Path) -> None:
    source = SOURCES[name](tmp_path / name)
    before = source.read_bytes()
    fitted = fit_image(source, "whatsapp")
    assert errors_of(fitted, "whatsapp") == ()
    assert fitted.parent == tmp_path
    assert fitted.name.startswith(f"{source.stem}-whatsapp.")
    content = fitted.read_bytes()
    assert fit_image(source, "whatsapp").read_bytes() == content
    assert source.read_bytes() == before
    with Image.open(fitted) as image, Image.open(source) as original:
        assert image.size == original.size
        assert image.mode == ("RGBA" if name == "clear.png" else "RGB")
        assert (image.format == "JPEG") is (name in {"cmyk.jpg", "gray.jpg", "photo.webp"})


@pytest.mark.parametrize("channel", ["whatsapp", ["rcs", "WhatsApp"]])
def test_image_that_fits_is_returned_unchanged(channel: Any) -> None:
    assert fit_image(MEDIA / "banner.jpg", channel) == MEDIA / "banner.jpg"


def test_orientation_is_applied_and_metadata_removed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    exif[0x010F] = "a camera"
    source = save(gradient((60, 40)), tmp_path / "phone.jpg", exif=exif, quality=95)
    with Image.open(fit_image(source, "whatsapp", folder=tmp_path)) as image:
        assert image.size == (40, 60)
        assert not image.getexif()


def test_image_is_scaled_to_the_pixels_of_the_channel(tmp_path: Path) -> None:
    source = save(Image.new("RGB", (2000, 1000), "navy"), tmp_path / "wide.png")
    with Image.open(fit_image(source, "rcs")) as image:
        assert image.size == (1440, 720)
    assert fit_image(source, "whatsapp") == source


@pytest.mark.parametrize(("name", "mode"), [("noise.png", "RGB"), ("noise-clear.png", "RGBA"), ("noise.jpg", "RGB")])
def test_large_image_is_reduced_to_the_bytes_of_the_channel(
    name: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = random.Random(1).randbytes(120 * 100 * len(mode))
    source = save(Image.frombytes(mode, (120, 100), noise), tmp_path / name)
    monkeypatch.setattr(images, "MB", 1_600)  # WhatsApp's 5 MB become 8 kB
    fitted = fit_image(source, "whatsapp")
    assert fitted.stat().st_size <= 8_000
    with Image.open(fitted) as image:
        assert image.mode == mode
        assert image.format == ("PNG" if mode == "RGBA" else "JPEG")


def test_animation_fits_rcs_and_becomes_a_still_for_whatsapp(tmp_path: Path) -> None:
    frames = [Image.new("P", (9, 9), color) for color in (1, 2)]
    source = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert fit_image(source, "rcs") == source
    assert fit_image(source, "whatsapp").suffix == ".png"


def test_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = save(gradient(mode="L"), tmp_path / "a.jpg", icc_profile=lab)  # of RGB, which a grayscale image cannot use
    with Image.open(fit_image(source, "whatsapp")) as image:
        assert "icc_profile" not in image.info


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty, corrupt, or in a format that Pillow does not read"),
        (b"not an image", "it is empty, corrupt, or in a format that Pillow does not read"),
        ((MEDIA / "banner.jpg").read_bytes()[:20_000], "Pillow cannot read the image (image file is truncated"),
    ],
)
def test_invalid_image_is_a_file_error(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.webp"
    path.write_bytes(content)
    with pytest.raises(MediaFileError) as raised:
        fit_image(path, "rcs")
    assert str(raised.value).startswith(f"The file 'photo.webp' cannot be uploaded: {reason}")


@pytest.mark.parametrize("is_installed", [False, True])
def test_heic_error_names_a_missing_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_installed: bool
) -> None:
    monkeypatch.setattr(Image, "registered_extensions", lambda: {".heic": "HEIF"} if is_installed else {})
    path = tmp_path / "photo.heic"
    path.write_bytes(b"cut off")
    with pytest.raises(MediaFileError) as raised:
        fit_image(path, "rcs")
    assert ("install pillow-heif" in str(raised.value)) is not is_installed


def test_missing_file_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(MediaFileError, match="it does not exist"):
        fit_image(tmp_path / "a.jpg", "rcs")


@pytest.mark.parametrize("channel", ["fax", [], ""])
def test_channel_is_required(channel: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="channel"):
        fit_image(MEDIA / "banner.jpg", channel)


def test_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MediaConfigurationError, match=r"airflow-provider-media\[images\]"):
        fit_image(MEDIA / "banner.jpg", "whatsapp")


def test_heic_plugin_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[bool] = []
    plugin = SimpleNamespace(register_heif_opener=lambda: registered.append(True))
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    fit_image(MEDIA / "banner.jpg", "whatsapp")
    assert registered


def test_guide_prepares_an_image(tmp_path: Path) -> None:
    (sample,) = (one for one in samples_of(ROOT / "docs" / "guides" / "images.md") if one.tested_by == GUIDE)
    names: dict[str, Any] = {}
    exec(compile(sample.code, str(sample), "exec"), names)  # noqa: S102 - the sample of the guide
    source = save(gradient(mode="CMYK"), tmp_path / "banner.jpg")
    prepared = names["prepare"].function(str(source))
    assert errors_of(prepared, "whatsapp") == ()
    assert names["dag"].get_task("upload").channels == ["whatsapp"]
