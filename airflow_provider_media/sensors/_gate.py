"""Check files of the library before a send: the channels' rules, and what their URLs serve."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_media._api.media_types import HEAD_BYTES, accepted_type, detect_type
from airflow_provider_media._api.values import format_size, plural
from airflow_provider_media._channels.check import check_header
from airflow_provider_media._channels.reader import Reader
from airflow_provider_media._channels.rules import ChannelReport, MediaInfo, validate
from airflow_provider_media._upload.source import file_error_reason
from airflow_provider_media.exceptions import MediaError, MediaFileError, MediaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import requests

    from airflow_provider_media.models import Media

_MAX_WORKERS = 8
_ANY_CODEC = ("H.264",)


@dataclass(frozen=True, slots=True)
class Gate:
    """The checks of a sensor."""

    channels: tuple[str, ...] = ()
    check_url: bool = False

    def check(self, files: Sequence[Media]) -> dict[int | str, tuple[str, ...]]:
        """Check all files; return the warnings of each by its id.

        :raises MediaFileError: a channel does not accept a file. Lists the failures of all files.
        :raises MediaUnavailableError: only URLs failed, which may be transient.
        """
        with ThreadPoolExecutor(_MAX_WORKERS) as pool:
            found = list(zip(files, pool.map(self._check_one, files), strict=True))
        failures = [
            f"{media.name!r} (id {media.id})  {'. '.join((*report.errors, *unavailable))}"
            for media, (report, unavailable) in found
            if report.errors or unavailable
        ]
        if failures:
            kind = MediaFileError if any(report.errors for _, (report, _) in found) else MediaUnavailableError
            raise kind("\n".join([f"{len(failures)} of {plural(len(files), 'file')} cannot be sent:", *failures]))
        return {media.id: report.warnings for media, (report, _) in found}

    def _check_one(self, media: Media) -> tuple[ChannelReport, list[str]]:
        """Return the report of the channels, and why the file cannot be fetched."""
        mime_type, reason = accepted_type(media.mime_type), "the library returned no URL"
        if self.channels and mime_type:
            info = MediaInfo(mime_type=mime_type, size=media.size or 0, video_codecs=_ANY_CODEC)
            if errors := validate(info, self.channels).errors:
                return ChannelReport(errors), []
        try:
            if media.url:
                return self._fetch(media, media.url)
        except MediaError as error:
            reason = f"URL: {file_error_reason(error)}".rstrip(".")
        except (OSError, ValueError) as error:  # of UrlPath
            reason = f"URL: {error}"
        return ChannelReport(), [reason]

    def _fetch(self, media: Media, url: str) -> tuple[ChannelReport, list[str]]:
        from airflow_provider_media._transports.url import UrlPath

        path = UrlPath(url)
        with path.fs.get(path.path, "bytes=0-0") as response:
            size = _size_of(response)
            problems = list(_differences(media, response, size)) if self.check_url else []
        size = size or media.size
        if not self.channels:
            return ChannelReport(), problems
        if not size:
            return ChannelReport(), [*problems, "URL: the file is empty, or its size is unknown"]
        with path.fs.open(path.path) as stream:
            reader = Reader(url, stream, size)
            found = detect_type(reader.read(0, min(size, HEAD_BYTES)))
            if found and found.mime_type:
                return check_header(reader, found.mime_type, self.channels), problems
        title = found.title if found else "file of unknown type"
        return ChannelReport((f"{title}; no channel accepts it",)), problems


def _size_of(response: requests.Response) -> int | None:
    """Return the size of the file that a response to a request for its first byte shows."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    total = total or response.headers.get("Content-Length", "")
    is_encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return int(total) if total.isdecimal() and not is_encoded else None


def _differences(media: Media, response: requests.Response, size: int | None) -> Iterator[str]:
    """Yield how a URL's response differs from the file in the library."""
    served, expected = response.headers.get("Content-Type", ""), accepted_type(media.mime_type)
    if accepted_type(served) is None or (expected and accepted_type(served) != expected):
        yield f"URL: served as {served or 'no type'}, not as {media.mime_type or 'an image or a video'}"
    if media.size and size is not None and size != media.size:
        yield f"URL: serves {format_size(size)} ({size:,} bytes), not {media.size:,} bytes"
