"""The example with a bucket, on real Airflow: through an Airflow connection from an S3-speaking server over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.contract.helpers.object_store import BUCKET, ObjectStore, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Warnings of Airflow's Amazon provider and botocore are not about this package.
pytestmark = pytest.mark.filterwarnings("ignore")

FILES = {
    "banner.jpg": "banner.jpg",
    "cards/latte.jpg": "card-latte.jpg",
    "cards/tonic.png": "card-tonic.png",
    "pour.mp4": "pour.mp4",
}


@pytest.fixture(scope="session")
def running_store() -> Iterator[ObjectStore]:
    """One for all tests: Airflow keeps a connection's file system for the process's lifetime."""
    with serve() as store:
        yield store


@pytest.fixture
def store(running_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, media_folder: Path) -> ObjectStore:
    """A bucket as designers keep it; the Airflow connection to it is ``aws_default``."""
    store = running_store.emptied()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", store.connection)
    store.put("summer/", b"")
    for key, file in FILES.items():
        store.put(f"summer/{key}", (media_folder / file).read_bytes())
    store.put("winter/banner.jpg", (media_folder / "banner.jpg").read_bytes())
    return store


def test_a_campaign_sends_what_its_prefix_holds(
    platform: Any, run_dag: Any, load_example: Any, store: ObjectStore, media_folder: Path
) -> None:
    run = run_dag(load_example("example_media_object_storage"))

    assert run.states == dict.fromkeys(("sync", "check_before_send", "send_campaign"), "success")
    manifest = run.xcom("sync")
    assert list(manifest) == list(FILES)
    assert platform.names() == [f"summer/{key}" for key in FILES]
    for key, file in FILES.items():
        assert requests.get(manifest[key]["url"], timeout=10).content == (media_folder / file).read_bytes()
    assert [media["id"] for media in run.xcom("check_before_send")] == [entry["id"] for entry in manifest.values()]
    message = run.xcom("send_campaign")
    assert message["richCard"]["media"]["mediaId"] == manifest["banner.jpg"]["id"]
    cards = [manifest[key]["id"] for key in ("cards/latte.jpg", "cards/tonic.png")]
    assert [card["media"]["mediaId"] for card in message["carousel"]] == cards


def test_a_later_run_sends_only_what_changed_in_the_bucket(
    platform: Any, run_dag: Any, load_example: Any, store: ObjectStore, media_folder: Path
) -> None:
    dag = load_example("example_media_object_storage")
    before = run_dag(dag).xcom("sync")
    store.put("summer/banner.jpg", (media_folder / "card-latte.jpg").read_bytes())
    after = run_dag(dag, conf={"prefix": f"s3://aws_default@{BUCKET}/summer/"}).xcom("sync")

    assert {path: entry["action"] for path, entry in after.items()} == {
        **dict.fromkeys(FILES, "keep"),
        "banner.jpg": "replace",
    }
    assert platform.calls("POST") == len(FILES) + 1
    assert platform.names() == [f"summer/{key}" for key in FILES]
    assert after["pour.mp4"]["id"] == before["pour.mp4"]["id"]
