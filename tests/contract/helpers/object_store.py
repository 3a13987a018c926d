"""An S3 server in a separate process, over HTTP, with one bucket."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "campaigns"
_KEYS = {"aws_access_key_id": "the-access-key", "aws_secret_access_key": "the-secret-key", "region_name": "us-east-1"}

_SERVE = """
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


class ObjectStore:
    """Client of the S3 server.

    :param address: the server's URL.
    """

    def __init__(self, address: str) -> None:
        import boto3

        self.address = address
        self.client: Any = boto3.client("s3", endpoint_url=address, **_KEYS)
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def connection(self) -> str:
        """The Airflow connection to the server, as JSON."""
        return json.dumps({
            "conn_type": "aws",
            "login": _KEYS["aws_access_key_id"],
            "password": _KEYS["aws_secret_access_key"],
            "extra": {"endpoint_url": self.address, "region_name": _KEYS["region_name"]},
        })  # fmt: skip

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def set_versioning(self, status: str) -> None:
        """Set the bucket's versioning: ``Enabled`` or ``Suspended``."""
        self.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": status})

    def emptied(self) -> ObjectStore:
        """Delete all objects and return this client."""
        for entry in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
            self.client.delete_object(Bucket=BUCKET, Key=entry["Key"])
        return self


@contextmanager
def serve() -> Iterator[ObjectStore]:
    """Run the server until the end of the context."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while "127.0.0.1" not in (line := process.stdout.readline()) or line.startswith("Starting"):
            assert line, "the server ended before it was ready"
        host, port = line.split()
        yield ObjectStore(f"http://{host}:{port}")
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=10)
