"""Test uploads from an S3 object store: in constant memory, without a copy on disk."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._sync.manifest import read_receipts, write_manifest
from airflow_provider_media.exceptions import MediaFileError, MediaUnavailableError
from airflow_provider_media.hooks._base import as_path
from airflow_provider_media.models import Media
from airflow_provider_media.operators.media import MediaSyncOperator, MediaUploadOperator
from airflow_provider_media.references import ListedReferences
from tests.contract.helpers.object_store import BUCKET, ObjectStore, serve
from tests.contract.helpers.raw_server import RawServer, http_response
from tests.contract.helpers.sandbox_library import sha256_of
from tests.contract.helpers.upload_task import UploadTask
from tests.helpers.warm_python import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"
SMALL_BYTES = 8 * 1024 * 1024
"""More than one read, so that the small upload has allocated as much as any upload."""

BIG_BYTES = 96 * 1024 * 1024
MP4 = Path(__file__).parents[1] / "unit" / "media" / "h264-aac.mp4"
ALLOWED_GROWTH_BYTES = 12 * 1024 * 1024

# Warnings of Airflow's Amazon provider and botocore.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="session")
def running_store() -> Iterator[ObjectStore]:
    with serve() as store:
        yield store


@pytest.fixture
def store(running_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An empty object store with the Airflow connection ``aws_campaigns``."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_CAMPAIGNS", running_store.connection)
    return running_store.emptied()


def uri(key: str) -> str:
    return f"s3://aws_campaigns@{BUCKET}/{key}"


@pytest.mark.parametrize("key", ["summer/banner.png", "sp ace #1%2F.png", "Frühling 🎉.png"])
def test_an_object_is_uploaded_completely(
    hook: MediaHook, library: SandboxLibrary, store: ObjectStore, key: str
) -> None:
    content = PNG + os.urandom(6 * 1024 * 1024)
    store.put(key, content)
    media = hook.upload(uri(key)).media
    assert media.name == key.rpartition("/")[2]
    assert sha256_of(str(media.url)) == sha256_of(content)
    assert len(library.files()) == 1


def test_an_operator_uploads_a_templated_object_path(
    define: Callable[..., str], library: SandboxLibrary, store: ObjectStore
) -> None:
    store.put("2026-07-01/banner.png", PNG + b"x")
    upload = MediaUploadOperator(
        task_id="upload", file=uri("{{ ds }}/banner.png"), media_conn_id=define(), do_xcom_push=False
    )
    upload.render_template_fields({"ds": "2026-07-01"})
    assert upload.execute({})["created"] is True
    assert [file["name"] for file in library.files()] == ["banner.png"]


def test_a_retry_reads_the_object_again(hook: MediaHook, library: SandboxLibrary, store: ObjectStore) -> None:
    content = PNG + os.urandom(3_000_000)
    store.put("banner.png", content)
    library.fail("status", status=503)
    media = hook.upload(uri("banner.png")).media
    assert library.count("POST") == 2
    assert sha256_of(str(media.url)) == sha256_of(content)


def test_an_object_replaced_between_attempts_is_not_uploaded(
    raw_server: Callable[..., RawServer], connect: Callable[..., MediaHook], store: ObjectStore
) -> None:
    store.put("banner.png", PNG + b"the first")

    def replace_and_fail(head: str) -> bytes:
        if head.startswith("GET"):
            return http_response(200, [])
        store.put("banner.png", PNG + b"the other")
        return http_response(503, {})

    server = raw_server(replace_and_fail)
    with pytest.raises(MediaFileError, match=r"banner\.png' cannot be uploaded: it changed while it was being sent"):
        connect(server.url).upload(uri("banner.png"))


def test_an_object_deleted_between_attempts_raises_one_sentence(
    raw_server: Callable[..., RawServer], connect: Callable[..., MediaHook], store: ObjectStore
) -> None:
    store.put("banner.png", PNG + b"x")

    def empty_and_fail(head: str) -> bytes:
        if head.startswith("GET"):
            return http_response(200, [])
        store.emptied()
        return http_response(503, {})

    server = raw_server(empty_and_fail)
    with pytest.raises(MediaFileError, match=r"banner\.png' cannot be uploaded: it does not exist\.$"):
        connect(server.url).upload(uri("banner.png"))


@pytest.fixture
def sync(define: Callable[..., str]) -> Callable[..., Counter[str]]:
    """Sync a prefix of the bucket as a task does, and count the actions."""

    def run(prefix: str) -> Counter[str]:
        operator = MediaSyncOperator(task_id="sync", source=uri(prefix), media_conn_id=define())
        return Counter(entry["action"] for entry in operator.execute({}).values())

    return run


@pytest.mark.parametrize("is_versioned", [False, True])
def test_every_sync_of_a_prefix_lists_the_current_objects(
    sync: Callable[..., Counter[str]], library: SandboxLibrary, store: ObjectStore, *, is_versioned: bool
) -> None:
    if is_versioned:  # can only be suspended, not undone, so the bucket's listing still has no versions
        store.set_versioning("Enabled")
    store.put("summer/", b"")
    for key in ("summer/banner.png", "summer/cards/latte.png", "winter.png"):
        store.put(key, PNG + key.encode())
    assert sync("summer") == {"create": 2}
    assert sorted(file["name"] for file in library.files()) == ["banner.png", "cards/latte.png"]
    assert sync("summer") == {"keep": 2}
    store.put("summer/banner.png", PNG + b"another size")
    store.put("summer/cards/tonic.png", PNG + b"new")
    assert sync("summer/") == {"replace": 1, "create": 1, "keep": 1}
    store.set_versioning("Suspended")


def test_a_listing_has_the_sizes_of_all_files(
    sync: Callable[..., Counter[str]], library: SandboxLibrary, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    asked: list[str] = []
    ask = s3fs.S3FileSystem._call_s3

    async def note(self: Any, method: str, *arguments: Any, **options: Any) -> Any:
        asked.append(method)
        return await ask(self, method, *arguments, **options)

    for number in range(10):
        store.put(f"summer/{number}.png", PNG + b"x" * number)
    sync("summer")
    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", note)
    assert sync("summer") == {"keep": 10}
    listings = Counter(list_objects_v2=1)  # s3fs of 2025 lists in another way, which is not counted
    # The first bytes show the type; a second request reads the headers, which the first file lacks.
    assert Counter(asked) - listings == {"get_object": 19}


ODD_KEYS = (
    "a//b.png",
    "a/b.png",
    "/lead.png",
    "../up.png",
    "a/../b.png",
    "./dot.png",
    "blank.png ",
    "q?#.png",
    "%2F.png",
)


def test_keys_are_opened_as_listed(library: SandboxLibrary, store: ObjectStore, define: Any) -> None:
    for key in ODD_KEYS:
        store.put(f"odd/{key}", PNG + key.encode())
    sync = MediaSyncOperator(task_id="sync", source=uri("odd"), media_conn_id=define(), max_workers=2)
    manifest = sync.execute({})
    assert {path: sha256_of(entry["url"]) for path, entry in manifest.items()} == {
        key: sha256_of(PNG + key.encode()) for key in ODD_KEYS
    }
    assert sorted(entry["name"] for entry in manifest.values()) == sorted(ODD_KEYS)
    store.put("odd/a/b.png", PNG + b"another twin")
    assert {path: entry["action"] for path, entry in sync.execute({}).items() if entry["action"] != "keep"} == {
        "a/b.png": "replace"
    }


@pytest.mark.parametrize(
    ("prefix", "paths"),
    [
        ("summer", ["/deep.png", "a.png"]),
        ("summer/", ["/deep.png", "a.png"]),
        ("summer//", ["deep.png"]),
        ("", ["/root.png", "summer-2/b.png", "summer//deep.png", "summer/a.png"]),
    ],
)
def test_trailing_slashes_of_a_prefix_matter(
    library: SandboxLibrary, store: ObjectStore, define: Any, prefix: str, paths: list[str]
) -> None:
    for key in ("/root.png", "summer/a.png", "summer//deep.png", "summer-2/b.png", "summer/_SUCCESS", "x_$folder$"):
        store.put(key, PNG + key.encode())
    sync = MediaSyncOperator(task_id="sync", source=uri(prefix), media_conn_id=define(), dry_run=True)
    assert [step["path"] for step in sync.execute({})["steps"]] == paths


def test_a_store_that_does_not_respond_is_transient(
    hook: MediaHook, library: SandboxLibrary, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, define: Any
) -> None:
    connection = json.loads(store.connection)
    connection["extra"] |= {"endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"retries": {"max_attempts": 0}}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DOWN", json.dumps(connection))
    address = f"s3://aws_down@{BUCKET}/banner.png"
    with pytest.raises(MediaUnavailableError, match=r"banner\.png' cannot be uploaded: reading it failed"):
        hook.upload(address)
    with pytest.raises(MediaUnavailableError, match=r"The folder 's3://.* cannot be synced: Could not connect"):
        MediaSyncOperator(task_id="sync", source=address, media_conn_id=define()).execute({})
    assert library.methods() == ""


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (uri("nothing.png"), "it does not exist"),
        ("s3://aws_campaigns@no-such-bucket/banner.png", "it does not exist|bucket does not exist"),
        (uri("folder"), "it is a folder"),
        (uri("empty.png"), "it is empty"),
    ],
)
def test_an_unreadable_object_raises_one_sentence(
    hook: MediaHook, library: SandboxLibrary, store: ObjectStore, address: str, reason: str
) -> None:
    store.put("folder/banner.png", PNG + b"x")
    store.put("empty.png", b"")
    with pytest.raises(MediaFileError, match=reason) as caught:
        hook.upload(address)
    assert str(caught.value).startswith(f"The file {address!r} cannot be uploaded: ")
    assert "\n" not in str(caught.value)
    assert library.methods() == ""


def test_an_edited_object_is_not_taken_for_the_old_one(
    library: SandboxLibrary, define: Any, store: ObjectStore
) -> None:
    task = UploadTask(uri("banner.png"), define())
    for number, content in enumerate((b"first", b"other", b"other")):
        store.put("banner.png", PNG + content)
        (task.run if number == 2 else task.run_until_stored)()
    assert library.count("POST") == 2


def test_a_video_is_read_once_from_the_object_store(
    library: SandboxLibrary, define: Any, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    received: list[int] = []
    fetch = s3fs.S3FileSystem._call_s3

    async def count(self: Any, method: str, *arguments: Any, **options: Any) -> Any:
        response = await fetch(self, method, *arguments, **options)
        if method == "get_object":
            received.append(response["ContentLength"])
        return response

    size = 5 * 1024 * 1024
    content = MP4.read_bytes() + size.to_bytes(4) + b"free" + bytes(size - 8)
    store.put("launch.mp4", content)
    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", count)
    UploadTask(uri("launch.mp4"), define()).run()
    assert library.files()[0]["size"] == len(content)
    assert sum(received) <= len(content) + 1024 * 1024


def test_a_backup_is_written_to_the_object_store(hook: MediaHook, library: SandboxLibrary, store: ObjectStore) -> None:
    media_id = library.store("banner.png", PNG)
    for _ in range(2):  # the second one finds the same content
        hook.download(media_id, uri("backups/banner.png"), must_not_replace=True)
    store.put("backups/banner.png", PNG + b"another")
    with pytest.raises(MediaFileError, match="exists and has another content"):
        hook.download(media_id, uri("backups/banner.png"), must_not_replace=True)


def test_a_list_of_references_is_kept_in_the_object_store(store: ObjectStore) -> None:
    references = ListedReferences(path=uri("lists/in-use.json"))
    references.write({17: ["summer"]})
    assert references(Media(id=17)) == ["summer"]


def test_a_manifest_is_kept_in_the_object_store(store: ObjectStore) -> None:
    path, manifest = as_path(uri("lists/manifest.json")), {"a.png": {"id": 17, "name": "a.png", "size": 3}}
    for _ in range(2):  # the second write replaces the file
        write_manifest(path, manifest)
        receipts, _ = read_receipts(path)
        assert receipts["a.png"].media_id == 17


SCRIPT = """
import resource, sys, tempfile
from airflow_provider_media.hooks.media import MediaHook

def never(*arguments, **options):
    raise AssertionError("a temporary file")

tempfile.NamedTemporaryFile = tempfile.TemporaryFile = tempfile.mkstemp = never
hook = MediaHook("media_memory")
small, big = sys.argv[1:]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

hook.upload(small)
before = peak()
assert hook.upload(big).media.id == 5
print("grew by", peak() - before)
"""


def test_memory_does_not_grow_with_the_object(
    raw_server: Callable[..., RawServer], store: ObjectStore, tmp_path: Path
) -> None:
    for key, size in (("small.png", SMALL_BYTES), ("big.png", BIG_BYTES)):
        store.put(key, PNG + bytes(size))
    drain = raw_server(lambda head: http_response(200, [] if "limit=" in head.partition("\r\n")[0] else {"id": 5}))
    connection: dict[str, Any] = {
        "conn_type": "media",
        "host": drain.url,
        "password": "key-of-the-tests",
        "extra": {"settle_seconds": 0},  # the server does not return the size
    }
    done = run(
        SCRIPT,
        *(uri("small.png"), uri("big.png")),
        env={**os.environ, "AIRFLOW_CONN_MEDIA_MEMORY": json.dumps(connection), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.rpartition("grew by ")[2]) < ALLOWED_GROWTH_BYTES
    assert max(drain.body_bytes) > BIG_BYTES
    assert list(tmp_path.iterdir()) == []
