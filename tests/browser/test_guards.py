"""Access to the Media Library page, its headers, and its behavior with a slow Media API."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

ROUTES = [
    "",
    "assets/library.js",
    "assets/nothing.js",
    "api/start",
    "api/library/gallery",
    "api/library/no-such",
    "api/entry/gallery?media=1",
    "api/uses/gallery?media=1",
    "task?dag=campaign&run=manual&task=upload",
    "docs",
    "openapi.json",
    "no-such-route",
]
LATE_SECONDS = 30


def test_all_routes_are_tested() -> None:
    """A route counts as tested if it is the first that matches one of the paths."""
    from airflow_provider_media.plugins._app import app

    tested = set()
    for url in ROUTES:
        path = f"/{url.partition('?')[0]}"
        tested.add(next((route.path for route in app.routes if route.path_regex.match(path)), None))
    assert tested == {route.path for route in app.routes} | {None}
    assert [route.path for route in app.routes if route.methods != {"GET"}] == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.startswith(("api/", "assets/", "task?"))] + [""])
def test_routes_require_sign_in_and_permission_to_read_connections(route: str, request_page: Any) -> None:
    assert [request_page(None, route).status_code, request_page("viewer", route).status_code] == [401, 403]


@pytest.mark.parametrize("route", ["docs", "openapi.json", "no-such-route"])
def test_other_routes_return_404(route: str, request_page: Any) -> None:
    assert request_page("admin", route).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_routes_reject_writing_methods(method: str, request_page: Any) -> None:
    assert {request_page("admin", route, method).status_code for route in ROUTES} <= {404, 405}


def test_page_links_to_sign_in(request_page: Any) -> None:
    response = request_page(None, "?connection=gallery&media=1")

    assert "/auth/login?next=%2Fmedia-library%2F%3Fconnection%3Dgallery%26media%3D1" in response.text


def test_connections_include_those_of_database_and_environment(request_page: Any) -> None:
    found = [connection["id"] for connection in request_page("admin", "api/start").json()["connections"]]

    assert {"gallery", "of_environment", "shop"} <= set(found)
    assert "other" not in found
    assert request_page("admin", "api/library/of_environment").json()["total"] == 60


@pytest.mark.parametrize("conn_id", ["other", "no-such"])
def test_connection_of_another_type_is_not_used(conn_id: str, request_page: Any) -> None:
    response = request_page("admin", f"api/library/{conn_id}")

    assert response.status_code == 404
    assert f"found no connection '{conn_id}' of type media" in response.json()["detail"]


def test_the_key_never_leaves_the_server(request_page: Any, gallery: Any) -> None:
    for route in ROUTES:
        response = request_page("admin", route)
        assert gallery.sandbox.api_key not in response.text + str(response.headers)


@pytest.mark.parametrize("route", ["", "api/start", "no-such-route"])
def test_responses_have_a_strict_security_policy(route: str, request_page: Any) -> None:
    headers = request_page("admin", route).headers

    policy = dict(part.split(maxsplit=1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_unresponsive_media_api_does_not_block_airflow(request_page: Any, airflow: Any, shop: Any) -> None:
    """Each page view ends with an error message while Airflow's API responds."""
    conn_ids = [f"late_{number}" for number in range(6)]
    for conn_id in conn_ids:
        airflow.connect(conn_id, shop.sandbox.base_url, shop.sandbox.api_key)
    shop.fail("slow", "GET", delay_seconds=LATE_SECONDS, times=100)
    token = airflow.token("admin")
    start = threading.Barrier(len(conn_ids) + 1)

    def view(conn_id: str) -> requests.Response:
        start.wait()
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{airflow.url}/media-library/api/library/{conn_id}"
        return requests.get(url, headers=headers, timeout=LATE_SECONDS)

    with ThreadPoolExecutor(len(conn_ids)) as pool:
        views = [pool.submit(view, conn_id) for conn_id in conn_ids]
        start.wait()
        completed = [airflow.call("GET", "dags") for _ in range(20)]
        waiting = sum(not each.done() for each in views)
        responses = [each.result() for each in views]
    shop._control("DELETE", "faults")

    assert len(completed) == 20
    assert waiting >= 4
    assert {response.status_code for response in responses} <= {502, 503, 504}
    messages = {response.json()["detail"] for response in responses}
    assert "Too many libraries are being read. Try again in a few seconds." in messages
    assert any("did not respond" in message for message in messages)
