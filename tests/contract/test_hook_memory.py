"""Memory stays flat, however big the file."""

from __future__ import annotations

import json
import os
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.helpers.raw_server import RawServer, http_response
from tests.helpers.warm_python import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG_BYTES = 100 * 1024 * 1024
ALLOWED_GROWTH_BYTES = 8 * 1024 * 1024

SCRIPT = """
import resource, sys
from airflow_provider_media.hooks.media import MediaHook

kind, small, big = sys.argv[1:]
hook = MediaHook("media_memory")

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def upload(path):
    if kind == "path":
        return hook.upload(path).media.id
    with open(path, "rb") as stream:
        return hook.upload(stream).media.id

upload(small)
before = peak()
assert upload(big) == 5
print("grew by", peak() - before)
"""


@pytest.fixture(params=["http", "tls"])
def drain(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> Iterator[RawServer]:
    """Takes everything and keeps nothing."""
    context = None
    if request.param == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)

    def serve(head: str) -> bytes:
        return http_response(200, []) if "limit=" in head.partition("\r\n")[0] else http_response(200, {"id": 5})

    with RawServer(serve, context) as server:
        yield server


@pytest.mark.parametrize("kind", ["path", "file object"])
def test_memory_does_not_grow_with_the_file(
    kind: str, drain: RawServer, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    for name, size in (("small.mp4", 1000), ("big.mp4", BIG_BYTES)):
        with (tmp_path / name).open("wb") as stream:
            stream.write(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00")
            stream.truncate(size)
    connection: dict[str, Any] = {
        "conn_type": "media",
        "host": drain.url,
        "password": "key-of-the-tests",
        "extra": {"verify": str(certificate[0]), "settle_seconds": 0},  # the server does not return the size
    }
    done = run(
        SCRIPT,
        *(kind, tmp_path / "small.mp4", tmp_path / "big.mp4"),
        env={**os.environ, "AIRFLOW_CONN_MEDIA_MEMORY": json.dumps(connection)},
    )
    assert done.returncode == 0, done.stderr
    growth = int(done.stdout.rpartition("grew by ")[2])
    assert growth < ALLOWED_GROWTH_BYTES
    assert max(drain.body_bytes) > BIG_BYTES
