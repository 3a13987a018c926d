"""Airflow finds the plugin of the Media library page, where it has a place for it; elsewhere it is quiet."""

from __future__ import annotations

import subprocess
import sys

import airflow
import pytest

HAS_PLACE = tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 1)


def test_airflow_loads_it_without_a_complaint() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "plugins", "-o", "plain"], capture_output=True, text=True, check=True
    )
    assert "media_library" in done.stdout
    assert "Traceback" not in done.stderr
    assert ("/media-library" in done.stdout) is HAS_PLACE


def test_what_each_component_imports_is_light() -> None:
    heavy = "{'fastapi', 'starlette', 'httpx', 'requests', 'PIL'}"
    code = (
        "import sys; import airflow.plugins_manager, airflow.providers.common.compat.sdk as sdk;"
        " sdk.BaseOperatorLink, sdk.XCom, sdk.conf; before = set(sys.modules);"
        " import airflow_provider_media.plugins.media_library;"
        f" print(sorted((set(sys.modules) - before) & {heavy}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.skipif(not HAS_PLACE, reason="there is no place for the page before Airflow 3.1")
def test_the_page_is_in_the_navigation_by_an_address_that_follows_airflows_own() -> None:
    from airflow_provider_media.plugins.media_library import MediaLibraryPlugin

    (view,) = MediaLibraryPlugin.external_views
    assert (view["destination"], view["category"], view["href"]) == ("nav", "browse", "media-library/")
