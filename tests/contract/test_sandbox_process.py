"""The sandbox as a process: command line, restarts, signals, memory and TLS."""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

import airflow_provider_media
from airflow_provider_media.sandbox.library import LibraryBusyError
from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import MEDIA_PATH, SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(airflow_provider_media.__file__).parent.parent
KEY = {"X-Api-Key": "sandbox-key"}
MEBIBYTE = 1024 * 1024


class Process:
    def __init__(self, process: subprocess.Popen[str], ready_line: str) -> None:
        self.process = process
        self.ready_line = ready_line
        match = re.match(r"Media sandbox ready at (https?://127\.0\.0\.1:\d+) ", ready_line)
        assert match, ready_line
        self.base_url = match[1]
        self.media_url = self.base_url + MEDIA_PATH

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=10)

    def peak_memory(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert match
        return int(match[1]) * 1024


def start(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "airflow_provider_media.sandbox", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment
    )


@contextmanager
def running(data_dir: Path, *arguments: str | Path) -> Iterator[Process]:
    with start("--port=0", f"--data-dir={data_dir}", *arguments) as process:
        assert process.stdout
        try:
            yield Process(process, process.stdout.readline())
        finally:
            process.kill()


def image_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, "PNG")
    return buffer.getvalue()


def upload(media_url: str, **options: Any) -> dict[str, Any]:
    files = {"file": ("a.png", image_bytes())}
    media: dict[str, Any] = requests.post(media_url, headers=KEY, files=files, timeout=10, **options).json()
    return media


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_sandbox_gracefully(tmp_path: Path, signal_number: int) -> None:
    with running(tmp_path) as sandbox, requests.Session() as idle:
        idle.get(sandbox.media_url, headers=KEY, timeout=10)
        assert sandbox.stop(signal_number) == 0
        assert sandbox.process.communicate() == ("", "")


def test_unfinished_upload_does_not_delay_the_stop(tmp_path: Path) -> None:
    head = f"POST {MEDIA_PATH} HTTP/1.1\r\nHost: x\r\nX-Api-Key: sandbox-key\r\nExpect: 100-continue\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 99\r\n\r\n"
    with running(tmp_path) as sandbox:
        port = int(sandbox.base_url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(head.encode())
            assert connection.recv(99).startswith(b"HTTP/1.1 100")  # now it waits for the body
            assert sandbox.stop() == 0
        assert sandbox.process.communicate() == ("", "")
    assert list((tmp_path / "incoming").iterdir()) == []


def test_ready_line_contains_urls_but_not_the_api_key(tmp_path: Path) -> None:
    with running(tmp_path, "--api-key=very-own-key") as sandbox:
        assert f"(library page: {sandbox.base_url}/;" in sandbox.ready_line
        assert "very-own-key" not in sandbox.ready_line
        key = {"X-Api-Key": "very-own-key"}
        assert requests.get(sandbox.media_url, headers=key, timeout=10).status_code == 200


def test_library_persists_and_never_reuses_an_id(tmp_path: Path) -> None:
    with running(tmp_path) as sandbox:
        kept, newest = upload(sandbox.media_url), upload(sandbox.media_url)
        requests.delete(f"{sandbox.media_url}/{newest['id']}", headers=KEY, timeout=10)
        sandbox.process.kill()
    (tmp_path / "incoming" / "half-an-upload").touch()
    with running(tmp_path) as sandbox:
        listed = requests.get(sandbox.media_url, headers=KEY, timeout=10).json()["content"]
        assert [media | {"url": ""} for media in listed] == [kept | {"url": ""}]
        assert requests.get(listed[0]["url"], timeout=10).content == image_bytes()
        assert upload(sandbox.media_url)["id"] > newest["id"]
        assert list((tmp_path / "incoming").iterdir()) == []


def test_only_one_sandbox_can_use_a_data_folder(tmp_path: Path) -> None:
    with running(tmp_path) as sandbox, start("--port=0", f"--data-dir={tmp_path}") as second:
        _, error = second.communicate(timeout=10)
        assert second.returncode == 1
        assert error.startswith(f"The media sandbox cannot start: Cannot use the data folder {tmp_path}")
        assert upload(sandbox.media_url)["id"] == 1
        with pytest.raises(LibraryBusyError), run_in_thread(SandboxSettings(data_dir=tmp_path)):
            pass


def test_used_port_is_reported(tmp_path: Path) -> None:
    with running(tmp_path / "first") as sandbox:
        port = sandbox.base_url.rsplit(":", 1)[1]
        with start(f"--port={port}", f"--data-dir={tmp_path / 'second'}") as second:
            _, error = second.communicate(timeout=10)
        assert second.returncode == 1
        assert "The media sandbox cannot start" in error


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--port=65536"], ["--port=x"], ["--api-key="], ["--api-key=a\nb"], ["--requests-per-minute=0"]),
        *(["--envelope=pages"], ["--id-style=uuid"], ["--tls-key=key.pem"], ["--tls-certificate=certificate.pem"]),
    ],
)
def test_invalid_command_line_is_rejected(tmp_path: Path, arguments: list[str]) -> None:
    with start(*arguments, cwd=tmp_path) as process:
        _, error = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "error: " in error
    assert list(tmp_path.iterdir()) == []


def test_unreadable_certificate_is_reported(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with start("--port=0", f"--data-dir={tmp_path}", f"--tls-certificate={missing}", f"--tls-key={missing}") as process:
        _, error = process.communicate(timeout=10)
    assert process.returncode == 1
    assert error.startswith("The media sandbox cannot start")


def test_options_affect_responses(tmp_path: Path) -> None:
    options = ("--envelope=results", "--no-totals", "--id-style=text", "--requests-per-minute=2", "--max-bytes=10")
    with running(tmp_path, *options) as sandbox:
        page = requests.get(sandbox.media_url, headers=KEY, timeout=10)
        assert page.json() == {"results": [], "page": 0, "limit": 10}
        assert upload(sandbox.media_url)["status"] == 413
        assert requests.get(sandbox.media_url, headers=KEY, timeout=10).status_code == 429


def test_sandbox_does_not_import_airflow(tmp_path: Path) -> None:
    code = "import sys, airflow_provider_media.sandbox.__main__; print('airflow' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is only available on Linux")
def test_large_upload_is_streamed(tmp_path: Path) -> None:
    size = 80 * MEBIBYTE
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + image_bytes()
    tail = b"\r\n--b--\r\n"
    with running(tmp_path) as sandbox, tempfile.TemporaryFile() as body:
        upload(sandbox.media_url)
        before = sandbox.peak_memory()
        body.write(head)
        body.seek(size, io.SEEK_CUR)
        body.write(tail)
        body.seek(0)
        connection = http.client.HTTPConnection(sandbox.base_url.removeprefix("http://"), timeout=30)
        headers = KEY | {
            "Content-Type": "multipart/form-data; boundary=b",
            "Content-Length": str(len(head) + size + len(tail)),
        }
        with closing(connection):
            connection.request("POST", MEDIA_PATH, body, headers)
            media = json.load(connection.getresponse())
        assert media["size"] == len(image_bytes()) + size
        assert sandbox.peak_memory() - before < 16 * MEBIBYTE


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-out", str(paths[0]), "-keyout", str(paths[1]), "-days", "1", "-subj", "/CN=sandbox"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return paths


def test_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    chain, key = certificate
    with running(tmp_path, f"--tls-certificate={chain}", f"--tls-key={key}") as sandbox:
        media = upload(sandbox.media_url, verify=str(chain))
        assert media["url"].startswith("https://127.0.0.1:")
        assert requests.get(media["url"], verify=str(chain), timeout=10).content == image_bytes()
        assert sandbox.stop() == 0


def read_after_tls_request(port: int, certificate: Path, request: bytes) -> bytes:
    """Send a request over TLS and read the raw connection, because Python's TLS socket reports a reset as EOF."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=certificate)
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        shaken_hands = False
        while not shaken_hands:
            try:
                tls.do_handshake()
                shaken_hands = True
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        tls.write(request)
        connection.sendall(outgoing.read())
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


@pytest.mark.parametrize("fault", ["reset_before_body", "reset_before_answer", "store_then_drop"])
def test_faults_break_tls_connections_too(certificate: tuple[Path, Path], fault: str) -> None:
    chain, key = certificate
    request = f"POST {MEDIA_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx".encode()
    with run_in_thread(SandboxSettings(tls_certificate=chain, tls_key=key)) as sandbox:
        order = {"fault": fault, "method": "POST"}
        requests.post(f"{sandbox.base_url}/_sandbox/faults", json=order, verify=str(chain), timeout=10)
        if fault == "store_then_drop":
            read_after_tls_request(sandbox.port, chain, request)  # regular close
        else:
            with pytest.raises(ConnectionResetError):
                read_after_tls_request(sandbox.port, chain, request)
        logged = requests.get(f"{sandbox.base_url}/_sandbox/requests", verify=str(chain), timeout=10).json()
    assert [call["status"] for call in logged] == [None]
