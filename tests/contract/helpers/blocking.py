"""The hook of the event loop behind the methods of the blocking one, so that one suite tests both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media.hooks.media import MediaAsyncHook

both_hooks = pytest.mark.parametrize("hook_class", ["MediaHook", "MediaAsyncHook"])
"""Runs a test with either hook; it gets them from the fixtures ``hook`` and ``connect``."""


class BlockingHook:
    """Runs each call of the hook on a loop of its own.

    :param hook: what answers.
    """

    def __init__(self, hook: MediaAsyncHook) -> None:
        self._hook = hook
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._hook, name)
        return lambda *arguments, **options: self._runner.run(method(*arguments, **options))

    @property
    def settings(self) -> Settings:
        """The connection as the hook reads it."""
        return self._runner.run(self._hook._read_settings())

    def iter_media(self, **options: Any) -> Iterator[Any]:
        """Walk step by step."""
        walk = self._hook.iter_media(**options)
        return iter(lambda: self._runner.run(anext(walk, None)), None)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close the connections and the loop; async generators that were not used up, too."""
        self.aclose()
        self._runner.close()
