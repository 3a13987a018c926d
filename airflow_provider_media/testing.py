"""Pytest plugin for tests of DAGs that use the media library: a sandbox, a connection to it, and skipped waits.

Install the extra ``testing``, and add the plugin to the top-level ``conftest.py`` of your tests::

    pytest_plugins = ["airflow_provider_media.testing"]

The plugin is not an entry point, because pytest would load it wherever the provider is installed. It does not import
Airflow, so that you can set ``AIRFLOW_HOME`` afterwards.
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
    from airflow_provider_media.sandbox.server import Sandbox
    from airflow_provider_media.sandbox.settings import SandboxSettings

__all__ = ["MediaSandbox", "media_connection", "media_no_waiting", "media_sandbox", "media_sandbox_settings"]

_TIMEOUT_SECONDS = 10


class MediaSandbox:
    """A running sandbox that tests inspect and modify directly, without hooks and operators.

    :param sandbox: the sandbox.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Create a session that ignores the environment's proxies."""
        import requests

        self.sandbox = sandbox
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def base_url(self) -> str:
        """The host of a connection to the sandbox."""
        return self.sandbox.base_url

    @property
    def api_key(self) -> str:
        """The password of a connection to the sandbox."""
        return self.sandbox.api_key

    def connection(self, **extra: Any) -> str:
        """Return a connection to the sandbox as JSON, for an environment variable such as ``AIRFLOW_CONN_MEDIA_EU``.

        :param extra: the connection's extras, such as ``max_attempts=3``.
        """
        return json.dumps({"conn_type": "media", "host": self.base_url, "password": self.api_key, "extra": extra})

    def library(self) -> list[Media]:
        """Return the files in the library, oldest first."""
        from airflow_provider_media._api.protocol import ApiResponse, build_list, parse_page

        response = self._control("GET", "library")
        page = parse_page(build_list(), ApiResponse(status=response.status_code, headers={}, body=response.content))
        return list(page)

    def names(self) -> list[str]:
        """Return the names of the files, oldest first; names can repeat."""
        return [media.name or "" for media in self.library()]

    def content(self, media_id: int | str) -> bytes:
        """Return the bytes of a stored file.

        :param media_id: the library's id.
        :raises LookupError: the library has no such file.
        """
        return bytes(self._call("GET", str(self._find(media_id).url)).content)

    def _find(self, media_id: int | str) -> Media:
        for media in self.library():
            if str(media.id) == str(media_id):
                return media
        raise LookupError(f"The sandbox's library has no file with the id {media_id}.")

    def store(self, file: Path | bytes, name: str) -> Media:
        """Store a file as another client would, without faults and rate limits.

        :param file: a path, or the content.
        :param name: the name in the library.
        """
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
        stored = self._control("POST", "library", files={"file": ("file", content)}, data={"name": name}).json()
        stored = stored.get("data", stored)
        return self._find(stored.get("id") or stored.get("mediaId"))

    def delete(self, media_id: int | str) -> None:
        """Delete a file as another client would, without faults and rate limits.

        :param media_id: the library's id.
        """
        self._control("DELETE", f"library/{media_id}")

    def fail(self, fault: str, method: str = "*", **options: Any) -> None:
        """Queue a fault for the next requests, after the faults queued before.

        :param fault: ``status``, ``reset_before_body``, ``reset_mid_body``, ``reset_before_answer``, ``slow``,
            ``store_then_drop``, ``store_late`` or ``cut_answer``; ``sandbox/faults.py`` describes each.
        :param method: ``POST``, ``GET``, ``DELETE``, or ``*`` for all.
        :param options: ``times`` (1), ``skip`` (0), and options of the fault: ``status``, ``headers``, ``body``, ...
        """
        self._control("POST", "faults", json={"fault": fault, "method": method, **options})

    def answer(self, status: int, method: str = "*", **options: Any) -> None:
        """Return a status for the next request, such as 429 with a ``Retry-After`` header, without handling it.

        :param status: the HTTP status.
        :param method: see :meth:`fail`.
        :param options: ``times``, ``skip``, ``headers``, ``body``; see :meth:`fail`.
        """
        self.fail("status", method, status=status, **options)

    def pending_faults(self) -> list[dict[str, Any]]:
        """Return the queued faults that have not occurred."""
        return list(self._control("GET", "faults").json())

    def calls(self) -> list[dict[str, Any]]:
        """Return the Media API requests except those of this object, oldest first: ``method``, ``status``, ..."""
        return list(self._control("GET", "requests").json())

    def count(self, method: str) -> int:
        """Return the number of requests with a method.

        :param method: such as ``POST``.
        """
        return sum(1 for call in self.calls() if call["method"] == method)

    def _control(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._call(method, f"{self.base_url}/_sandbox/{path}", **options)

    def _call(self, method: str, url: str, **options: Any) -> requests.Response:
        response = self._session.request(method, url, timeout=_TIMEOUT_SECONDS, **options)
        if not response.ok:
            raise AssertionError(f"{method} {url} failed: HTTP {response.status_code}: {response.text}")
        return response

    def close(self) -> None:
        """Close the connections; the sandbox keeps running."""
        self._session.close()


@pytest.fixture
def media_sandbox_settings() -> SandboxSettings:
    """Return the sandbox's settings; override this fixture to change them."""
    from airflow_provider_media.sandbox.settings import SandboxSettings

    return SandboxSettings()


@pytest.fixture
def media_sandbox(media_sandbox_settings: SandboxSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[MediaSandbox]:
    """Run a sandbox with an empty library during the test, bypassing the machine's proxies."""
    from airflow_provider_media._upload.checkpoint import clear_recent_uploads

    try:
        from airflow_provider_media.sandbox.server import run_in_thread
    except ModuleNotFoundError as error:
        extra = "Install it with the extra: airflow-provider-media[testing]."
        pytest.fail(f"media_sandbox requires the module {error.name!r}. {extra}", pytrace=False)
    clear_recent_uploads()  # an earlier test's sandbox may have had the same port, key and ids
    for variable, hosts in _without_proxy("127.0.0.1").items():
        monkeypatch.setenv(variable, hosts)
    with run_in_thread(media_sandbox_settings) as running:
        sandbox = MediaSandbox(running)
        yield sandbox
        sandbox.close()


def _without_proxy(host: str) -> dict[str, str]:
    """Return ``NO_PROXY`` and ``no_proxy`` with a host added; if only one is set, its value is used for both."""
    upper, lower = (os.environ.get(name, "").strip() for name in ("NO_PROXY", "no_proxy"))
    known = {"NO_PROXY": upper or lower, "no_proxy": lower or upper}
    return {name: hosts if hosts == "*" else f"{hosts},{host}".lstrip(",") for name, hosts in known.items()}


@pytest.fixture
def media_connection(media_sandbox: MediaSandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """Define the Airflow connection ``media_default`` to the sandbox during the test; return its id."""
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", media_sandbox.connection())
    return "media_default"


@pytest.fixture
def media_no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Skip the provider's waits in this process (retries, rate limits, settling time); return the skipped seconds.

    The number of attempts does not change, because each wait advances a simulated clock that retry budgets use. The
    sandbox uses the real clock, so its rate limits and delays are not skipped.
    """
    from airflow_provider_media._transports import rate_limit

    ahead: ContextVar[float] = ContextVar("ahead", default=0.0)  # per thread and per asyncio task
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
        monkeypatch.setattr(rate_limit, name, function)
    # Fresh rate limiters, because slots reserved by the simulated clock are in the future of the real clock.
    monkeypatch.setattr(rate_limit, "_limiters", {})
    return waits
