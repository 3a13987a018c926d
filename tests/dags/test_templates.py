"""How arguments are rendered: paths, native objects, names of uploads, and outputs in lists."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.operators.media import (
    MediaCleanupOperator,
    MediaDeleteOperator,
    MediaListOperator,
    MediaSyncOperator,
    MediaUploadOperator,
)
from airflow_provider_media.sensors.media import MediaExistsSensor

CARD = "card-latte.jpg"


def new_dag(name: str, **options: Any) -> Any:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, **options)


@pytest.mark.parametrize("is_native", [False, True])
def test_native_rendering_keeps_strings_and_parses_lists(
    platform: Any, run_dag: Any, media_folder: Path, *, is_native: bool
) -> None:
    params = {"old": "1e5", "keep": 1, "names": ["2026_07", "1e5"], "really": False}
    with new_dag("rendered", render_template_as_native_obj=is_native, params=params) as dag:
        uploads = [
            MediaUploadOperator(task_id=f"upload_{number}", file=str(media_folder / CARD), name=name)
            for number, name in enumerate(["2026_07", "{{ ds_nodash }}", "{{ params.old }}", "[1, 2]", "0x10"])
        ]
        wait = MediaExistsSensor(task_id="wait", names="{{ params.names }}", timeout=2, poke_interval=0.5)
        listed = MediaListOperator(task_id="list", max_items="{{ params.keep }}", sort_by="created_at")
        clean_up = MediaCleanupOperator(
            task_id="clean_up", name="{{ ds_nodash }}", keep_last="{{ params.keep }}", dry_run="{{ params.really }}"
        )
        uploads >> wait >> listed >> clean_up
    run = run_dag(dag)
    assert run.state == "success"
    assert platform.names() == sorted(["2026_07", "20260701", "1e5", "[1, 2]", "0x10"])
    assert [media["name"] for media in run.xcom("wait")] == ["2026_07", "1e5"]
    assert len(run.xcom("list")) == 1
    assert (run.xcom("clean_up")["dry_run"], run.xcom("clean_up")["deleted"]) == (False, [])


@pytest.mark.parametrize("is_mapped", [False, True])
def test_paths_are_rendered(
    platform: Any, run_dag: Any, media_folder: Path, *, is_mapped: bool, tmp_path: Path
) -> None:
    day = tmp_path / "2026-07-01"
    day.mkdir()
    (day / CARD).write_bytes((media_folder / CARD).read_bytes())
    of_day = tmp_path / "{{ ds }}"
    with new_dag("paths", params={"card": CARD}) as dag:
        if is_mapped:
            MediaUploadOperator.partial(task_id="upload").expand(file=[of_day / CARD, of_day / "{{ params.card }}"])
        else:
            MediaUploadOperator(task_id="upload", file=of_day / "{{ params.card }}")
        MediaSyncOperator(task_id="sync", source=of_day, manifest_path=tmp_path / "{{ ds_nodash }}.json")
    run = run_dag(dag)
    assert run.state == "success"
    assert CARD in platform.names()
    assert (tmp_path / "20260701.json").exists()


def test_several_paths_for_one_file_are_refused_with_the_fix(platform: Any, run_dag: Any, caplog: Any) -> None:
    with new_dag("several") as dag:
        MediaUploadOperator(task_id="upload", file=[Path("a"), Path("b")], retries=2)
    run = run_dag(dag)
    assert (run.states["upload"], run.tries["upload"]) == ("failed", 1)


@pytest.mark.parametrize("as_list", [False, True])
def test_the_name_of_an_upload_is_taken_literally(
    platform: Any, run_dag: Any, media_folder: Path, *, as_list: bool
) -> None:
    """Although as a pattern it would match the other file."""
    platform.store(media_folder / CARD, "banner 1.jpg")
    with new_dag("literal") as dag:
        upload = MediaUploadOperator(task_id="upload", file=str(media_folder / CARD), name="banner [1].jpg")
        name = upload.output["name"]
        wait = MediaExistsSensor(task_id="wait", **({"names": [name]} if as_list else {"name": name}), timeout=1)
        clean_up = MediaCleanupOperator(task_id="clean_up", name=name, dry_run=False)
        wait >> clean_up
        # It is gone now, and nothing else may be taken for it.
        clean_up >> MediaCleanupOperator(task_id="again", name=name, dry_run=False)
    run = run_dag(dag)
    assert run.state == "success"
    found = run.xcom("wait")
    assert (found[0] if as_list else found)["name"] == "banner [1].jpg"
    assert platform.names() == ["banner 1.jpg"]
    assert run.xcom("again")["deleted"] == []


def test_outputs_may_be_nested_and_mixed(platform: Any, run_dag: Any, media_folder: Path) -> None:
    with new_dag("mixed") as dag:
        mapped = MediaUploadOperator.partial(task_id="mapped", file=str(media_folder / CARD)).expand(
            name=["a [1]", "b"]
        )
        plain = MediaUploadOperator(task_id="plain", file=str(media_folder / CARD), name="c*")
        sync = MediaSyncOperator(task_id="sync", source=str(media_folder), pattern="*.png", name_template="s/{path}")

        @task
        def names_of(several: Any) -> list[list[str]]:
            return [[name] for name in several]

        names = [mapped.output["name"], plain.output["name"], sync.output]
        by_name = MediaExistsSensor(task_id="by_name", names=names, timeout=2, poke_interval=0.5)
        nested = MediaExistsSensor(
            task_id="nested", names=[names_of(mapped.output["name"])], wildcards=False, timeout=2, poke_interval=0.5
        )
        delete = MediaDeleteOperator(task_id="delete", media_ids=[mapped.output["id"], [plain.output], sync.output])
        [by_name, nested] >> delete
    run = run_dag(dag)
    assert run.state == "success"
    assert [media["name"] for media in run.xcom("by_name")] == ["a [1]", "b", "c*", "s/card-tonic.png"]
    assert [media["name"] for media in run.xcom("nested")] == ["a [1]", "b"]
    assert len(run.xcom("delete")["deleted"]) == 4
    assert platform.names() == []


def test_none_from_an_upstream_task_selects_nothing(platform: Any, run_dag: Any, media_folder: Path) -> None:
    """Members of the kind besides the name: a type, a number of items, an order; plain and mapped."""
    platform.store(media_folder / CARD, "a")
    with new_dag("nothing") as dag:

        @task
        def nothing() -> None:
            return None

        MediaCleanupOperator(task_id="clean_up", mime_type=nothing(), older_than=0.001, dry_run=False, retries=2)
        MediaListOperator(task_id="list", name="a", max_items=nothing())
        MediaSyncOperator(task_id="sync", source=str(media_folder), manifest_path=nothing())
        MediaUploadOperator.partial(task_id="upload", file=str(media_folder / CARD)).expand(name=["b", None])
        MediaUploadOperator(task_id="described", file=str(media_folder / CARD), name="c", description=nothing())
    run = run_dag(dag)
    assert {name: state for name, state in run.states.items() if state != "success"} == dict.fromkeys(
        ("clean_up", "list", "sync", "upload[1]"), "failed"
    )
    assert run.tries["clean_up"] == 1
    assert platform.names() == ["a", "b", "c"]


def test_a_wrong_key_is_reported_as_a_failed_upload(platform: Any, media_folder: Path) -> None:
    from airflow_provider_media.exceptions import MediaAuthError
    from airflow_provider_media.hooks.media import MediaHook

    platform.connect(platform.sandbox.base_url, "wrong-key")
    for if_exists in ("upload", "reuse"):
        with pytest.raises(MediaAuthError, match=r"^Could not upload 'a': "):
            MediaHook().upload(media_folder / CARD, name="a", if_exists=if_exists)
