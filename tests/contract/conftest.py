"""Fixtures for tests of the hook against the sandbox over HTTP, with connections in the environment."""

from __future__ import annotations

import json
import os
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.sandbox.server import Sandbox
    from tests.contract.helpers.raw_server import RawServer
    from tests.contract.helpers.sandbox_library import SandboxLibrary
    from tests.contract.helpers.syncing import Folder


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits, and reset the rate limits learned in other tests."""
    from airflow_provider_media._api import flows, retry
    from airflow_provider_media._transports import rate_limit
    from airflow_provider_media._upload import flow as upload_flow

    monkeypatch.setattr(rate_limit, "_limiters", {})
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(retry, "MAX_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(flows, "FIRST_LOOKUP_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(flows, "MAX_LOOKUP_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(upload_flow, "_FIRST_LOOKUP_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(upload_flow, "_MAX_LOOKUP_DELAY_SECONDS", 0.1)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's proxy and certificate variables from the environment."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    from airflow_provider_media.sandbox.server import run_in_thread
    from airflow_provider_media.sandbox.settings import SandboxSettings

    with run_in_thread(SandboxSettings(api_key="key-of-the-tests", max_bytes=8 * 1024 * 1024)) as running:
        yield running


@pytest.fixture
def library(shared_sandbox: Sandbox) -> SandboxLibrary:
    """The shared sandbox's library, empty, without faults or logged requests."""
    from tests.contract.helpers.sandbox_library import SandboxLibrary

    return SandboxLibrary(shared_sandbox).emptied()


@pytest.fixture
def own_library() -> Iterator[SandboxLibrary]:
    """The library of a separate sandbox, so that files stored late do not affect other tests."""
    from airflow_provider_media.sandbox.server import run_in_thread
    from airflow_provider_media.sandbox.settings import SandboxSettings
    from tests.contract.helpers.sandbox_library import SandboxLibrary

    with run_in_thread(SandboxSettings(api_key="key-of-the-tests")) as running:
        yield SandboxLibrary(running)


@pytest.fixture
def hook_class() -> str:
    """The name of the hook to test; see ``blocking.both_hooks``."""
    return "MediaHook"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, hook_class: str) -> Iterator[Callable[..., MediaHook]]:
    """Create a hook with a connection in the environment: ``connect(host, key, **extra)``."""
    from airflow_provider_media.hooks.media import MediaAsyncHook, MediaHook
    from tests.contract.helpers.blocking import BlockingHook

    numbers = count(1)
    made: list[Any] = []

    def make(host: str, key: str | None = "key-of-the-tests", **extra: Any) -> MediaHook:
        conn_id = f"media_{next(numbers)}"
        extra = {"settle_seconds": 0.2, "timeout": 5, **extra}
        connection = {"conn_type": "media", "host": host, "password": key, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        made.append(MediaHook(conn_id) if hook_class == "MediaHook" else BlockingHook(MediaAsyncHook(conn_id)))
        return made[-1]

    yield make
    for hook in made:
        if isinstance(hook, BlockingHook):
            hook.close()
        elif "_transport" in vars(hook):
            hook.get_conn().close()  # otherwise the garbage collector warns in a later test


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch, library: SandboxLibrary) -> Callable[..., str]:
    """Define a connection, by default to the shared sandbox; ``define(key, host, **extra)`` returns its id."""

    def write(key: str = "key-of-the-tests", host: str | None = None, **extra: Any) -> str:
        connection = {"conn_type": "media", "host": host or library.sandbox.base_url, "password": key, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_MEDIA_ASYNC", json.dumps(connection))
        return "media_async"

    return write


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow poll intervals of 50 ms, and use pages of ten files."""
    from airflow_provider_media._api import flows
    from airflow_provider_media.triggers import _poller

    monkeypatch.setattr(_poller, "MIN_INTERVAL_SECONDS", 0.05)
    defaults = flows.Paginator.__init__.__kwdefaults__ | {"page_size": 10}
    monkeypatch.setattr(flows.Paginator.__init__, "__kwdefaults__", defaults)


@pytest.fixture
def hook(connect: Any, library: SandboxLibrary) -> MediaHook:
    """A hook for the shared sandbox."""
    made: MediaHook = connect(library.sandbox.base_url)
    return made


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """Start servers with given responses: ``raw_server(on_request)``; ``keeps=True`` keeps connections open."""
    from contextlib import ExitStack

    from tests.contract.helpers.raw_server import RawServer

    with ExitStack() as stack:
        yield lambda on_request, **options: stack.enter_context(RawServer(on_request, **options))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small image on disk."""
    path = tmp_path / "banner.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(5000))
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of our own for 127.0.0.1, and its key."""
    from tests.contract.helpers.certificates import write_certificate

    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder to sync, still empty."""
    from tests.contract.helpers.syncing import Folder

    (tmp_path / "summer").mkdir()
    return Folder(tmp_path / "summer")
