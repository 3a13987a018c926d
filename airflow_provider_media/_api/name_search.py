"""Find a name in a list that is sorted by name, although the server's collation is unknown.

A result is accepted only from a single page, so that changes between two requests cannot hide a file: under every
plausible collation that the pages do not contradict, names on that page come before and after the name.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_media.models import Media

MAX_SMALL_PAGES = 5
"""Max pages of a library that is read completely, because a search takes about as many requests."""

MIN_ORDERED_NAMES = 50
"""Min neighbors in order on the pages, so that an unsorted list is not taken for a sorted one."""

MIN_NAMES_IN_ID_ORDER = 1000
"""Min names on the pages, if ids and names ascend together and nothing else shows that the server sorts."""

_UNICODE_PUNCTUATION = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$"
"""ASCII punctuation in the order of the Unicode collation algorithm; digits and letters follow."""

_UNICODE = str.maketrans({character: chr(rank) for rank, character in enumerate(_UNICODE_PUNCTUATION, 1)})
_NO_HYPHENS = str.maketrans("", "", "-'")
_NO_SPACES = str.maketrans("", "", " _-,;:!?.'\"()[]{}@*/\\&#%")
_NO_PUNCTUATION = str.maketrans("", "", _UNICODE_PUNCTUATION)

_TEXTS: tuple[Callable[[str], str], ...] = (
    str,
    str.lower,
    str.upper,
    lambda name: name.lower().translate(_UNICODE),
    lambda name: name.lower().translate(_NO_HYPHENS).translate(_UNICODE),
    lambda name: name.lower().translate(_NO_SPACES).translate(_UNICODE),
    lambda name: name.lower().translate(_NO_PUNCTUATION),
)
"""How collations compare ASCII: by code point, without case, with punctuation first or partly or all ignored."""

_UNKNOWN = "\U0010ffff"
"""Ends a key before the first character whose place is unknown: accents are ignored, or follow all letters."""

_ALPHANUMERIC = frozenset(string.ascii_letters + string.digits)
_NUMBER = re.compile("0*([0-9]+)")


@dataclass(frozen=True, slots=True)
class _Collation:
    """A plausible order of names: the string by which a name is compared, and whether numbers are compared by value."""

    text_of: Callable[[str], str]
    by_value: bool

    def key(self, name: str) -> str:
        """Return the key of a name, which is compared by code point."""
        text = self.text_of(_known_part(name))
        return _NUMBER.sub(_with_length, text) if self.by_value else text

    def has_usual_order(self, pair: tuple[str, str]) -> bool:
        """Return whether the orders by code point and of Unicode agree on two punctuation characters of keys."""
        one, other = pair if self.text_of in _TEXTS[:3] else (_UNICODE_PUNCTUATION[ord(key) - 1] for key in pair)
        return (one < other) == (_UNICODE[ord(one)] < _UNICODE[ord(other)])


_COLLATIONS = tuple(_Collation(text_of, by_value) for by_value in (False, True) for text_of in _TEXTS)


def _known_part(name: str) -> str:
    """Return the part of a name whose place is known; trailing blanks do not count."""
    if name.isascii() and name.isprintable():
        return name.rstrip(" ")
    end = next(position for position, character in enumerate(name) if not " " <= character <= "~")
    # The character may combine with the one before, or continue its number.
    return name[: max(0, end - 1)].rstrip(string.digits) + _UNKNOWN


def _with_length(number: re.Match[str]) -> str:
    """Write a number so that the order by code point is the order by value."""
    nines, rest = divmod(len(number[1]), 9)
    return "9" * nines + str(rest) + number[1]


def _is_less(first: str, second: str) -> bool:
    """Return whether a key is less, whatever an unknown part is."""
    return first < second and _difference(first, second)[1] != _UNKNOWN


def _difference(first: str, second: str) -> tuple[str, str]:
    """Return the first characters that differ; an empty string at the end of a key."""
    for pair in zip(first, second, strict=False):
        if pair[0] != pair[1]:
            return pair
    return first[len(second) :][:1], second[len(first) :][:1]


def _is_punctuation(pair: tuple[str, str]) -> bool:
    return "" not in pair and _UNKNOWN not in pair and _ALPHANUMERIC.isdisjoint(pair)


@dataclass(frozen=True)
class NamePage:
    """One page of the list by name.

    :param start: the position of its first entry in the list.
    :param count: the number of its entries, the invalid ones included.
    :param total: the number of files in the library, as this response states it.
    """

    start: int
    limit: int
    count: int
    items: Sequence[Media]
    total: int | None
    _keys: dict[_Collation, list[str]] = field(default_factory=dict)
    _punctuation: dict[_Collation, set[tuple[str, str]]] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The position after its last entry."""
        return self.start + self.count

    @property
    def is_end(self) -> bool:
        """Whether it is certainly the last page."""
        return self.end == self.total and self.count < self.limit

    @cached_property
    def ids(self) -> frozenset[str]:
        """The ids of its files."""
        return frozenset(str(media.id) for media in self.items)

    @cached_property
    def names(self) -> list[str]:
        """The names in the order of the list; empty if files without a name are between others."""
        names = [media.name for media in self.items]
        present = [position for position, name in enumerate(names) if name is not None]
        inner = names[present[0] : present[-1] + 1] if present else []
        return [] if None in inner else [name for name in inner if name is not None]

    def keys(self, collation: _Collation) -> list[str]:
        """Return the keys of its names."""
        if collation not in self._keys:
            self._keys[collation] = [collation.key(name) for name in self.names]
        return self._keys[collation]

    def punctuation(self, collation: _Collation) -> set[tuple[str, str]]:
        """Return the pairs of punctuation characters by which neighbors are ordered."""
        if collation not in self._punctuation:
            pairs = (_difference(*neighbors) for neighbors in pairwise(self.keys(collation)))
            self._punctuation[collation] = {pair for pair in pairs if _is_punctuation(pair)}
        return self._punctuation[collation]


def ids_descend(ids: Sequence[int | str]) -> bool:
    """Return whether ids of one kind are in descending order."""
    if len({type(media_id) for media_id in ids}) > 1:
        return False
    return all(one > other for one, other in pairwise(ids))  # type: ignore[operator]  # of one type


def are_in_id_order(media: Sequence[Media]) -> bool:
    """Return whether the ids of files ascend or descend."""
    ids = [each.id for each in media]
    return ids_descend(ids) or ids_descend(ids[::-1])


class NameSearch:
    """A bisection of the list by name.

    :param others: files of the library that were listed in another order.
    :param page_size: the number of entries that the server returns per page.
    :ivar next_read: the index of the page to read next, and its limit; None at the end of the search.
    :ivar found: the files of the name; None until the search succeeds.
    """

    def __init__(self, name: str, others: Iterable[Media], *, total: int, page_size: int) -> None:
        self.found: list[Media] | None = None
        self.next_read: tuple[int, int] | None = None
        self._name = name
        self._seen: dict[str, str] = {}
        self._total = total
        self._page_size = page_size
        self._pages: list[NamePage] = []
        self._collations: Sequence[_Collation] = _COLLATIONS
        self.add_others(others)

    @property
    def may_be_by_id(self) -> bool:
        """Whether the list may be sorted by id, because ids and names ascend together on all pages that were read."""
        return all(are_in_id_order(page.items) for page in self._pages)

    @property
    def has_many_names(self) -> bool:
        """Whether the pages have so many names that an order by chance is not plausible."""
        return sum(len(page.names) for page in self._pages) >= MIN_NAMES_IN_ID_ORDER

    def add_others(self, others: Iterable[Media]) -> None:
        """Add files that were listed in another order, and decide again."""
        self.found = None
        self._seen |= {str(media.id): media.name for media in others if media.name is not None}
        self._decide()

    def add(self, page: NamePage) -> None:
        """Add the page that was to be read."""
        self.next_read = None
        self._seen |= {str(media.id): media.name for media in page.items if media.name is not None}
        self._pages = sorted([*self._pages, page], key=lambda other: other.start)
        if page.names:
            self._collations = [collation for collation in self._collations if self._is_ordered(collation, page)]
            self._decide()

    def _is_ordered(self, collation: _Collation, page: NamePage) -> bool:
        """Return whether neither the page contradicts the collation, nor the ends of all pages."""
        keys = page.keys(collation)
        pairs = [] if keys == sorted(keys) else [*pairwise(keys)]
        ends = [(listed.keys(collation)[0], listed.keys(collation)[-1]) for listed in self._pages]
        pairs += [ends_pair for pair in pairwise(ends) for ends_pair in zip(*pair, strict=True)]
        return not any(_is_less(later, earlier) for earlier, later in pairs)

    def _decide(self) -> None:
        """Set the next page to read or, if all plausible collations agree, the result."""
        proofs: list[tuple[_Collation, NamePage]] = []
        for collation in self._collations:
            proof = next((page for page in self._pages if self._encloses(collation, page)), None)
            if proof is None:
                index, limit = self._place(collation)
                if (index * limit, limit) not in {(page.start, page.limit) for page in self._pages}:
                    self.next_read = index, limit
                return
            proofs.append((collation, proof))
        for collation, page in proofs:
            neighbors = (pair for listed in self._pages for pair in pairwise(listed.keys(collation)))
            is_sorted = sum(_is_less(*pair) for pair in neighbors) >= MIN_ORDERED_NAMES
            if is_sorted and self._has_all_between(collation, page):
                self.found = [media for media in page.items if media.name == self._name]
                return

    def _encloses(self, collation: _Collation, page: NamePage) -> bool:
        """Return whether all files of the name are on the page, if the list has this order."""
        key, keys = collation.key(self._name), page.keys(collation)
        low, high = sorted((keys[0], keys[-1]))
        if not (low <= key <= high or page.start == 0 or page.is_end):
            return False
        return (page.start == 0 or any(self._is_before(collation, other, key) for other in keys)) and (
            page.is_end or any(self._is_before(collation, key, other) for other in reversed(keys))
        )

    def _is_before(self, collation: _Collation, first: str, second: str) -> bool:
        """Return whether a key is certainly listed before another.

        Collations order punctuation differently. Unless they agree on two such characters, the pages must show the
        order.
        """
        pair = _difference(first, second)
        if not _is_punctuation(pair) or collation.has_usual_order(pair):
            return _is_less(first, second)
        shown = {pair for page in self._pages for pair in page.punctuation(collation)}
        return pair in shown and pair[::-1] not in shown

    def _place(self, collation: _Collation) -> tuple[int, int]:
        """Return the page to read next, if the list has this order."""
        key, start, end = collation.key(self._name), 0, self._total
        for page in self._pages:
            keys = page.keys(collation)
            low, high = sorted((keys[0], keys[-1]))
            if low <= key <= high:  # names with the same key may continue on the page before or after
                has_start = page.start == 0 or any(self._is_before(collation, other, key) for other in keys)
                return self._around(page.end if has_start else page.start)
            if key < low:
                end = min(end, page.start)
            else:
                start = max(start, page.end)
        if end <= start:
            return self._around(start)
        return (start // self._page_size + -(-end // self._page_size)) // 2, self._page_size

    def _around(self, position: int) -> tuple[int, int]:
        """Return the page whose ends are farthest from a position."""
        pages = ((position // limit, limit) for limit in range(self._page_size, self._page_size // 2, -1))
        return max(pages, key=lambda page: min(position - page[0] * page[1], (page[0] + 1) * page[1] - position))

    def _has_all_between(self, collation: _Collation, page: NamePage) -> bool:
        """Return whether the page has every known file whose name belongs between its first and its last name.

        A server that sorts each page, but not the list, does not have it.
        """
        first, last = page.keys(collation)[0], page.keys(collation)[-1]
        for media_id, name in self._seen.items():
            key = collation.key(name)
            is_after_start = page.start == 0 or _is_less(first, key)
            is_between = is_after_start and (page.is_end or _is_less(key, last))
            if media_id not in page.ids and (is_between or name == self._name):
                return False
        return True
