"""The checks for the channels run before the first byte is sent."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from PIL import Image

from airflow_provider_media.exceptions import MediaConfigurationError, MediaFileError
from airflow_provider_media.operators.media import MediaUploadOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.sandbox_library import SandboxLibrary

VIDEOS = Path(__file__).parents[1] / "unit" / "media"


@pytest.fixture
def banner(tmp_path: Path) -> Path:
    Image.new("CMYK", (1000, 400)).save(tmp_path / "banner.jpg")
    return tmp_path / "banner.jpg"


@pytest.mark.parametrize(
    "as_given",
    [str, Path, lambda path: ObjectStoragePath(f"file://{path}")],
    ids=["text", "path", "object storage"],
)
def test_what_a_channel_refuses_is_not_sent(
    hook: MediaHook, library: SandboxLibrary, banner: Path, as_given: Callable[[Path], Any]
) -> None:
    with pytest.raises(MediaFileError, match=r"8-bit CMYK; WhatsApp accepts 8-bit RGB or RGBA") as caught:
        hook.upload(as_given(banner), channels=["whatsapp", "rcs"])
    assert str(banner) in str(caught.value)
    assert library.methods() == ""


def test_one_error_names_all_violations(hook: MediaHook, library: SandboxLibrary) -> None:
    video = io.BytesIO(
        (VIDEOS / "h264-two-sounds.mp4").read_bytes().replace(b"avc1", b"hvc1") + bytes(17 * 1024 * 1024)
    )
    with pytest.raises(MediaFileError) as caught:
        hook.upload(video, name="video", channels=["whatsapp"])
    for reason in ("17.8 MB; WhatsApp accepts at most 16 MB", "H.265 video;", "2 audio tracks;"):
        assert reason in str(caught.value)
    assert library.methods() == ""


@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-aac-headers-last.mp4"])
def test_a_truncated_video_is_not_sent(hook: MediaHook, library: SandboxLibrary, name: str) -> None:
    with pytest.raises(MediaFileError, match=r"truncated: it ends at byte [\d,]+, within its m\w+ box"):
        hook.upload(io.BytesIO((VIDEOS / name).read_bytes()[:-100]), name=name, channels=["rcs"])
    assert library.methods() == ""


@pytest.mark.parametrize("name", ["h264-aac.mp4", "h264-aac-headers-last.mp4"])
def test_what_all_channels_take_arrives_whole(hook: MediaHook, library: SandboxLibrary, name: str) -> None:
    behind = io.BytesIO(b"what was read before" + (VIDEOS / name).read_bytes())
    behind.seek(len(b"what was read before"))
    media = hook.upload(behind, name=name, channels=["whatsapp", "rcs"]).media
    assert media.size == (VIDEOS / name).stat().st_size
    assert library.count("POST") == 1


def test_a_missed_recommendation_is_a_warning(
    hook: MediaHook, library: SandboxLibrary, banner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hook.upload(banner, channels=["rcs"]).created
    assert "RCS: 1000x400 fits no card; recommended: 1440x720" in capsys.readouterr().out


def test_an_unknown_channel_is_refused_before_anything_else(
    hook: MediaHook, library: SandboxLibrary, banner: Path
) -> None:
    with pytest.raises(MediaConfigurationError, match=r"Unknown channel 'sms' in channels; use whatsapp or rcs"):
        hook.upload(banner, channels=["sms"])
    assert library.methods() == ""


@pytest.mark.parametrize("channels", [["whatsapp"], "whatsapp", json.dumps(["rcs", "whatsapp"]), "('whatsapp',)"])
def test_an_operator_reads_its_channels_from_a_template(
    define: Callable[..., str], library: SandboxLibrary, channels: Any
) -> None:
    upload = MediaUploadOperator(
        task_id="upload",
        file=str(VIDEOS / "h265-aac.mp4"),
        channels="{{ params.channels }}",
        media_conn_id=define(),
    )
    upload.render_template_fields({"params": {"channels": channels}})
    with pytest.raises(MediaFileError, match=r"H\.265 video; WhatsApp accepts H\.264"):
        upload.execute({})
    assert library.methods() == ""


@pytest.mark.parametrize("channels", ["", "None", None, "whatsapp, rcs"])
def test_a_template_that_came_to_no_channel_is_refused(
    define: Callable[..., str], library: SandboxLibrary, banner: Path, channels: Any
) -> None:
    upload = MediaUploadOperator(task_id="upload", file=str(banner), channels=channels, media_conn_id=define())
    with pytest.raises(MediaConfigurationError, match=r"in channels; use|channels must not be None"):
        upload.execute({})
    assert library.methods() == ""
