"""The kinds of ids that a library may assign."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def shuffled(start: int) -> list[int]:
    return random.Random(7).sample(range(start, start + 10**6), 2000)


def alternating(*iterators: Iterator[Any]) -> Iterator[Any]:
    while True:
        yield from (next(iterator) for iterator in iterators)


STYLES: dict[str, Any] = {
    "growing": lambda: iter(range(1, 9999)),
    "growing from a large number": lambda: iter(range(10**12, 10**12 + 9999)),
    "counting down": lambda: iter(range(10**6, 0, -1)),
    "random": lambda: iter(shuffled(1)),
    "sharded": lambda: alternating(*(iter(range(shard * 10**9, shard * 10**9 + 9999)) for shard in (1, 2, 3))),
    "strings": lambda: (f"med_{number:x}" for number in shuffled(1)),
    "both kinds": lambda: alternating(iter(range(1, 9999)), (f"med_{number:x}" for number in shuffled(1))),
}
