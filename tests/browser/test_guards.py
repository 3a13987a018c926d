"""Who may see the Media library page; what its server gives out; and that it holds up nobody."""

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
    "api/connections",
    "api/library/gallery",
    "api/library/no-such",
    "api/entry/gallery?media=1",
    "docs",
    "openapi.json",
    "no-such-route",
]
LATE_SECONDS = 30


def test_all_routes_are_among_those_tested() -> None:
    """A route counts as tested by an address that the app itself would lead to it, before all others."""
    from airflow_provider_media.plugins._app import app

    tested = set()
    for address in ROUTES:
        path = f"/{address.partition('?')[0]}"
        tested.add(next((route.path for route in app.routes if route.path_regex.match(path)), None))
    assert tested == {route.path for route in app.routes} | {None}
    assert [route.path for route in app.routes if route.methods != {"GET"}] == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.partition("/")[0] in {"", "api", "assets"}])
def test_nobody_gets_401_and_who_may_not_read_connections_403(route: str, ask: Any) -> None:
    assert [ask(None, route).status_code, ask("viewer", route).status_code] == [401, 403]


@pytest.mark.parametrize("route", ["docs", "openapi.json", "no-such-route"])
def test_nothing_else_is_served(route: str, ask: Any) -> None:
    assert ask("admin", route).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(method: str, ask: Any) -> None:
    assert {ask("admin", route, method).status_code for route in ROUTES} <= {404, 405}


def test_who_is_not_signed_in_is_shown_the_way(ask: Any) -> None:
    answer = ask(None, "?connection=gallery&media=1")

    assert "/auth/login?next=" in answer.text
    assert "media%3D1" in answer.text


def test_a_reader_gets_the_media_connections_of_database_and_environment(ask: Any) -> None:
    found = [connection["id"] for connection in ask("admin", "api/connections").json()]

    assert {"gallery", "of_environment", "shop"} <= set(found)
    assert "other" not in found
    assert ask("admin", "api/library/of_environment").json()["found"] == 60


@pytest.mark.parametrize("conn_id", ["other", "no-such"])
def test_a_connection_of_another_type_is_not_used(conn_id: str, ask: Any) -> None:
    answer = ask("admin", f"api/library/{conn_id}")

    assert answer.status_code == 404
    assert f"can read no connection '{conn_id}' of the type media" in answer.json()["detail"]


def test_the_key_never_leaves_the_server(ask: Any, gallery: Any) -> None:
    for route in ROUTES:
        answer = ask("admin", route)
        assert gallery.sandbox.api_key not in answer.text + str(answer.headers)


@pytest.mark.parametrize("route", ["", "api/connections", "no-such-route"])
def test_answers_bear_a_strict_policy(route: str, ask: Any) -> None:
    headers = ask("admin", route).headers

    policy = dict(part.split(maxsplit=1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_media_api_that_does_not_answer_holds_up_nobody(ask: Any, airflow: Any, shop: Any) -> None:
    """Every page view ends with a sentence; meanwhile Airflow answers as ever."""
    conn_ids = [f"late_{number}" for number in range(6)]
    for conn_id in conn_ids:
        airflow.connect(conn_id, shop.sandbox.base_url, shop.sandbox.api_key)
    shop.fail("slow", "GET", delay_seconds=LATE_SECONDS, times=100)
    token = airflow.token("admin")
    began = threading.Barrier(len(conn_ids) + 1)

    def look(conn_id: str) -> requests.Response:
        began.wait()
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{airflow.url}/media-library/api/library/{conn_id}"
        return requests.get(url, headers=headers, timeout=LATE_SECONDS)

    with ThreadPoolExecutor(len(conn_ids)) as pool:
        looks = [pool.submit(look, conn_id) for conn_id in conn_ids]
        began.wait()
        answered = [airflow.call("GET", "dags") for _ in range(20)]
        waiting = sum(not each.done() for each in looks)
        answers = [each.result() for each in looks]
    shop._control("DELETE", "faults")

    assert len(answered) == 20
    assert waiting >= 4
    assert {answer.status_code for answer in answers} <= {502, 503, 504}
    sentences = {answer.json()["detail"] for answer in answers}
    assert "Too many libraries are being read at this moment: try again in a few seconds." in sentences
    assert any("did not answer" in sentence for sentence in sentences)
