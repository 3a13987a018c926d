"""What a sync hands on: the manifest by itself, in a file, in the asset's event."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaConfigurationError, MediaError
from tests.contract.helpers.syncing import Folder, Syncing
from tests.helpers.warm_python import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.helpers.sandbox_library import SandboxLibrary


@pytest.fixture
def sync(folder: Folder, connect: Any, library: SandboxLibrary) -> Syncing:
    return Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_reference_writes_the_manifest_and_returns_where(
    scheme: str, folder: Folder, sync: Syncing, tmp_path: Path
) -> None:
    folder.write("banner.png", "latte.png")
    written = tmp_path / "manifests" / "today.json"
    if scheme:
        written.parent.mkdir()
    result = sync(output="reference", manifest_path=f"{scheme}{written}")

    assert result["counts"] == {"create": 2, "replace": 0, "keep": 0, "failed": 0}
    assert result["manifest_path"].endswith(str(written))
    manifest = json.loads(written.read_text())
    assert manifest == {path: entry | {"action": "create"} for path, entry in sync().items()}
    assert [path.name for path in written.parent.iterdir()] == ["today.json"]


def test_a_path_writes_the_returned_manifest_too(folder: Folder, sync: Syncing, tmp_path: Path) -> None:
    folder.write("banner.png")
    manifest = sync(manifest_path=str(tmp_path / "manifest.json"))
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("summer/banner.png", "it is one of the files to sync"),
        ("summer", "it is a folder"),
        ("note/today.json", "Not a directory|File exists"),
        ("None", "must not be 'None'"),
    ],
)
def test_an_unwritable_manifest_is_refused_before_the_first_upload(
    path: str, reason: str, folder: Folder, sync: Syncing, library: SandboxLibrary, tmp_path: Path
) -> None:
    folder.write("banner.png")
    (tmp_path / "note").write_text("a file")
    with pytest.raises(MediaConfigurationError, match=f"manifest_path.*{reason}"):
        sync(output="reference", manifest_path=path if path == "None" else str(tmp_path / path))
    assert library.journal() == []


def test_a_manifest_that_fails_to_be_written_is_one_sentence(
    folder: Folder, sync: Syncing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("banner.png")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(MediaError, match=r"^Could not write the manifest to '.*manifest\.json': disk full\.$"):
        sync(manifest_path=str(tmp_path / "manifest.json"))


@pytest.mark.parametrize("source", ["", "file://"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_manifest_among_the_files_is_refused(source: str, scheme: str, folder: Folder, sync: Syncing) -> None:
    folder.write("banner.png")
    with pytest.raises(MediaConfigurationError, match="it is one of the files to sync"):
        sync(source=f"{source}{folder.root}", manifest_path=f"{scheme}{folder.root / 'banner.png'}")


class Events:
    """The accessor of one outlet's event; Airflow's is no dict either, and before 3.1 an asset cannot be hashed."""

    def __init__(self, outlet: object, event: object) -> None:
        self._outlet = outlet
        self._event = event

    def __getitem__(self, outlet: object) -> object:
        assert outlet == self._outlet
        return self._event


def test_the_event_of_an_outlet_has_counts_and_the_manifest(folder: Folder, sync: Syncing, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from airflow.providers.common.compat.sdk import Asset

    asset = Asset("x://campaign/media")
    folder.write("banner.png")
    event = SimpleNamespace(extra={})
    operator = sync.operator(outlets=[asset], output="reference", manifest_path=str(tmp_path / "m.json"))
    operator.execute({"outlet_events": Events(asset, event)})  # type: ignore[typeddict-item]

    assert event.extra == {
        "counts": {"create": 1, "replace": 0, "keep": 0, "failed": 0},
        "manifest_path": str(tmp_path / "m.json"),
    }

    event.extra = {"campaign": "summer"}
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="sync", map_index=-1)
    sync.operator(outlets=[asset]).execute({"outlet_events": Events(asset, event), "ti": ti})  # type: ignore[typeddict-item]
    assert event.extra == {
        "campaign": "summer",
        "counts": {"create": 0, "replace": 0, "keep": 1, "failed": 0},
        "manifest_xcom": {"dag_id": "d", "run_id": "r", "task_ids": "sync", "map_indexes": -1},
    }


MEASURED = """
import resource, sys
from pathlib import Path
from airflow_provider_media.operators.media import MediaSyncOperator

def sync(count):
    folder = Path(sys.argv[1]) / str(count)
    folder.mkdir()
    for number in range(count):
        (folder / f"{count}-{number:05}.png").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + b"p" * 100)
    operator = MediaSyncOperator(
        task_id="sync",
        source=str(folder),
        media_conn_id="media_many",
        output="reference",
        manifest_path=sys.argv[1] + f"/{count}.json",
    )
    return operator.execute({})["counts"]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

sync(10)
before = peak()
print(sync(int(sys.argv[2]))["create"], peak() - before)
"""


def test_thousands_of_files_take_little_memory(
    library: SandboxLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand take 40 MiB and 40 s on two cores; 500 will do for a test."""
    files = 500
    connection = {"conn_type": "media", "host": library.sandbox.base_url, "password": "key-of-the-tests"}
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_MANY", json.dumps(connection))
    done = run(MEASURED, tmp_path, str(files))

    assert done.returncode == 0, done.stderr
    created, grew_mib = map(int, done.stdout.splitlines()[-1].split())
    manifest = json.loads((tmp_path / f"{files}.json").read_text())
    assert (created, len(manifest)) == (files, files)
    assert grew_mib < 10


def test_a_manifest_is_written_through_a_link(folder: Folder, sync: Syncing, tmp_path: Path) -> None:
    folder.write("banner.png")
    target, link = tmp_path / "year" / "manifest.json", tmp_path / "manifest.json"
    link.symlink_to(target)
    sync(manifest_path=str(link))
    assert link.is_symlink()
    assert json.loads(target.read_text()).keys() == {"banner.png"}


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_manifest_that_is_a_pipe_does_not_block(
    folder: Folder, sync: Syncing, tmp_path: Path, *, dry_run: bool
) -> None:
    folder.write("banner.png")
    os.mkfifo(tmp_path / "pipe")
    if dry_run:
        assert sync(manifest_path=str(tmp_path / "pipe"), dry_run=True)["counts"]["create"] == 1
    else:
        with pytest.raises(MediaConfigurationError, match=r"manifest_path='.*' cannot be written: it is a pipe"):
            sync(manifest_path=str(tmp_path / "pipe"))
