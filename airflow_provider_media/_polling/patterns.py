"""Which of many names and patterns a file's name matches, without trying each of them."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_WILDCARDS = re.compile(r"[*?\[]")


def is_pattern(name: str) -> bool:
    """Whether a name has wildcards."""
    return bool(_WILDCARDS.search(name))


class Pattern:
    """A name with wildcards, compiled; see :func:`compiled`."""

    def __init__(self, name: str) -> None:
        """Tell what every match starts and ends with."""
        self.name = name
        self.matches = re.compile(translate(name)).match
        start = _WILDCARDS.split(name, maxsplit=1)[0]
        end = re.split(r"[*?\]]", name)[-1]  # without a bracket, so that none is taken for the end of one
        self.ends = _Ends(start, "" if "[" in end else end)


class _Ends(NamedTuple):
    start: str
    end: str


_compiled: WeakValueDictionary[str, Pattern] = WeakValueDictionary()


def compiled(name: str) -> Pattern:
    """Compile a pattern, which takes 0.1 ms; for as long as somebody keeps the result, once."""
    pattern = _compiled.get(name)
    if pattern is None:
        pattern = _compiled[name] = Pattern(name)
    return pattern


class NameIndex:
    """Finds, of many names and patterns, those that a file's name matches.

    :param names: names and patterns.

    :ivar tried: how many patterns were tried so far.
    """

    def __init__(self, names: Collection[str]) -> None:
        """Sort the patterns by what stands before their first wildcard and after their last one."""
        self.tried = 0
        self._names = frozenset(names)
        self._patterns: dict[tuple[int, int], dict[_Ends, list[Pattern]]] = {}
        for pattern in map(compiled, filter(is_pattern, self._names)):
            lengths = (len(pattern.ends.start), len(pattern.ends.end))
            self._patterns.setdefault(lengths, {}).setdefault(pattern.ends, []).append(pattern)

    def matching(self, name: str | None) -> Iterator[str]:
        """Give the names and patterns that a file's name matches; a name with wildcards also matches itself."""
        if name is None:
            return
        if name in self._names:
            yield name
        for (start, end), patterns in self._patterns.items():
            candidates = patterns.get(_Ends(name[:start], name[len(name) - end :]), ())
            self.tried += len(candidates)
            for pattern in candidates:
                if pattern.name != name and pattern.matches(name):
                    yield pattern.name
