"""Tests of the user interface: a complete Airflow in a real browser. They run only with ``--in-browser``.

    python -m pytest tests/browser --in-browser

Requires Airflow 3.3, playwright and Debian's chromium. ``--screenshots FOLDER`` updates the screenshots of the docs.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

HERE = Path(__file__).parent
TESTS = HERE.parent
EXAMPLES = TESTS.parent / "example_dags"

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Frame, Locator, Page

    from tests.contract.helpers.sandbox_library import SandboxLibrary
    from tests.system.helpers.airflow_system import AirflowSystem

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
ACTION_TIMEOUT_MS = 30_000
FILES = 60
TIMEOUT_SECONDS = 300  # of each test; the first one starts Airflow


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--in-browser", action="store_true", help="run the tests in a real browser (tests/browser)")
    parser.addoption("--screenshots", type=Path, help="the folder to write the documentation's screenshots to")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    is_selected = config.getoption("--in-browser", default=False)
    return True if HERE in collection_path.parents and not is_selected else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bypass proxies, because all servers are on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def load(media: Locator) -> None:
    """Wait until an image is decoded, or a video's first frame is loaded."""
    media.evaluate(
        "it => it.decode?.() ?? (it.readyState > 1 || new Promise((done) => it.addEventListener('loadeddata', done)))"
    )


def _sandbox() -> Iterator[SandboxLibrary]:
    from airflow_provider_media.sandbox.server import run_in_thread
    from tests.contract.helpers.sandbox_library import SandboxLibrary

    with run_in_thread() as sandbox:
        yield SandboxLibrary(sandbox)


@pytest.fixture(scope="session")
def gallery() -> Iterator[SandboxLibrary]:
    """A read-only library of 60 files: the example campaign's files, 12 times each."""
    media = sorted((EXAMPLES / "media").iterdir())
    for library in _sandbox():
        for number in range(FILES):
            file = media[number % len(media)]
            library.store(f"summer-{file.stem}-{number:02d}", file.read_bytes())
        yield library


@pytest.fixture(scope="session")
def shop() -> Iterator[SandboxLibrary]:
    """The library that DAGs and tests modify."""
    yield from _sandbox()


@pytest.fixture(scope="session")
def approvals() -> Iterator[SandboxLibrary]:
    """The library of the example with an approval."""
    yield from _sandbox()


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, gallery: SandboxLibrary, shop: SandboxLibrary, approvals: SandboxLibrary
) -> Iterator[AirflowSystem]:
    """Run Airflow with two users, the DAGs of ``dags/``, and the example with an approval."""
    from tests.system.helpers.airflow_system import AirflowSystem

    dags = Path(shutil.copytree(HERE / "dags", tmp_path_factory.mktemp("dags"), dirs_exist_ok=True))
    shutil.copy(EXAMPLES / "example_media_approval.py", dags)
    shutil.copytree(EXAMPLES / "media", dags / "media")
    of_environment = {"conn_type": "media", "host": gallery.sandbox.base_url, "password": gallery.sandbox.api_key}
    of_example = {"conn_type": "media", "host": approvals.sandbox.base_url, "password": approvals.sandbox.api_key}
    system = AirflowSystem(
        tmp_path_factory.mktemp("airflow"),
        dags,
        [path.stem for path in dags.glob("*.py")],
        passwords={"admin": "admin", "viewer": "viewer"},
        environment={
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW_CONN_OF_ENVIRONMENT": json.dumps(of_environment),
            "AIRFLOW_CONN_MEDIA_DEFAULT": json.dumps(of_example),
        },
    )
    with system:
        system.connect("gallery", gallery.sandbox.base_url, gallery.sandbox.api_key)
        system.connect("shop", shop.sandbox.base_url, shop.sandbox.api_key)
        system.call("POST", "connections", {"connection_id": "other", "conn_type": "http", "password": "of-another"})
        yield system


@pytest.fixture
def request_page(airflow: AirflowSystem) -> Callable[..., requests.Response]:
    """Send a request to the page's routes, as a user or not signed in: ``request_page("viewer", "assets/api.js")``."""

    def send(user: str | None, path: str, method: str = "GET") -> requests.Response:
        headers = {"Authorization": f"Bearer {airflow.token(user)}"} if user else {}
        return requests.request(method, f"{airflow.url}/media-library/{path}", headers=headers, timeout=60)

    return send


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=ACTION_TIMEOUT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_url(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a URL in a new browser context: ``open_url(gallery.sandbox.base_url, dark=True)``."""
    contexts: list[Any] = []

    def open_url(
        url: str, *, cookies: Any = (), dark: bool = False, width: int = 1280, height: int = 840, zone: str = "UTC"
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="en-US",
            timezone_id=zone,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(ACTION_TIMEOUT_MS)
        context.add_cookies(list(cookies))
        page = context.new_page()
        page.goto(url)
        return page

    yield open_url
    for context in contexts:
        context.close()


@pytest.fixture
def open_page(airflow: AirflowSystem, open_url: Callable[..., Page]) -> Callable[..., Page]:
    """Open an Airflow URL: ``open_page("media-library/", user="viewer")``; ``user=None`` is not signed in."""

    def open_page(path: str, *, user: str | None = "admin", **options: Any) -> Page:
        cookies = [{"name": "_token", "value": airflow.token(user), "url": airflow.url}] if user else []
        return open_url(f"{airflow.url}/{path}", cookies=cookies, **options)

    return open_page


@pytest.fixture(scope="session")
def violations() -> Callable[[Page | Frame], list[str]]:
    """Return the accessibility violations that axe-core finds on a page or in a frame."""
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec, "pip install axe-playwright-python"
    assert spec.origin
    axe = Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")

    def violations(page: Page | Frame) -> list[str]:
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        return [f"{each['id']}: {node['html']} {node['failureSummary']}" for each in found for node in each["nodes"]]

    return violations


@pytest.fixture
def take_screenshot(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Page | Locator, str], None]:
    """Take a screenshot with a 256-color palette; with ``--screenshots`` it replaces the documentation's one."""
    folder: Path = request.config.getoption("--screenshots") or tmp_path

    def take_screenshot(shown: Page | Locator, name: str) -> None:
        from PIL import Image

        path = folder / f"{name}.png"
        shown.screenshot(path=path)
        image = Image.open(path).convert("RGB")
        image.quantize(palette=image.quantize(256)).save(path, optimize=True)

    return take_screenshot
