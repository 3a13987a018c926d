"""Find the names and patterns that a file's name matches, without testing all of them."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_WILDCARDS = re.compile(r"[*?\[]")


def is_pattern(name: str) -> bool:
    """Return whether a name has wildcards."""
    return bool(_WILDCARDS.search(name))


class Pattern:
    """A compiled name with wildcards; use :func:`compile_pattern`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.matches = re.compile(translate(name)).match
        start = _WILDCARDS.split(name, maxsplit=1)[0]
        end = re.split(r"[*?\]]", name)[-1]  # without "[", because it could start a character set
        self.ends = _Ends(start, "" if "[" in end else end)


class _Ends(NamedTuple):
    start: str
    end: str


_compiled: WeakValueDictionary[str, Pattern] = WeakValueDictionary()


def compile_pattern(name: str) -> Pattern:
    """Compile a pattern; cached while the result is referenced, because compiling takes 0.1 ms."""
    pattern = _compiled.get(name)
    if pattern is None:
        pattern = _compiled[name] = Pattern(name)
    return pattern


class NameIndex:
    """Finds the names and patterns that a file's name matches.

    Patterns are grouped by the fixed strings before their first and after their last wildcard.

    :param names: names and patterns.

    :ivar tested: the number of patterns tested so far.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.tested = 0
        self._names = frozenset(names)
        self._patterns: dict[tuple[int, int], dict[_Ends, list[Pattern]]] = {}
        for pattern in map(compile_pattern, filter(is_pattern, self._names)):
            lengths = (len(pattern.ends.start), len(pattern.ends.end))
            self._patterns.setdefault(lengths, {}).setdefault(pattern.ends, []).append(pattern)

    def matching(self, name: str | None) -> Iterator[str]:
        """Yield the names and patterns that a file's name matches; a pattern also matches its own string."""
        if name is None:
            return
        if name in self._names:
            yield name
        for (start, end), patterns in self._patterns.items():
            candidates = patterns.get(_Ends(name[:start], name[len(name) - end :]), ())
            self.tested += len(candidates)
            for pattern in candidates:
                if pattern.name != name and pattern.matches(name):
                    yield pattern.name
