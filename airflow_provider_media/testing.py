"""A pytest plugin for tests of DAGs that use the media library: a sandbox, a connection to it, and no waiting.

Install the extra ``testing``, and name the plugin in the ``conftest.py`` at the top of your tests::

    pytest_plugins = ["airflow_provider_media.testing"]

It is no entry point: that would be loaded by every run of pytest wherever the provider is installed. It does not import
Airflow, whose home you may still choose afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    import requests

    from airflow_provider_media.models import Media
    from airflow_provider_media.sandbox.server import RunningSandbox
    from airflow_provider_media.sandbox.settings import SandboxSettings

__all__ = ["MediaSandbox", "media_connection", "media_no_waiting", "media_sandbox", "media_sandbox_settings"]

_TIMEOUT_SECONDS = 10


class MediaSandbox:
    """A running sandbox as tests see it: they look at it, and meddle with it, past hooks and operators.

    :param sandbox: the sandbox.
    """

    def __init__(self, sandbox: RunningSandbox) -> None:
        """Prepare a session of its own, without the environment's proxies."""
        import requests

        self.sandbox = sandbox
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def base_url(self) -> str:
        """What a connection's host must be."""
        return self.sandbox.base_url

    @property
    def api_key(self) -> str:
        """What a connection's password must be."""
        return self.sandbox.api_key

    def connection(self, **extra: Any) -> str:
        """Write a connection to it, for an environment variable such as ``AIRFLOW_CONN_MEDIA_EU``.

        :param extra: the connection's extras, such as ``max_attempts=3``.
        """
        return json.dumps({"conn_type": "media", "host": self.base_url, "password": self.api_key, "extra": extra})

    def library(self) -> list[Media]:
        """Return what the library holds, oldest first."""
        from airflow_provider_media._api.protocol import ApiResponse, build_list, parse_page

        answer = self._control("GET", "library")
        return list(parse_page(build_list(), ApiResponse(status=answer.status_code, headers={}, body=answer.content)))

    def names(self) -> list[str]:
        """Return the names in the library, oldest first; two files may bear one name."""
        return [media.name or "" for media in self.library()]

    def content(self, media_id: int | str) -> bytes:
        """Return the bytes of a stored file.

        :param media_id: the library's id.
        :raises LookupError: the library holds no such file.
        """
        for media in self.library():
            if str(media.id) == str(media_id) and media.url:
                return bytes(self._call("GET", media.url).content)
        raise LookupError(f"The sandbox's library holds no file with the id {media_id}.")

    def store(self, file: Path | bytes, name: str) -> Media:
        """Put a file there as somebody else would; no fault strikes, no rate limit counts.

        :param file: a path, or the content.
        :param name: the human-readable name.
        """
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
        stored = self._control("POST", "library", files={"file": ("file", content)}, data={"name": name}).json()
        media_id = str(stored.get("id") or stored.get("mediaId"))
        return next(media for media in self.library() if str(media.id) == media_id)

    def delete(self, media_id: int | str) -> None:
        """Delete a file as somebody else would; no fault strikes, no rate limit counts.

        :param media_id: the library's id.
        """
        self._control("DELETE", f"library/{media_id}")

    def fail(self, fault: str, method: str = "*", **options: Any) -> None:
        """Let a fault strike the next calls; faults asked for earlier come first.

        :param fault: ``status``, ``reset_before_body``, ``reset_mid_body``, ``reset_before_answer``, ``slow``,
            ``store_then_drop``, ``store_late`` or ``cut_answer``; ``sandbox/fault_effects.py`` describes each.
        :param method: which calls: ``POST``, ``GET``, ``DELETE``, or all.
        :param options: ``times`` (1), ``skip`` (0), and those of its kind: ``status``, ``headers``, ``body``, ...
        """
        self._control("POST", "faults", json={"fault": fault, "method": method, **options})

    def answer(self, status: int, method: str = "*", **options: Any) -> None:
        """Let the next call be answered with a status, and not be done: ``answer(429, headers={"Retry-After": "60"})``.

        :param status: the HTTP status.
        :param method: which calls, as of :meth:`fail`.
        :param options: as of :meth:`fail`: ``times``, ``skip``, ``headers``, ``body``.
        """
        self.fail("status", method, status=status, **options)

    def pending_faults(self) -> list[dict[str, Any]]:
        """Return the faults that did not strike yet; none, when a test met all that it asked for."""
        return list(self._control("GET", "faults").json())

    def calls(self) -> list[dict[str, Any]]:
        """Return the calls of the Media API, without those of this object, oldest first: ``method``, ``status``, ..."""
        return list(self._control("GET", "requests").json())

    def count(self, method: str) -> int:
        """Count the calls of one method.

        :param method: such as ``POST``.
        """
        return sum(1 for call in self.calls() if call["method"] == method)

    def _control(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._call(method, f"{self.base_url}/_sandbox/{path}", **options)

    def _call(self, method: str, url: str, **options: Any) -> requests.Response:
        answer = self._session.request(method, url, timeout=_TIMEOUT_SECONDS, **options)
        if not answer.ok:
            raise AssertionError(f"The sandbox answers {answer.status_code} to {method} {url}: {answer.text}")
        return answer

    def close(self) -> None:
        """Close the connections; the sandbox goes on."""
        self._session.close()


@pytest.fixture
def media_sandbox_settings() -> SandboxSettings:
    """How the sandbox is to behave; define a fixture of this name to change it."""
    from airflow_provider_media.sandbox.settings import SandboxSettings

    return SandboxSettings()


@pytest.fixture
def media_sandbox(media_sandbox_settings: SandboxSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[MediaSandbox]:
    """Run a sandbox with an empty library, for this test; it is reached past whatever proxies this machine uses."""
    from airflow_provider_media.sandbox.server import run_in_thread

    for variable, hosts in _without_proxy("127.0.0.1").items():
        monkeypatch.setenv(variable, hosts)
    with run_in_thread(media_sandbox_settings) as running:
        sandbox = MediaSandbox(running)
        yield sandbox
        sandbox.close()


def _without_proxy(host: str) -> dict[str, str]:
    """Add a host to what is reached without a proxy, in both spellings; what stands in one alone counts for both."""
    upper, lower = (os.environ.get(name, "").strip() for name in ("NO_PROXY", "no_proxy"))
    known = {"NO_PROXY": upper or lower, "no_proxy": lower or upper}
    return {name: hosts if hosts == "*" else f"{hosts},{host}".lstrip(",") for name, hosts in known.items()}


@pytest.fixture
def media_connection(media_sandbox: MediaSandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the Airflow connection ``media_default`` lead to the sandbox, for this test; gives its id."""
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", media_sandbox.connection())
    return "media_default"


@pytest.fixture
def media_no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take the waiting out of retries, pauses and the settling time, in this process; gives the seconds not waited.

    What is tried, and how often, stays as it is: who would have waited lives on later, by a clock of its own, so that
    budgets are used up. The sandbox's time passes as ever: its rate limits and delays cannot be outlived so.
    """
    from airflow_provider_media._transports import clock, rate_limit

    ahead: ContextVar[float] = ContextVar("ahead", default=0.0)  # of each thread, and of each task on an event loop
    waits: list[float] = []

    def now() -> float:
        return time.monotonic() + ahead.get()

    def skip(seconds: float) -> None:
        if seconds > 0:
            ahead.set(ahead.get() + seconds)
            waits.append(seconds)

    def wait(seconds: float, stopped: threading.Event) -> bool:
        skip(seconds)
        return stopped.is_set()

    async def sleep(seconds: float) -> None:
        skip(seconds)
        await asyncio.sleep(0)

    for name, function in {"now": now, "wait": wait, "sleep": sleep}.items():
        monkeypatch.setattr(clock, name, function)
    # What was reserved by this clock lies in the future of the real one.
    monkeypatch.setattr(rate_limit, "_limiters", {})
    return waits
