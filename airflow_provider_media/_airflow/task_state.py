"""Store checkpoints in Airflow's task state store, so that the retry of an interrupted task continues from there.

Airflow has the store since 3.3, for all attempts of one task in one run. A checkpoint remains after the operator's
success, because Airflow may reject the result, or the worker may die, and then the task is retried.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import traceback
from collections import Counter, OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Context


log = logging.getLogger(__name__)

FORMAT = 2
"""Version of the stored values; other versions are ignored."""

_MAX_ATTEMPTS = 16

_PART_CHARS = 1024
"""Size of the parts of a growing list: each save rewrites the last part only, and Airflow keeps 64 KiB of a value."""

_calls: OrderedDict[Any, Counter[str]] = OrderedDict()
"""The number of each call by attempt of a task; a process runs few attempts, usually one."""

_lock = threading.Lock()


C = TypeVar("C", bound=Any)


class TaskState(Generic[C]):
    """The checkpoint of one call of one task; without effect if Airflow has no store.

    A task may make several calls: an ``@task`` function that executes two operators, or one of them twice. Each has its
    own checkpoint, identified by the operator's task_id, the call's description, and its number among equal calls.
    Errors of the store are logged and do not fail the task.

    :param kind: the class of the checkpoint, with ``to_dict`` and ``from_dict``, which raises for invalid values.
        ``KIND`` is the prefix of the key. ``GROWING`` names the value that is a growing list, stored in parts, if any.
        ``outlives_clearing`` is whether it is still needed after the task was cleared.
    """

    def __init__(self, context: Context, kind: type[C], *, task_id: str) -> None:
        self._store: Any = context.get("task_state_store")
        self._kind = kind
        self._attempt = getattr(context.get("ti"), "id", None)
        self._first_try = first_try_number(context)
        self._about: dict[str, Any] = {"task_id": task_id}
        self._key = kind.KIND
        self._parts: list[list[Any]] = [[]]

    @property
    def is_kept(self) -> bool:
        """Whether Airflow has a store."""
        return self._store is not None

    def identify(self, describe: Callable[[], Mapping[str, Any]]) -> None:
        """Identify the call, before its checkpoint is loaded.

        :param describe: returns the call's description as JSON values; called only if Airflow has a store, because a
            digest takes time.
        """
        if self._store is None:
            return
        self._about |= describe()
        digest = hashlib.sha256(json.dumps(self._about, sort_keys=True).encode()).hexdigest()[:16]
        self._key = f"{self._kind.KIND}_{digest}"
        number = _number_of_call(self._attempt, self._key)
        self._key += f"_{number}" if number > 1 else ""

    def load(self) -> C | None:
        """Return the checkpoint of a previous attempt of the same call; None without a usable one."""
        stored = self._call("read", "get")
        if not isinstance(stored, dict) or stored.get("format") != FORMAT or stored.get("about") != self._about:
            return None
        try:
            values = stored["checkpoint"]
            if self._kind.GROWING:
                values = {**values, self._kind.GROWING: self._read_parts()}
            checkpoint = self._kind.from_dict(values)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            log.warning("Ignored the invalid checkpoint %r: %s: %s", self._key, type(error).__name__, error)
            return None
        was_cleared = stored.get("first_try") != self._first_try
        return None if was_cleared and not checkpoint.outlives_clearing else checkpoint

    def save(self, checkpoint: C) -> None:
        """Store a checkpoint."""
        values = checkpoint.to_dict()
        self._parts = [[]] if self._kind.GROWING else []
        for item in values.pop(self._kind.GROWING, ()):
            self._add(item)
        main = {"format": FORMAT, "about": self._about, "first_try": self._first_try, "checkpoint": values}
        self._call("write", "set", "", main)
        self._write_parts(0)

    def append(self, item: Any) -> None:
        """Append an item to the growing list of the saved checkpoint; earlier parts are not written again."""
        last = len(self._parts) - 1
        self._add(item)
        self._write_parts(last)

    def delete(self) -> None:
        """Delete the checkpoint."""
        self._call("delete", "delete")

    def _add(self, item: Any) -> None:
        """Add an item to the last part, or to a new one if it is full."""
        if len(json.dumps(self._parts[-1])) + len(json.dumps(item)) > _PART_CHARS:
            self._parts.append([])
        self._parts[-1].append(item)

    def _write_parts(self, start: int) -> None:
        """Write the parts from ``start`` on; the last one first, because the one before it refers to it."""
        for number in reversed(range(start, len(self._parts))):
            has_more = number + 1 < len(self._parts)
            self._call("write", "set", f"_part{number}", {"items": self._parts[number], "has_more": has_more})

    def _read_parts(self) -> list[Any]:
        items: list[Any] = []
        for number in count():
            part = self._call("read", "get", f"_part{number}")
            items += part["items"]
            if not part["has_more"]:
                break
        return items

    def _call(self, what: str, method: str, suffix: str = "", *values: Any) -> Any:
        """Call a method of the store; log an error and return None."""
        if self._store is None:
            return None
        try:
            return getattr(self._store, method)(self._key + suffix, *values)
        except Exception as error:  # noqa: BLE001 - the task has what it needs without the store
            cause = traceback.format_exception_only(error)[-1].strip()  # also if its own str() fails
            log.warning(
                "Could not %s the checkpoint %r; a retry may start from the beginning: %s", what, self._key, cause
            )
            return None


def _number_of_call(attempt: Any, call: str) -> int:
    """Count equal calls of an attempt, from 1."""
    if attempt is None:
        return 1
    with _lock:
        counted = _calls.setdefault(attempt, Counter())
        _calls.move_to_end(attempt)
        while len(_calls) > _MAX_ATTEMPTS:
            _calls.popitem(last=False)
        counted[call] += 1
        return counted[call]


def first_try_number(context: Context) -> int | None:
    """Return the first ``try_number`` since the task was last cleared, because clearing raises ``max_tries``."""
    ti: Any = context.get("ti")
    max_tries, retries = getattr(ti, "max_tries", None), getattr(getattr(ti, "task", None), "retries", None)
    return max_tries - (retries or 0) + 1 if isinstance(max_tries, int) else None
