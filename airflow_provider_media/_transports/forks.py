"""A forked child shares its parent's sockets, has none of its threads, and finds its locks as they were: maybe held."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class _Renewable(Protocol):
    def renew(self) -> None:
        """Make anew what belongs to one process."""


_renewable: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_in_children(thing: _Renewable) -> None:
    """Call ``renew`` of a thing in each child that this process forks."""
    _renewable.add(thing)


def _renew_all() -> None:
    for thing in list(_renewable):
        thing.renew()


os.register_at_fork(after_in_child=_renew_all)
