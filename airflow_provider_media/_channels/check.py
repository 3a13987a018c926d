"""Checks a file for its channels: reads what the rules ask for from its headers, and judges it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_media._channels.image_facts import picture_facts
from airflow_provider_media._channels.mp4 import video_facts
from airflow_provider_media._channels.reader import DamagedFileError, Reader
from airflow_provider_media._channels.rules import ChannelFindings, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_media._api.source import Source


def check_channels(source: Source, mime_type: str, channels: Sequence[str]) -> ChannelFindings:
    """Say all that speaks against sending a file on some channels.

    :param source: the file; its headers are read, and of an image its end.
    :param mime_type: found from its first bytes.
    :param channels: their names, as :func:`~airflow_provider_media._channels.rules.channels_of` gives them.
    :raises Problem: of kind FILE when reading the source fails.
    """
    if not channels:
        return ChannelFindings()
    with source.opened() as stream:
        reader = Reader(source.label, stream, source.size)
        try:
            facts = video_facts(reader) if mime_type == "video/mp4" else picture_facts(reader, mime_type)
        except DamagedFileError as error:
            return ChannelFindings((f"{source.label} cannot be sent on any channel: {error}; export or copy it anew.",))
    return judge(source.label, facts, channels)
