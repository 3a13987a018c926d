"""What an earlier sync noted of a file that it stored: what was sent, and what the library made of it.

An earlier run's are in its manifest, an earlier attempt's in the task state. They recognize a file that the platform
renamed or re-encoded, or that a list does not show yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One file that was stored.

    :param media_id: the library's id.
    :param name: the name that it was sent under.
    :param size: its size when it was sent, in bytes.
    :param sha256: of its content, or None where it was not computed.
    :param stored_name: the library's name.
    :param stored_size: the library's size, in bytes; None where it was unknown.
    """

    media_id: int | str
    name: str
    size: int
    sha256: str | None
    stored_name: str | None
    stored_size: int | None

    @classmethod
    def of(cls, upload: UploadSpec, media: Media) -> Self:
        """Note what became of an upload."""
        return cls(
            media_id=media.id,
            name=upload.name,
            size=upload.source.size,
            sha256=upload.fingerprint,
            stored_name=media.name,
            stored_size=media.size or None,
        )

    def is_of(self, upload: UploadSpec, media: Media) -> bool:
        """Whether a file of the library is this one, and of this name and folder: an id may be used a second time."""
        if self.name != upload.name or str(media.id) != str(self.media_id) or upload.is_of_another_folder(media):
            return False
        names, sizes = (media.name, self.stored_name), (media.size, self.stored_size)
        return (None in names or names[0] == names[1]) and (not all(sizes) or sizes[0] == sizes[1])

    def is_same(self, upload: UploadSpec) -> bool:
        """Whether the content that was sent is still that of the local file, as far as it was noted."""
        is_changed = None not in (self.sha256, upload.fingerprint) and self.sha256 != upload.fingerprint
        is_unknown = upload.fingerprint is not None and self.sha256 is None
        return self.size == upload.source.size and not is_changed and not is_unknown

    def to_dict(self) -> dict[str, Any]:
        """Return it as the keys of a manifest's entry, without those that say nothing new."""
        stored = {"name": self.stored_name, "size": self.stored_size}
        is_changed = self.stored_name != self.name or self.stored_size != self.size
        return {
            "id": self.media_id,
            "name": self.name,
            "size": self.size,
            **({"sha256": self.sha256} if self.sha256 else {}),
            **({"stored": stored} if is_changed else {}),
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """Make it again of what :meth:`to_dict` returned, among other keys.

        :raises ValueError: (or what reading other values as these raises) the entry has another shape.
        """
        stored = entry.get("stored") or {"name": entry["name"], "size": entry["size"]}
        texts = (entry["name"], entry.get("sha256") or "", stored["name"] or "")
        sizes = (entry["size"], stored["size"] or 0)
        if not all(isinstance(text, str) for text in texts) or not all(type(size) is int for size in sizes):
            raise ValueError("names must be strings, and sizes integers")
        if isinstance(entry["id"], bool) or not isinstance(entry["id"], (int, str)):
            raise ValueError("an id must be an integer or a string")  # noqa: TRY004 - one error for all shapes
        return cls(
            media_id=entry["id"],
            name=entry["name"],
            size=entry["size"],
            sha256=entry.get("sha256"),
            stored_name=stored["name"],
            stored_size=stored["size"],
        )
