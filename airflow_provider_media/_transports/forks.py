"""Renew sockets, threads and locks in forked children.

A child shares its parent's sockets, has none of its threads, and its copies of locks may be held.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class _Renewable(Protocol):
    def renew(self) -> None:
        """Recreate what belongs to one process."""


_renewable: weakref.WeakSet[_Renewable] = weakref.WeakSet()
"""Registered objects of this process, while they are alive."""


def renew_in_children(renewable: _Renewable) -> None:
    """Call the object's ``renew`` in each child that this process forks."""
    _renewable.add(renewable)


def _renew_all() -> None:
    for renewable in list(_renewable):
        renewable.renew()


os.register_at_fork(after_in_child=_renew_all)
