"""What the Media API deals in, as immutable values that turn into JSON and back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One file of the media library.

    What the server did not tell is None, which means "unknown", never "empty" (the API's reference leaves open
    which fields an answer holds).

    :param id: the library's id; a number or a text, as the server writes it. Compare ids as text.
    :param name: the human-readable name; names are not unique in a library.
    :param mime_type: such as ``image/png``.
    :param size: in bytes.
    :param url: where the file can be looked at or downloaded.
    :param description: free text.
    :param folder_id: the library folder that holds it.
    :param width: in pixels.
    :param height: in pixels.
    :param created_at: when the library stored it; where the server tells no zone or no time, as if it meant UTC or
        the beginning of the day.
    :param alternate_id: the server's ``mediaId``, where it has another ``id`` as well; either names the file.
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
        """All ids that name the file, as strings."""
        return (str(self.id),) if self.alternate_id is None else (str(self.id), str(self.alternate_id))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict with all fields (the time in ISO 8601); made for XComs."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values["created_at"] = self.created_at.isoformat() if self.created_at else None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Media:
        """Make a value again of what :meth:`to_dict` returned; keys that are no fields are left out."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        if isinstance(known.get("created_at"), str):
            known["created_at"] = datetime.fromisoformat(known["created_at"])
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPage:
    """One page of the library's list.

    :param items: the files on this page; a server may send fewer than were asked for.
    :param page: the page's number, from 0.
    :param limit: how many items were asked for.
    :param total: how many files the library holds, when the server says so.
    """

    items: tuple[Media, ...]
    page: int
    limit: int
    total: int | None = None

    def __iter__(self) -> Iterator[Media]:
        """Walk the items of this page."""
        return iter(self.items)

    def __len__(self) -> int:
        """Count the items of this page."""
        return len(self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResult:
    """What an upload came to.

    :param media: the file in the library.
    :param created: whether this call stored it; False when a file that was already there is used.
    :param replaced: the ids of the older files of that name which were deleted (``if_exists="replace"``).
    """

    media: Media
    created: bool
    replaced: tuple[int | str, ...] = ()
