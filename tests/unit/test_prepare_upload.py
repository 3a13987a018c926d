"""Test that an upload is validated before anything is sent."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from airflow_provider_media._upload.source import open_source
from airflow_provider_media._upload.spec import UploadSpec, prepare_upload
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaFileError

GIF = b"GIF89a" + b"g" * 20


class Named(BytesIO):
    name = "/some/where/banner.gif"


def prepared(content: bytes = GIF, **arguments: Any) -> UploadSpec:
    return prepare_upload(open_source(Named(content)), **arguments)


def test_name_and_file_name_default_to_the_base_name_of_the_file() -> None:
    upload = prepared()
    assert (upload.name, upload.file_name, upload.mime_type) == ("banner.gif", "banner.gif", "image/gif")
    assert upload.fields == {"name": "banner.gif"}


def test_all_form_fields_are_set() -> None:
    upload = prepared(name="Spring", description="for Easter", folder_id="12")
    assert upload.fields == {"name": "Spring", "description": "for Easter", "folderId": "12"}


def test_bytes_need_a_name_which_is_also_the_file_name() -> None:
    with pytest.raises(MediaError, match="has no name"):
        prepare_upload(open_source(BytesIO(GIF)))
    upload = prepare_upload(open_source(BytesIO(GIF)), name="Spring")
    assert (upload.name, upload.file_name) == ("Spring", "Spring")


@pytest.mark.parametrize(
    ("given", "kept"), [("a/b/c.gif", "c.gif"), ("C:\\media\\c.gif", "c.gif"), ("caffè.gif", "caffè.gif")]
)
def test_only_the_last_component_of_a_file_name_is_sent(given: str, kept: str) -> None:
    assert prepared(file_name=given).file_name == kept


@pytest.mark.parametrize("name", ['Sale "now"', "two\nlines", "🎉 עברית", "a" * 2000, " blanks "])
def test_a_name_may_be_any_string(name: str) -> None:
    assert prepared(name=name).name == name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *[({"name": wrong}, "name must be a string") for wrong in ("", "  ", "None", 5, b"x")],
        *[({"file_name": wrong}, "file_name must be a string") for wrong in ("", "None", 5)],
        *[({"description": wrong}, "description must be a string") for wrong in ("", "None", 5)],
        ({"name": "half \ud83c"}, "lone surrogate"),
        ({"description": "half \udf89"}, "lone surrogate"),
        *[({"folder_id": wrong}, "folder_id must be the number of a folder") for wrong in ("", "None", True, 1.0, [])],
        *[({"folder_id": wrong}, "folder_id must be at least 1") for wrong in (0, "0", -1)],
        ({"mime_type": "image/webp"}, "mime_type must be one of image/jpeg, image/png, image/gif, video/mp4"),
        ({"mime_type": ""}, "mime_type must be a string"),
    ],
)
def test_invalid_arguments_raise_one_sentence(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(MediaError) as raised:
        prepared(**arguments)
    assert type(raised.value) is MediaConfigurationError
    assert words in str(raised.value)


@pytest.mark.parametrize(("given", "read"), [(12, 12), ("12", 12), (" 12 ", 12), ("f-7", "f-7"), (None, None)])
def test_a_folder_id_of_digits_becomes_an_integer(given: Any, read: Any) -> None:
    assert prepared(folder_id=given).folder_id == read


def test_a_folder_id_of_thousands_of_digits_is_kept() -> None:
    assert prepared(folder_id="9" * 5000).folder_id == "9" * 5000


def test_type_is_detected_and_a_mismatched_extension_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert prepared(file_name="banner.jpg").mime_type == "image/gif"
    assert "as image/gif: its extension does not match its content" in caplog.text


def test_a_matching_extension_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    prepared(file_name="banner.GIF")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"%PDF-1.7", "PDF document; the library accepts JPEG, PNG, GIF, MP4. Export its pages as images."),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "Git LFS pointer; the library accepts JPEG, PNG, GIF, MP4. Run git lfs pull.",
        ),
        (b"fLaC", "FLAC audio; the library accepts JPEG, PNG, GIF, MP4."),
        (b"\x80\x81", "a file of unknown type; the library accepts JPEG, PNG, GIF, MP4."),
    ],
)
def test_error_has_the_detected_and_the_accepted_types(content: bytes, sentence: str) -> None:
    with pytest.raises(MediaFileError) as raised:
        prepared(content)
    assert str(raised.value) == f"The file '/some/where/banner.gif' cannot be uploaded: {sentence}"
    assert raised.value.is_unsupported_type


def test_mime_type_applies_to_undetected_content() -> None:
    assert prepared(b"\x80\x81", mime_type="video/mp4").mime_type == "video/mp4"


@pytest.mark.parametrize("content", [b"\x00\x00\x00\x08wide", b"\0\0\0\x14ftypheic\0\0\0\0mif1", b"%PDF-1.7", b"{}"])
def test_mime_type_does_not_override_detected_content(content: bytes) -> None:
    with pytest.raises(MediaError, match="; the library accepts JPEG, PNG, GIF, MP4"):
        prepared(content, mime_type="video/mp4")


@pytest.mark.parametrize(
    ("local", "name", "file_name"),
    [
        ('Sale "now".gif', 'Sale "now".gif', "Sale %22now%22.gif"),
        ("two\nlines\t.gif", "two\nlines\t.gif", "two_lines_.gif"),
        ("a\x00\x7f\x9b.gif", "a\x00\x7f\x9b.gif", "a___.gif"),
        ("caff\udce8.gif", r"caff\udce8.gif", "udce8.gif"),
        ("None", "None", "None"),
        (" ", " ", " "),
        ("100%.gif", "100%.gif", "100%.gif"),
    ],
)
def test_any_local_name_can_be_uploaded(local: str, name: str, file_name: str) -> None:
    source = open_source(Named(GIF))
    source.base_name = local
    upload = prepare_upload(source)
    assert (upload.name, upload.file_name) == (name, file_name)
    assert prepare_upload(open_source(Named(GIF)), default_name=local).name == name


def test_a_given_type_must_not_contradict_the_bytes() -> None:
    with pytest.raises(MediaError, match="its content is image/gif, but mime_type='image/png'") as raised:
        prepared(mime_type="image/png")
    assert type(raised.value) is MediaFileError


class Failing(BytesIO):
    name = "a.gif"

    def read(self, size: int | None = -1) -> bytes:
        raise PermissionError(13, "Permission denied")


def test_a_given_type_does_not_hide_that_the_file_cannot_be_read() -> None:
    with pytest.raises(MediaError, match="Permission denied") as raised:
        prepare_upload(open_source(Failing(GIF)), mime_type="image/gif")
    assert type(raised.value) is MediaFileError
