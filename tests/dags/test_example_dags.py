"""The example DAGs do what they show, on real Airflow."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowSkipException

from tests.dags.helpers.asset_events import forget_events, give_all_events_to_runs, write

if TYPE_CHECKING:
    from pathlib import Path

IS_AIRFLOW_3 = version("apache-airflow").startswith("3.")
HAS_APPROVALS = not version("apache-airflow").startswith(("2.", "3.0."))

EXAMPLES = [
    "example_media_assets",
    "example_media_campaign",
    "example_media_cleanup",
    "example_media_gate",
    "example_media_mapped",
    "example_media_object_storage",
    "example_media_sync",
    "example_media_taskflow",
    "example_media_wait_for_assets",
    pytest.param(
        "example_media_approval",
        marks=pytest.mark.skipif(not HAS_APPROVALS, reason="there are no approvals before Airflow 3.1"),
    ),
    pytest.param(
        "example_media_event_driven",
        marks=pytest.mark.skipif(not IS_AIRFLOW_3, reason="Airflow 2 cannot start DAGs by events"),
    ),
]

UPLOADS = {
    "upload_banner": "banner.jpg",
    "upload_card_latte": "card-latte.jpg",
    "upload_card_cold_brew": "card-cold-brew.jpg",
    "upload_card_tonic": "card-tonic.png",
    "upload_video": "pour.mp4",
}
CAMPAIGN_NAMES = [
    "summer-week-banner-2026-07-01",
    "summer-week-card-cold-brew-2026-07-01",
    "summer-week-card-latte-2026-07-01",
    "summer-week-card-tonic-2026-07-01",
    "summer-week-video-2026-07-01",
]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def all_successful(*tasks: str) -> dict[str, str]:
    return dict.fromkeys(tasks, "success")


def test_campaign_uploads_waits_builds_messages_and_deletes(platform: Any, run_dag: Any, load_example: Any) -> None:
    run = run_dag(load_example("example_media_campaign"))

    expected = all_successful(*UPLOADS, "wait_for_media", "check_before_send", "send_campaign", "delete_media")
    assert expected == run.states
    assert run.state == "success"
    ids = {task: run.xcom(task, "id") for task in UPLOADS}
    messages = run.xcom("send_campaign")
    assert ids["upload_banner"] == messages["rcs"]["richCard"]["media"]["mediaId"]
    cards = [card["media"]["mediaId"] for card in messages["rcs"]["carousel"]["cards"]]
    assert [ids["upload_card_latte"], ids["upload_card_cold_brew"], ids["upload_card_tonic"]] == cards
    assert ids["upload_video"] == messages["whatsapp"]["video"]["id"]
    assert list(ids.values()) == [media["id"] for media in run.xcom("check_before_send")]
    assert sorted(media["name"] for media in run.xcom("wait_for_media")) == CAMPAIGN_NAMES
    assert {"deleted": list(ids.values()), "missing": [], "skipped": []} == run.xcom("delete_media")
    assert platform.items() == []


def test_campaign_stores_exactly_the_local_files(
    platform: Any, run_dag: Any, load_example: Any, media_folder: Path
) -> None:
    run = run_dag(load_example("example_media_campaign"), conf={"keep_media": True})

    assert run.states["delete_media"] == "skipped"
    assert run.state == "success"
    assert platform.names() == CAMPAIGN_NAMES
    for task, file_name in UPLOADS.items():
        local = (media_folder / file_name).read_bytes()
        media = run.xcom(task)
        served = requests.get(media["url"], timeout=10)
        assert sha256(local) == sha256(served.content)
        assert len(local) == media["size"]
        assert served.headers["Content-Type"] == media["mime_type"]


def test_second_run_on_the_same_day_reuses_its_media(platform: Any, run_dag: Any, load_example: Any) -> None:
    first = run_dag(load_example("example_media_campaign"), conf={"keep_media": True})
    first_media = [first.xcom(task) for task in UPLOADS]
    second = run_dag(load_example("example_media_campaign"), conf={"keep_media": True})
    second_media = [second.xcom(task) for task in UPLOADS]

    assert len(UPLOADS) == platform.calls("POST")
    assert platform.names() == CAMPAIGN_NAMES
    assert {True} == {media["created"] for media in first_media}
    assert {False} == {media["created"] for media in second_media}
    assert [media["id"] for media in first_media] == [media["id"] for media in second_media]


def test_teardown_deletes_the_files_of_a_partly_failed_setup(platform: Any, run_dag: Any, load_example: Any) -> None:
    dag = load_example("example_media_campaign")
    dag.get_task("upload_video").file = "no-such-file.mp4"
    run = run_dag(dag)

    assert run.states["upload_video"] == "failed"
    assert run.tries["upload_video"] == 1
    assert run.states["send_campaign"] == "upstream_failed"
    assert run.states["delete_media"] == "success"
    assert run.state == "failed"
    stored = [run.xcom(task, "id") for task in UPLOADS if task != "upload_video"]
    assert stored == run.xcom("delete_media")["deleted"]
    assert platform.items() == []


def test_teardown_deletes_after_a_failed_send(platform: Any, run_dag: Any, load_example: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the platform refuses the message")

    dag = load_example("example_media_campaign")
    dag.get_task("send_campaign").python_callable = fail
    dag.get_task("send_campaign").retries = 0
    run = run_dag(dag)

    assert run.states["send_campaign"] == "failed"
    assert run.states["delete_media"] == "success"
    assert run.state == "failed"
    assert platform.items() == []


def test_media_deleted_before_the_send_stops_the_send(platform: Any, run_dag: Any, load_example: Any) -> None:
    dag = load_example("example_media_campaign")
    # Somebody tidies up after the wait.
    dag.get_task("wait_for_media")._post_execute_hook = lambda *_: platform.delete(platform.items()[0]["id"])
    dag.get_task("check_before_send").timeout = 0.3
    dag.get_task("check_before_send").poke_interval = 0.1
    run = run_dag(dag)

    assert run.states["check_before_send"] == "failed"
    assert run.states["send_campaign"] == "upstream_failed"
    assert run.states["delete_media"] == "success"


def test_mapped_upload_ids_are_used_one_by_one_and_together(platform: Any, run_dag: Any, load_example: Any) -> None:
    run = run_dag(load_example("example_media_mapped"))

    indexed = [f"{task}[{index}]" for task in ("upload_images", "check_images") for index in range(3)]
    assert all_successful("find_images", "build_carousel", *indexed) == run.states
    ids = [run.xcom(f"upload_images[{index}]", "id") for index in range(3)]
    assert ids == [run.xcom(f"check_images[{index}]")["id"] for index in range(3)]
    assert ids == [card["media"]["mediaId"] for card in run.xcom("build_carousel")]
    names = ["mapped-card-cold-brew-2026-07-01", "mapped-card-latte-2026-07-01", "mapped-card-tonic-2026-07-01"]
    assert names == platform.names()
    labels = [run._instances[f"upload_images[{index}]"].rendered_map_index for index in range(3)]
    assert names == labels


def test_sync_uploads_sends_and_deletes_all_files(
    platform: Any, run_dag: Any, load_example: Any, media_folder: Path
) -> None:
    run = run_dag(load_example("example_media_sync"))

    files = sorted(path.name for path in media_folder.iterdir())
    sends = [f"send[{index}]" for index in range(len(files))]
    assert all_successful("sync_media", *sends, "report", "delete_media") == run.states
    manifest = run.xcom("sync_media")
    assert list(manifest) == files
    assert [manifest[file]["name"] for file in files] == [f"summer-week-2026-07-01/{file}" for file in files]
    cards = [run.xcom(task)["richCard"] for task in sends]
    assert [(card["title"], card["media"]["mediaId"]) for card in cards] == [
        (file, manifest[file]["id"]) for file in files
    ]
    assert run.xcom("report") == f"5 messages; the banner is {manifest['banner.jpg']['url']}"
    assert files == [run._instances[task].rendered_map_index for task in sends]
    assert [entry["id"] for entry in manifest.values()] == run.xcom("delete_media")["deleted"]
    assert platform.items() == []


def test_teardown_of_a_sync_deletes_after_a_failed_send(platform: Any, run_dag: Any, load_example: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the platform refuses the message")

    dag = load_example("example_media_sync")
    dag.get_task("report").python_callable = fail
    dag.get_task("report").retries = 0
    run = run_dag(dag)

    assert run.states["report"] == "failed"
    assert run.states["delete_media"] == "success"
    assert platform.items() == []


def test_taskflow_uploads_and_deletes_with_the_hook(platform: Any, run_dag: Any, load_example: Any) -> None:
    run = run_dag(load_example("example_media_taskflow"))

    assert all_successful("upload_banner", "report", "delete_banner") == run.states
    banner = run.xcom("upload_banner")
    assert banner["name"] == "taskflow-banner-2026-07-01"
    assert {"banner": banner["url"], "files_in_library": 1} == run.xcom("report")
    assert platform.items() == []


def autumn_names(ds: str) -> list[str]:
    return [f"autumn-banner-{ds}", *(f"autumn-card-{number}-{ds}" for number in (1, 2, 3))]


def test_campaign_waits_until_all_images_exist(
    platform: Any, run_dag: Any, load_example: Any, media_folder: Path
) -> None:
    dag = load_example("example_media_wait_for_assets")
    dag.get_task("wait_for_images").poke_interval = 0.5
    tomorrow = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0) + timedelta(days=1)
    banner, *cards = autumn_names(tomorrow.date().isoformat())
    platform.store(media_folder / "card-latte.jpg", cards[0])

    def store_the_rest_after_a_poll() -> None:
        for _ in range(400):
            if platform.calls("GET") >= 2:
                break
            threading.Event().wait(0.05)
        for name in (*cards[1:], banner):
            platform.store(media_folder / "card-latte.jpg", name)

    designers = threading.Thread(target=store_the_rest_after_a_poll)
    designers.start()
    run = run_dag(dag, day=tomorrow)
    designers.join()

    assert all_successful("wait_for_images", "send_campaign") == run.states
    assert [media["name"] for media in run.xcom("wait_for_images")] == [banner, *cards]
    message = run.xcom("send_campaign")
    assert message["sendAt"] == tomorrow.replace(hour=18).isoformat()
    ids = {item["name"]: item["id"] for item in platform.items()}
    assert message["richCard"]["media"]["mediaId"] == ids[banner]
    assert [card["media"]["mediaId"] for card in message["carousel"]] == [ids[name] for name in cards]


def test_campaign_without_all_images_fails_before_the_send(
    platform: Any, run_dag: Any, load_example: Any, media_folder: Path
) -> None:
    for name in autumn_names("2026-07-01")[:-1]:
        platform.store(media_folder / "card-latte.jpg", name)
    run = run_dag(load_example("example_media_wait_for_assets"))

    assert run.states == {"wait_for_images": "failed", "send_campaign": "upstream_failed"}
    assert run.tries["wait_for_images"] == 1


@pytest.mark.skipif(not IS_AIRFLOW_3, reason="Airflow 2 cannot start DAGs by events")
def test_image_with_several_events_is_processed_once(load_example: Any, monkeypatch: Any) -> None:
    """The system tests start this example by real events."""
    monkeypatch.setenv("AIRFLOW_VAR_EXAMPLE_MEDIA_EVENT_DRIVEN_SEEN", "[1]")
    events = [SimpleNamespace(extra={"payload": {"id": media_id}}) for media_id in (1, 2, 3, 2)]
    pick_new = load_example("example_media_event_driven").get_task("pick_new").python_callable

    assert pick_new({"images": events[:2], "others": events[2:]}) == [{"id": 2}, {"id": 3}]


@pytest.mark.skipif(not HAS_APPROVALS, reason="there are no approvals before Airflow 3.1")
@pytest.mark.usefixtures("platform")
def test_approval_shows_the_media_before_the_send(run_dag: Any, load_example: Any, approvals: list[str]) -> None:
    run = run_dag(load_example("example_media_approval"))

    assert all_successful("sync", "describe", "approve", "send") == run.states
    assert run.xcom("send") == [entry["id"] for entry in run.xcom("sync").values()]
    (body,) = approvals
    assert body.startswith("**5 files, ")
    assert body.count("![preview](<http://127.0.0.1:") == 4


@pytest.fixture
def approvals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Approve immediately; return the texts. Airflow's own tests cover how an approval waits for a person."""
    bodies: list[str] = []
    if HAS_APPROVALS:
        from airflow.providers.standard.operators.hitl import ApprovalOperator

        monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: bodies.append(self.body))
    return bodies


def test_gate_checks_sends_and_deletes_with_a_backup(
    platform: Any,
    run_dag: Any,
    load_example: Any,
    media_folder: Path,
    tmp_path: Path,
    approvals: list[str],
) -> None:
    dag = load_example("example_media_gate")
    dag.get_task("delete_media").backup_to = str(tmp_path / "backup")
    run = run_dag(dag)

    files = sorted(path.name for path in media_folder.iterdir())
    sends = [f"send[{index}]" for index in range(len(files))]
    approval = ("describe", "approve") if HAS_APPROVALS else ()
    assert all_successful("sync_media", "check_before_send", *approval, *sends, "delete_media") == run.states
    ids = [entry["id"] for entry in run.xcom("sync_media").values()]
    assert [run.xcom(task)["richCard"]["media"]["mediaId"] for task in sends] == ids
    assert [run._instances[task].rendered_map_index for task in sends] == [
        f"summer-gate-2026-07-01/{file}" for file in files
    ]
    assert run.xcom("delete_media")["deleted"] == ids
    assert sum(path.is_file() for path in (tmp_path / "backup").rglob("*")) >= len(files)
    assert platform.items() == []
    if HAS_APPROVALS:
        assert approvals[0].startswith("**5 files, ")


def test_gate_stops_the_send_of_a_file_that_no_channel_accepts(
    platform: Any, run_dag: Any, load_example: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "anim.gif").write_bytes(b"GIF89a\xa0\x05\xd0\x02\0\0\0;")
    dag = load_example("example_media_gate")
    dag.get_task("check_before_send").channels = ["whatsapp"]
    dag.get_task("sync_media").source = str(folder)
    dag.get_task("delete_media").backup_to = str(tmp_path / "backup")
    run = run_dag(dag)

    assert run.states["check_before_send"] == "failed"
    assert run.tries["check_before_send"] == 1
    assert "success" not in {state for task, state in run.states.items() if task.startswith("send")}
    assert run.states["delete_media"] == "success"
    assert platform.items() == []


def test_examples_load_on_both_airflow_versions(load_dags: Any, media_folder: Path) -> None:
    expected = {example if isinstance(example, str) else example.values[0] for example in EXAMPLES}
    expected.add("example_media_assets_send")  # the second DAG of a file
    if not IS_AIRFLOW_3:
        expected.remove("example_media_event_driven")
    if not HAS_APPROVALS:
        expected.remove("example_media_approval")
    assert load_dags(media_folder.parent).keys() == expected


@pytest.fixture
def started_by(run_dag: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a DAG in each of the three ways in which a run starts."""

    def start(kind: str, dag: Any, **options: Any) -> Any:
        if kind == "asset":
            give_all_events_to_runs(monkeypatch)
        return run_dag(dag, has_date=kind == "schedule", **options)

    forget_events()
    return start


@pytest.mark.parametrize(
    "kind",
    [
        "schedule",
        *(
            pytest.param(kind, marks=pytest.mark.skipif(not IS_AIRFLOW_3, reason="on Airflow 2 each run has a date"))
            for kind in ("by hand", "asset")
        ),
    ],
)
class TestEachKindOfRun:
    """Triggered by hand or by an asset, a run of Airflow 3 has no logical date, and so no ``ds``."""

    @pytest.mark.parametrize(
        "dag_id",
        [
            *("example_media_campaign", "example_media_cleanup", "example_media_mapped", "example_media_sync"),
            *("example_media_taskflow", "example_media_assets", "example_media_gate"),
        ],
    )
    @pytest.mark.usefixtures("approvals")
    def test_example(self, kind: str, dag_id: str, platform: Any, started_by: Any, load_example: Any) -> None:
        run = started_by(kind, load_example(dag_id))
        assert run.state == "success"
        assert set(run.states.values()) == {"success"}, run.states

    def test_names_include_the_date(self, kind: str, platform: Any, started_by: Any, load_example: Any) -> None:
        started_by(kind, load_example("example_media_campaign"), conf={"keep_media": True})
        assert platform.names() == CAMPAIGN_NAMES

    def test_wait_for_assets(
        self, kind: str, platform: Any, started_by: Any, load_example: Any, media_folder: Path
    ) -> None:
        tomorrow = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0) + timedelta(days=1)
        for name in autumn_names(tomorrow.date().isoformat()):
            platform.store(media_folder / "card-latte.jpg", name)
        run = started_by(kind, load_example("example_media_wait_for_assets"), day=tomorrow)
        assert all_successful("wait_for_images", "send_campaign") == run.states
        assert run.xcom("send_campaign")["sendAt"] == tomorrow.replace(hour=18).isoformat()

    def test_consumer_of_an_asset(
        self, kind: str, platform: Any, started_by: Any, load_dags: Any, media_folder: Path
    ) -> None:
        dags = load_dags(media_folder.parent / "example_media_assets.py")
        write(*dags.values())
        started_by("schedule", dags["example_media_assets"])
        run = started_by(kind, dags["example_media_assets_send"])
        assert run.state == "success"
        assert set(run.states.values()) == {"success" if kind == "asset" else "skipped"}


def test_consumers_without_events_are_skipped_with_a_reason(load_dags: Any, media_folder: Path) -> None:
    """Triggered by hand, say."""
    consumers = {("example_media_assets_send", "build_message"): {"triggering_asset_events": {}}}
    if not version("apache-airflow").startswith(("2.", "3.0.")):  # 3.0 reads variables only within tasks
        consumers["example_media_event_driven", "pick_new"] = {"triggering_asset_events": None}
    dags = load_dags(media_folder.parent)
    for (dag_id, task), context in consumers.items():
        with pytest.raises(AirflowSkipException, match=r"^This run has no asset events\. [^.]+\.$"):
            dags[dag_id].get_task(task).python_callable(**context)


@pytest.mark.parametrize("dag_id", EXAMPLES)
def test_example_survives_serialization(dag_id: str, load_example: Any) -> None:
    dag = load_example(dag_id)
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialization
    except ImportError:  # Airflow 2
        from airflow.serialization.serialized_objects import SerializedDAG as Serialization

    once = Serialization.to_dict(dag)
    restored = Serialization.from_dict(once)

    assert set(dag.task_ids) == set(restored.task_ids)
    for task in dag.tasks:
        assert task.downstream_task_ids == restored.get_task(task.task_id).downstream_task_ids
        assert task.is_teardown == restored.get_task(task.task_id).is_teardown
    assert once["dag"]["doc_md"] == dag.doc_md
