"""A blocking wrapper of the async hook, so that the same tests run with both hooks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media.hooks.media import MediaAsyncHook

both_hooks = pytest.mark.parametrize("hook_class", ["MediaHook", "MediaAsyncHook"])
"""Runs a test with both hooks, which it gets from the fixtures ``hook`` and ``connect``."""


class BlockingHook:
    """Runs each method of the async hook to completion on an event loop.

    :param hook: the async hook.
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
        """Iterate over the async iterator."""
        walk = self._hook.iter_media(**options)
        return iter(lambda: self._runner.run(anext(walk, None)), None)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close the connections, the loop and unfinished async generators."""
        self.aclose()
        self._runner.close()
