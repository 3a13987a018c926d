"""Immutable values of the Media API, convertible to and from JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One file of the media library.

    A field that the server does not return is None, which means unknown, not empty: the API's reference does not
    specify which fields a response contains.

    :param id: the library's id, an integer or a string as the server returns it. Compare ids as strings.
    :param name: the human-readable name; names are not unique in a library.
    :param mime_type: such as ``image/png``.
    :param size: in bytes.
    :param url: the preview or download URL.
    :param description: free text.
    :param folder_id: the library folder of the file.
    :param width: in pixels.
    :param height: in pixels.
    :param created_at: when the library stored the file; UTC if the server returns no time zone, midnight if it returns
        no time.
    :param alternate_id: the server's ``mediaId``, if it also returns a different ``id``; both identify the file.
    """

    id: int | str
    name: str | None = None
    mime_type: str | None = None
    size: int | None = None
    url: str | None = None
    description: str | None = None
    folder_id: int | str | None = None
    width: int | None = None
    height: int | None = None
    created_at: datetime | None = None
    alternate_id: int | str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids of the file, as strings."""
        return (str(self.id),) if self.alternate_id is None else (str(self.id), str(self.alternate_id))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict with all fields (the time in ISO 8601), for XComs."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values["created_at"] = self.created_at.isoformat() if self.created_at else None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Media:
        """Create an instance from :meth:`to_dict` output; unknown keys are ignored."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        if isinstance(known.get("created_at"), str):
            known["created_at"] = datetime.fromisoformat(known["created_at"])
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPage:
    """One page of the library's list.

    :param items: the files on this page; a server may return fewer than requested.
    :param page: the page number, from 0.
    :param limit: the requested number of items.
    :param total: the number of files in the library, if the server returns it.
    """

    items: tuple[Media, ...]
    page: int
    limit: int
    total: int | None = None

    def __iter__(self) -> Iterator[Media]:
        """Iterate over the items of this page."""
        return iter(self.items)

    def __len__(self) -> int:
        """Return the number of items on this page."""
        return len(self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResult:
    """The result of an upload.

    :param media: the file in the library.
    :param created: whether this call or an earlier attempt of the task stored the file; False if it existed before.
    :param replaced: the ids of the deleted older files with the same name (``if_exists="replace"``).
    """

    media: Media
    created: bool
    replaced: tuple[int | str, ...] = ()
