"""Checks before an upload that a file is complete, and that its channels accept it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_media._channels.image_info import read_image
from airflow_provider_media._channels.integrity import check_image_end
from airflow_provider_media._channels.mp4 import read_video
from airflow_provider_media._channels.reader import CorruptFileError, InvalidFileError, Reader
from airflow_provider_media._channels.rules import ChannelReport, MediaInfo, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_media._upload.source import Source


def check_file(source: Source, mime_type: str, channels: Sequence[str], *, check_integrity: bool) -> ChannelReport:
    """Return the errors and warnings of a file.

    :param source: the file; its headers are read, and the segments of an image.
    :param mime_type: detected from its first bytes.
    :param channels: their names, as :func:`~airflow_provider_media._channels.rules.channels_of` returns them.
    :param check_integrity: whether a truncated or corrupt file is an error also without channels; otherwise a warning.
    :raises MediaFileError: when reading the source fails.
    """
    try:
        info = inspect(source, mime_type, checksums=check_integrity or bool(channels))
    except CorruptFileError as error:
        sentence = f"{error.reason}. {error.advice}".rstrip(".")
        return ChannelReport((sentence,)) if channels or check_integrity else ChannelReport((), (sentence,))
    except InvalidFileError as error:
        return ChannelReport((f"{error.reason}. {error.advice}".rstrip("."),)) if channels else ChannelReport()
    return validate(info, channels)


def check_header(reader: Reader, mime_type: str, channels: Sequence[str]) -> ChannelReport:
    """Return what a file's headers show of the channels' rules; the rest is not read."""
    try:
        info = read_video(reader) if mime_type == "video/mp4" else read_image(reader, mime_type).info
    except InvalidFileError as error:
        return ChannelReport((f"{error.reason}. {error.advice}".rstrip("."),))
    return validate(info, channels)


def inspect(source: Source, mime_type: str, *, checksums: bool) -> MediaInfo:
    """Read a file's headers, and check that it is complete.

    :param checksums: whether to verify those of a PNG, which reads the whole file.
    :raises InvalidFileError: no channel accepts it.
    """
    with source.open_for_checks() as stream:
        reader = Reader(source.label, stream, source.size)
        if mime_type == "video/mp4":
            return read_video(reader)
        layout = read_image(reader, mime_type)
        check_image_end(reader, mime_type, layout.content, checksums=checksums)
        return layout.info
