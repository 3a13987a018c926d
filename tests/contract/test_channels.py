"""The checks for the channels stand before the first byte is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from PIL import Image

from airflow_provider_media.exceptions import MediaConfigurationError, MediaFileError
from airflow_provider_media.operators.media import MediaUploadOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_library import SandboxLibrary

    from airflow_provider_media.hooks.media import MediaHook

VIDEOS = Path(__file__).parents[1] / "unit" / "media"


@pytest.fixture
def banner(tmp_path: Path) -> Path:
    Image.new("CMYK", (1000, 400)).save(tmp_path / "banner.jpg")
    return tmp_path / "banner.jpg"


@pytest.mark.parametrize("as_given", [str, Path, lambda path: ObjectStoragePath(f"file://{path}")])
def test_what_a_channel_refuses_is_not_sent(
    hook: MediaHook, library: SandboxLibrary, banner: Path, as_given: Callable[[Path], Any]
) -> None:
    with pytest.raises(MediaFileError, match=r"cannot be sent on WhatsApp: its colours are CMYK of 8 bits") as caught:
        hook.upload(as_given(banner), channels=["whatsapp", "rcs"])
    assert str(banner) in str(caught.value)
    assert library.methods() == ""


def test_what_a_channel_recommends_otherwise_is_sent_with_a_warning(
    hook: MediaHook, library: SandboxLibrary, banner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hook.upload(banner, channels=["rcs"]).created
    assert "is not what is recommended for RCS: it has 1000x400 pixels" in capsys.readouterr().out


def test_an_unknown_channel_is_refused_before_anything_else(
    hook: MediaHook, library: SandboxLibrary, banner: Path
) -> None:
    with pytest.raises(MediaConfigurationError, match=r"channels may hold whatsapp and rcs, not 'sms'"):
        hook.upload(banner, channels=["sms"])
    assert library.methods() == ""


def test_an_operator_reads_its_channels_from_a_template(define: Callable[..., str], library: SandboxLibrary) -> None:
    upload = MediaUploadOperator(
        task_id="upload",
        file=str(VIDEOS / "h265-aac.mp4"),
        channels="{{ params.channels }}",
        media_conn_id=define(),
    )
    upload.render_template_fields({"params": {"channels": ["whatsapp"]}})
    with pytest.raises(MediaFileError, match=r"cannot be sent on WhatsApp: its video is H\.265"):
        upload.execute({})
    assert library.methods() == ""
