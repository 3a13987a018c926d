"""Receipts: the uploaded file and the stored one, to recognize what the platform renamed, re-encoded or lists late.

Those of an earlier run are in its manifest, those of a previous attempt in the task state.
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
    """The receipt of one upload.

    :param media_id: the library's id.
    :param name: the uploaded name.
    :param size: the uploaded size in bytes.
    :param sha256: of the uploaded content; None if not computed.
    :param stored_name: the name in the library.
    :param stored_size: the size in the library, in bytes; None if unknown.
    """

    media_id: int | str
    name: str
    size: int
    sha256: str | None
    stored_name: str | None
    stored_size: int | None

    @classmethod
    def of(cls, upload: UploadSpec, media: Media) -> Self:
        """Create the receipt of an upload."""
        return cls(
            media_id=media.id,
            name=upload.name,
            size=upload.source.size,
            sha256=upload.fingerprint,
            stored_name=media.name,
            stored_size=media.size or None,
        )

    def is_of(self, upload: UploadSpec, media: Media) -> bool:
        """Return whether it is the receipt of a file of the library; compare more than ids, which may be reused."""
        if self.name != upload.name or str(media.id) != str(self.media_id) or upload.is_of_another_folder(media):
            return False
        names, sizes = (media.name, self.stored_name), (media.size, self.stored_size)
        return (None in names or names[0] == names[1]) and (not all(sizes) or sizes[0] == sizes[1])

    def is_same(self, upload: UploadSpec) -> bool:
        """Return whether the local file still has the uploaded content, as far as known."""
        is_changed = None not in (self.sha256, upload.fingerprint) and self.sha256 != upload.fingerprint
        is_unknown = upload.fingerprint is not None and self.sha256 is None
        return self.size == upload.source.size and not is_changed and not is_unknown

    def to_dict(self) -> dict[str, Any]:
        """Return the keys for a manifest entry, without redundant ones."""
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
        """Create an instance from :meth:`to_dict` output; ignore other keys.

        :raises Exception: the entry has another shape.
        """
        stored = entry.get("stored") or {"name": entry["name"], "size": entry["size"]}
        strings = (entry["name"], entry.get("sha256") or "", stored["name"] or "")
        sizes = (entry["size"], stored["size"] or 0)
        if not all(isinstance(text, str) for text in strings) or not all(type(size) is int for size in sizes):
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
