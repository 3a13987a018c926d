"""An upload reports its file and media to Airflow's lineage; a plugin reads them like a lineage backend."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._airflow import assets as _lineage
from tests.helpers.warm_python import run

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PLUGIN = """
from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.sdk import HookLineageReader

class Readers(AirflowPlugin):
    name = "readers"
    hook_lineage_readers = [HookLineageReader]
"""

UPLOAD = """
import json, sys
from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
from airflow_provider_media.hooks.media import MediaHook
from airflow_provider_media.operators.media import MediaSyncOperator

hook = MediaHook("media_lineage")
for number in (1, 2):
    hook.upload(sys.argv[1], name="Summer/Banner", if_exists="reuse")
MediaSyncOperator(task_id="sync", source=sys.argv[2], media_conn_id="media_lineage").execute({})
collector = get_hook_lineage_collector()
made = {"media_conn_id": "other", "name": "by the factory"}
collector.add_output_asset(context=None, scheme="media", asset_kwargs=made)
found = collector.collected_assets
reported = [[[lineage.asset.uri, lineage.asset.extra] for lineage in side] for side in (found.inputs, found.outputs)]
print()
print(json.dumps(reported))
"""


@pytest.fixture
def lineage_home(tmp_path: Path) -> Path:
    """A home of Airflow with a plugin that reads lineage."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "readers.py").write_text(PLUGIN)
    return tmp_path


def test_a_reader_finds_the_file_as_input_and_the_media_as_output(
    library: SandboxLibrary, image: Path, lineage_home: Path
) -> None:
    connection = {"conn_type": "media", "host": library.sandbox.base_url, "password": library.sandbox.api_key}
    environment = {
        **os.environ,
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(lineage_home / "plugins"),
        "AIRFLOW_CONN_MEDIA_LINEAGE": json.dumps(connection),
    }
    folder = lineage_home / "campaign"
    folder.mkdir()
    card = folder / "card 1.png"
    card.write_bytes(image.read_bytes())
    done = run(UPLOAD, image, folder, env=environment)
    assert done.returncode == 0, done.stderr
    inputs, outputs = json.loads(done.stdout.splitlines()[-1])

    assert [uri for uri, _ in inputs] == [image.as_uri(), card.as_uri()]
    expected = [
        [uri, {"id": stored["id"], "name": stored["name"], "url": stored["url"], "type": "image/png", "size": 5008}]
        for uri, stored in zip(
            ["media://media_lineage/Summer%2FBanner", "media://media_lineage/card%201.png"],
            library.files(),
            strict=True,
        )
    ]
    assert outputs[:2] == expected
    assert outputs[-1][0] == "media://other/by%20the%20factory"


def test_lineage_that_breaks_does_not_fail_the_upload(
    hook: MediaHook, image: Path, library: SandboxLibrary, monkeypatch: Any, caplog: Any
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a plugin's own fault")

    monkeypatch.setattr(_lineage, "file_uri", broken)
    media = hook.upload(image).media

    assert [stored["id"] for stored in library.files()] == [media.id]
    assert f"Could not report the lineage of the upload {media.id!r}" in caplog.text


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("s3://a_connection@bucket/folder/a@b c.png", "s3://bucket/folder/a@b c.png"),
        ("s3://bucket/été.png", "s3://bucket/%C3%A9t%C3%A9.png"),
        ("file:///data/banner.png", "file:///data/banner.png"),
    ],
)
def test_object_is_reported_without_its_connection(path: str, uri: str) -> None:
    assert _lineage.file_uri(path) == uri


def test_absolute_path_is_reported_and_bytes_are_not(image: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(image.parent)
    assert _lineage.file_uri(image.name) == image.as_uri()
    with image.open("rb") as stream:
        assert _lineage.file_uri(stream) == image.as_uri()
    assert _lineage.file_uri(io.BytesIO(b"x")) is None
