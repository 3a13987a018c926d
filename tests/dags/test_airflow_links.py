"""The link "Open in media library" of tasks, as soon as they have a file, even if they fail later."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_media.links.media import MediaLink, library_link
from airflow_provider_media.models import Media
from airflow_provider_media.operators.media import MediaGetOperator, MediaSyncOperator, MediaUploadOperator
from airflow_provider_media.sensors.media import MediaExistsSensor
from tests.helpers.doc_samples import ROOT, samples_of

if TYPE_CHECKING:
    from pathlib import Path

HAS_PAGE = not version("apache-airflow").startswith(("2.", "3.0."))
PAGE = "/plugin/media-library"
MODES = pytest.mark.parametrize(
    "mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"]
)


def new_dag(name: str) -> DAG:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)


def link_of(run: Any, task: str) -> str | None:
    """Ask for a task's link as Airflow's web server does: by the serialized DAG."""
    ti = run._instances[task]
    from airflow.serialization import serialized_objects

    # Before Airflow 3.2 the class of what is read also reads it.
    reader: Any = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    reader._load_operator_extra_links = True  # Airflow leaves it off in a process that has cleared a task
    dag = reader.from_dict(reader.to_dict(run.dag))
    link: str | None = dag.get_task(ti.task_id).get_extra_links(ti, MediaLink.name)
    return link or None


def tab_of(run: Any, task_id: str, /, role: str = "OP", **parameters: str) -> Any:
    """Get the page that Airflow 3.4 shows as a tab of a task."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi.testclient import TestClient

    create_auth_manager().init()
    from airflow_provider_media.plugins._app import app

    ti = run._instances[task_id]
    key = {"dag": ti.dag_id, "run": ti.run_id, "task": ti.task_id, "map": "{MAP_INDEX}"}
    app.dependency_overrides = {get_user: lambda: SimpleAuthManagerUser(username="somebody", role=role)}
    try:
        return TestClient(app, follow_redirects=False).get("/task", params=key | parameters)
    finally:
        app.dependency_overrides = {}


def address_of(platform: Any, media_id: int) -> str:
    (url,) = [item["url"] for item in platform.items() if item["id"] == media_id]
    return f"{PAGE}?connection=media_default&media={media_id}" if HAS_PAGE else url


@pytest.fixture
def run(run_dag: Any) -> Any:
    def run(dag: DAG) -> Any:
        run = run_dag(dag)
        run.dag = dag
        return run

    return run


def test_upload_and_get_have_a_link(platform: Any, run: Any, media_folder: Path) -> None:
    with new_dag("link_upload_and_get") as dag:
        upload = MediaUploadOperator(task_id="upload", file=str(media_folder / "banner.jpg"))
        MediaGetOperator(task_id="get", media_id=upload.output["id"])
    done = run(dag)

    expected = address_of(platform, done.xcom("upload", "id"))
    assert {"upload": expected, "get": expected} == {task: link_of(done, task) for task in done.states}
    if HAS_PAGE:
        assert tab_of(done, "get").headers["Location"] == "./?" + expected.partition("?")[2]
        assert tab_of(done, "get", role="VIEWER").status_code == 403
        unknown = [tab_of(done, "get", **other) for other in ({"map": "0"}, {"run": "no"}, {"task": "no"})]
        assert [response.status_code for response in unknown] == [404, 404, 404]


def test_sync_links_to_the_library(platform: Any, run: Any, media_folder: Path) -> None:
    with new_dag("link_sync") as dag:
        MediaSyncOperator(task_id="sync", source=str(media_folder), pattern="card-*", dry_run=True)
    done = run(dag)

    assert link_of(done, "sync") == (f"{PAGE}?connection=media_default" if HAS_PAGE else None)


@MODES
def test_deferred_sensor_has_a_link(mode: dict[str, Any], platform: Any, run: Any, media_folder: Path) -> None:
    media_id = platform.store(media_folder / "banner.jpg", "b")
    platform.add_fault(fault="status", status=503, method="GET", times=1)  # so that the first poll finds nothing
    platform.connect(platform.sandbox.base_url, platform.sandbox.api_key, max_attempts=1)
    with new_dag("link_sensor") as dag:
        MediaExistsSensor(task_id="wait", name="b", poke_interval=0.5, timeout=60, **mode)
    done = run(dag)

    assert done.states == {"wait": "success"}
    assert platform.calls("GET") > 1
    assert link_of(done, "wait") == address_of(platform, media_id)


def test_each_map_index_has_a_link(platform: Any, run: Any, media_folder: Path) -> None:
    with new_dag("link_mapped") as dag:
        files = [str(media_folder / name) for name in ("card-latte.jpg", "card-tonic.png")]
        MediaUploadOperator.partial(task_id="upload").expand(file=files)
    done = run(dag)

    links = [link_of(done, f"upload[{index}]") for index in range(2)]
    assert links == [address_of(platform, done.xcom(f"upload[{index}]", "id")) for index in range(2)]
    assert len(set(links)) == 2
    if HAS_PAGE:
        targets = [tab_of(done, f"upload[{index}]", map=str(index)).headers["Location"] for index in range(2)]
        assert targets == [f"./?{str(link).partition('?')[2]}" for link in links]


def used_once_another_is_there() -> Any:
    """Say "unused" before the upload, "used" after it."""
    results = iter([[], ["the spring campaign"]])
    return lambda _media: next(results)


def test_upload_that_fails_after_storing_has_a_link(platform: Any, run: Any, media_folder: Path) -> None:
    old = platform.store(media_folder / "card-latte.jpg", "banner")
    with new_dag("link_failed") as dag:
        MediaUploadOperator(
            task_id="upload",
            file=str(media_folder / "banner.jpg"),
            name="banner",
            if_exists="replace",
            references=used_once_another_is_there(),
        )
    done = run(dag)

    (new,) = [item["id"] for item in platform.items() if item["id"] != old]
    assert done.states == {"upload": "failed"}
    assert link_of(done, "upload") == address_of(platform, new)


def test_task_without_a_file_has_no_link(platform: Any, run: Any) -> None:
    with new_dag("link_none") as dag:
        MediaGetOperator(task_id="get", media_id=404)
    done = run(dag)

    assert done.states == {"get": "failed"}
    assert link_of(done, "get") is None


def test_an_operator_of_ones_own_has_it_as_the_documentation_shows(
    platform: Any, run: Any, media_folder: Path, load_dag: Any, tmp_path: Path
) -> None:
    media_id = platform.store(media_folder / "banner.jpg", "banner")
    page = ROOT / "docs" / "guides" / "airflow-ui.md"
    (sample,) = (sample for sample in samples_of(page) if sample.tested_by)
    file = tmp_path / "sample.py"
    dag = "\nfrom airflow.providers.common.compat.sdk import DAG\nwith DAG('link_sample', schedule=None):\n"
    file.write_text(f"{sample.code}{dag}    SendOperator(task_id='send', media_id={media_id})\n")
    done = run(load_dag(file, "link_sample"))

    assert done.states == {"send": "success"}
    link = f"{PAGE}?connection=media_default&media={media_id}"
    assert done.xcom("send", "media_link") == (link if HAS_PAGE else address_of(platform, media_id))


class BrokenTask:
    """A task instance that cannot be written of."""

    task: Any = None

    @property
    def dag_id(self) -> str:
        raise ConnectionError("no database")


@cache
def storing_backend() -> tuple[type, dict[str, Any]]:
    """Make an XCom backend that stores each value as an object; once, because Airflow 2 maps the class to its table."""
    xcom: Any = importlib.import_module(XCOM_MODULES[0])
    stored: dict[str, Any] = {}

    class StoringXCom(xcom.BaseXCom):  # type: ignore[misc,name-defined]
        @staticmethod
        def serialize_value(value: Any, *, key: str, **options: Any) -> Any:
            reference = f"stored://{len(stored)}"
            stored[reference] = (key, value)
            return xcom.BaseXCom.serialize_value(reference, key=key, **options)

        @staticmethod
        def deserialize_value(result: Any) -> Any:
            return stored[xcom.BaseXCom.deserialize_value(result)][1]

    return StoringXCom, stored


@pytest.fixture
def stored_objects(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Configure a backend whose objects these are; the database has references to them."""
    backend, stored = storing_backend()
    stored.clear()
    for name in XCOM_MODULES[1:]:
        monkeypatch.setattr(f"{name}.XCom", backend)
    return stored


XCOM_MODULES = (
    ("airflow.models.xcom", "airflow.models.xcom", "airflow.models.taskinstance")
    if version("apache-airflow").startswith("2.")
    else ("airflow.sdk.bases.xcom", "airflow.sdk.execution_time.xcom", "airflow.sdk.execution_time.task_runner")
)
"""Where BaseXCom is, and where the configured backend."""


@MODES
def test_link_bypasses_the_xcom_backend(
    mode: dict[str, Any],
    platform: Any,
    run: Any,
    media_folder: Path,
    stored_objects: dict[str, Any],
) -> None:
    with new_dag("link_backend") as dag:
        upload = MediaUploadOperator(task_id="upload", file=str(media_folder / "banner.jpg"), name="b")
        wait = MediaExistsSensor(task_id="wait", name="b", poke_interval=0.5, timeout=60, **mode)
        upload >> wait >> MediaSyncOperator(task_id="sync", source=str(media_folder), pattern="card-*", dry_run=True)
    done = run(dag)

    assert set(done.states.values()) == {"success"}
    assert {"id", "return_value"} <= {key for key, _ in stored_objects.values()}
    assert "media_link" not in {key for key, _ in stored_objects.values()}
    link = address_of(platform, platform.items()[0]["id"])
    assert (link_of(done, "upload"), link_of(done, "wait")) == (link, link)


def test_failure_to_store_the_link_does_not_fail_the_task(caplog: pytest.LogCaptureFixture) -> None:
    MediaLink.persist({"ti": BrokenTask()}, "http://airflow.example/media-library/")  # type: ignore[typeddict-item]

    assert "link" in caplog.text


@pytest.mark.skipif(not HAS_PAGE, reason="Airflow 2 has no page")
def test_link_uses_the_configured_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/prod/")

    assert library_link("a b", Media(id="med_1&x")) == (
        f"https://airflow.example/prod{PAGE}?connection=a+b&media=med_1%26x"
    )
    assert library_link("shop") == f"https://airflow.example/prod{PAGE}?connection=shop"


@pytest.mark.skipif(HAS_PAGE, reason="Airflow 3 has a page of ours")
def test_without_the_page_only_http_urls_are_links() -> None:
    assert library_link("shop", Media(id=1, url="javascript:alert(1)")) is None
    assert library_link("shop") is None
