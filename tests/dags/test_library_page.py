"""Access checks of the Media Library page's routes, on every Airflow that supports the page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import airflow
import pytest

if tuple(map(int, airflow.__version__.split(".")[:2])) < (3, 1):
    pytest.skip("there is no place for the page before Airflow 3.1", allow_module_level=True)

from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PNG = b"\x89PNG\r\n\x1a\n"
PARAMETERS = {"name": "library.js", "connection_id:path": "media_default"}

OF_ENVIRONMENT = {
    "json": '{"conn_type": "media", "password": "secret-key"}',
    "json_blanks": ' \n {"conn_type": "media"}\n',
    "json_capitals": '{"conn_type": "MEDIA"}',
    "json_no_type": '{"host": "media.example"}',
    "json_uri": '{"uri": "media://media.example"}',
    "json_broken": '{"conn_type": "media"',
    "json_list": '["media"]',
    "json_number": '{"uri": 5}',
    "uri": "media://:secret-key@media.example",
    "uri_blanks": " media://media.example\n",
    "uri_capitals": "MEDIA://media.example",
    "uri_bare": "media:",
    "uri_broken": "media://[media.example",
    "uri_other": "http://media",
    "word": "media",
}
"""What a connection may be defined as in the environment, and may not."""


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    create_auth_manager().init()
    from airflow_provider_media.plugins._app import app

    yield app
    app.dependency_overrides.clear()


@pytest.fixture
def client(app: Any) -> Iterator[TestClient]:
    """Call the app in one event loop; with a loop for each request, the end of a request would cancel a read."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def sign_in(app: Any) -> Callable[[str], None]:
    from airflow.api_fastapi.core_api.security import get_user

    app.dependency_overrides.clear()

    def sign_in(role: str) -> None:
        app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="somebody", role=role)

    return sign_in


def calls(app: Any) -> list[tuple[str, str]]:
    """Give a call of every route: method and address."""
    assert all(isinstance(route, APIRoute) for route in app.routes)  # nothing that the app's guard would not reach
    found = [(method, route.path) for route in app.routes for method in route.methods]
    for name, value in PARAMETERS.items():
        found = [(method, path.replace(f"{{{name}}}", value)) for method, path in found]
    assert not [path for _, path in found if "{" in path], "a route has a parameter that PARAMETERS lacks"
    return found


def test_app_serves_only_these_get_routes(app: Any) -> None:
    assert sorted(calls(app)) == [
        ("GET", "/"),
        ("GET", "/api/entry/media_default"),
        ("GET", "/api/library/media_default"),
        ("GET", "/api/start"),
        ("GET", "/api/uses/media_default"),
        ("GET", "/assets/library.js"),
        ("GET", "/task"),
    ]


def test_routes_require_permission_to_read_connections(
    app: Any, client: TestClient, sign_in: Callable[[str], None], platform: Any
) -> None:
    assert {call: client.request(*call).status_code for call in calls(app)} == dict.fromkeys(calls(app), 401)
    for role in ("VIEWER", "USER"):
        sign_in(role)
        assert {call: client.request(*call).status_code for call in calls(app)} == dict.fromkeys(calls(app), 403)
    assert platform.calls("GET") == 0


def test_signed_in_users_may_read_if_the_configuration_says_so(
    app: Any, client: TestClient, sign_in: Callable[[str], None], platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__MEDIA__PAGE_READERS", "signed_in")
    assert {client.request(*call).status_code for call in calls(app)} == {401}
    sign_in("VIEWER")
    assert client.get("/").status_code == 200
    assert "media_default" in [connection["id"] for connection in client.get("/api/start").json()["connections"]]
    monkeypatch.setenv("AIRFLOW__MEDIA__PAGE_READERS", "everyone")
    assert client.get("/").status_code == 403


def test_forbidden_page_names_the_missing_permission(client: TestClient, sign_in: Callable[[str], None]) -> None:
    sign_in("VIEWER")
    response = client.get("/")
    assert "can read on Connections" in response.text
    assert "style-src 'nonce-" in response.headers["Content-Security-Policy"]


def test_sign_in_link_is_a_path(app: Any, client: TestClient) -> None:
    app.dependency_overrides.clear()
    page = client.get("/?connection=a&media=1", headers={"Host": "evil.example"})
    assert 'href="/auth/' in page.text
    if get_base_airflow_version_tuple() >= (3, 3):  # before, the simple auth manager returns no address to continue at
        assert "next=%2F%3Fconnection%3Da%26media%3D1" in page.text
    assert "evil" not in page.text
    expired = client.get("/api/start", headers={"Host": "evil.example"}).json()["sign_in"]
    assert expired.startswith("/auth/")


def test_permitted_user_gets_connections_and_library(
    client: TestClient, sign_in: Callable[[str], None], platform: Any, media_folder: Any
) -> None:
    platform.store(media_folder / "banner.jpg", "banner")
    sign_in("OP")
    assert client.get("/").status_code == 200
    assert "media_default" in [connection["id"] for connection in client.get("/api/start").json()["connections"]]
    shown = client.get("/api/library/media_default", params={"fresh": True})
    assert [item["name"] for item in shown.json()["items"]] == ["banner"]
    assert platform.sandbox.api_key not in shown.text


def test_ids_are_strings_because_browsers_round_large_integers(
    client: TestClient, sign_in: Callable[[str], None], platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LARGE_IDS", os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"])  # nobody has read it yet
    large = {"id": 2**53 + 1, "folderId": 2**53 + 3, "mimeType": "image/png"}
    plain = {"id": "med_1", "mimeType": "image/png"}
    last_page = {"content": [], "totalElements": 2}
    for body in ({"content": [large, plain], "totalElements": 2}, last_page, large):
        platform.add_fault(fault="status", method="GET", status=200, body=body)
    sign_in("OP")
    first, last = (client.get("/api/library/large_ids", params={"part": number}).json() for number in range(2))
    listed = first["items"] + last["items"]
    single = client.get("/api/entry/large_ids", params={"media": "9007199254740993"}).json()

    expected = [("9007199254740993", "9007199254740995"), ("med_1", None)]
    assert [(media["id"], media.get("folder_id")) for media in listed] == expected
    assert (single["id"], single["folder_id"]) == expected[0]


def test_environment_connections_match_those_of_airflow(
    client: TestClient, sign_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models import Connection

    def is_media(name: str) -> bool:
        try:
            found = Connection.get_connection_from_secrets(name)  # noqa: AIR311 - the server's own class
        except AirflowNotFoundException:  # none of Airflow's backends could read it
            return False
        return bool((found.conn_type or "").lower() == "media")

    for name, value in OF_ENVIRONMENT.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)
    expected = {name for name in OF_ENVIRONMENT if is_media(name)}
    assert {"json", "json_blanks", "json_capitals", "uri_capitals"} <= expected

    sign_in("OP")
    listed = {connection["id"] for connection in client.get("/api/start").json()["connections"]}
    assert listed & set(OF_ENVIRONMENT) == expected


def test_missing_secrets_backend_is_reported(
    client: TestClient, sign_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "no_such_module.Backend")
    sign_in("OP")
    response = client.get("/api/library/of_the_vault", params={"fresh": True})
    assert response.status_code == 503
    assert response.json() == {"detail": "Could not read the connection 'of_the_vault'. Check the API server's log."}


def test_name_truncated_within_an_emoji_is_encoded() -> None:
    from airflow_provider_media.plugins._app import _Json

    assert _Json({"name": "cut \ud83d"}).body == rb'{"name":"cut \ud83d"}'


def test_other_errors_are_json(client: TestClient, sign_in: Callable[[str], None]) -> None:
    sign_in("VIEWER")
    response = client.post("/")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET")
    assert response.json() == {"detail": "Method Not Allowed"}
