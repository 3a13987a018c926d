"""Search, filter, sort and paginate a library for the page; no I/O."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from airflow_provider_media._api.flows import id_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_media.models import Media

FILES_PER_PAGE = 48


def _age(media: Media) -> tuple[float, int]:
    """Return a sort key: the creation time, then the id."""
    created = media.created_at.timestamp() if media.created_at else 0.0
    return created, id_number(media.id) or 0


def _name(media: Media) -> tuple[str, str]:
    return _comparable(media.name or ""), str(media.id)


def _comparable(text: str) -> str:
    """Normalize case and Unicode form (NFC)."""
    return normalize("NFC", text).casefold()


def _size(media: Media) -> int:
    return media.size or 0


_ORDERS: dict[str, tuple[Callable[[Media], Any], bool]] = {
    "newest": (_age, True),
    "oldest": (_age, False),
    "name": (_name, False),
    "largest": (_size, True),
    "smallest": (_size, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The filters, order and page that the user selected.

    :param search: words that the name must contain, in any order and case; or an id.
    :param mime_type: a type such as ``image/png``, or its first part such as ``image``; "" for all.
    :param order: ``newest``, ``oldest``, ``name``, ``largest`` or ``smallest``.
    :param page: from 0; numbers beyond the last page select the last page.
    """

    search: str = ""
    mime_type: str = ""
    order: str = "newest"
    page: int = 0

    def of(self, library: Sequence[Media]) -> dict[str, Any]:
        """Return the files on the page and the counts, JSON-serializable."""
        found = [media for media in library if self._matches_search(media)]
        types = Counter(media.mime_type or "unknown" for media in found)
        found = [media for media in found if self._matches_type(media)]
        key, is_descending = _ORDERS.get(self.order, _ORDERS["newest"])
        found.sort(key=key, reverse=is_descending)
        pages = max(1, math.ceil(len(found) / FILES_PER_PAGE))
        page = min(self.page, pages - 1)
        shown = found[page * FILES_PER_PAGE : (page + 1) * FILES_PER_PAGE]
        return {
            "items": [media.to_dict() for media in shown],
            "found": len(found),
            "page": page,
            "pages": pages,
            "types": dict(sorted(types.items())),
        }

    def _matches_search(self, media: Media) -> bool:
        name, search = _comparable(media.name or ""), _comparable(self.search)
        return all(word in name for word in search.split()) or _comparable(str(media.id)) == search.strip()

    def _matches_type(self, media: Media) -> bool:
        mime_type = media.mime_type or "unknown"
        return not self.mime_type or mime_type == self.mime_type or mime_type.startswith(f"{self.mime_type}/")
