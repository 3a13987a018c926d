"""Upload one file repeatedly with one peer; print the measurements as JSON.

    python benchmarks/upload_peers.py PEER BASE_URL FILE TIMES [CA_BUNDLE]

Each run is a separate process, so that memory and imports of one peer do not affect another. Imports and one warm-up
request are not timed. Airflow logs errors only, so that terminal output does not affect the times.
"""

from __future__ import annotations

import io
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

PATH = "/partner-gateway/v1/media"
FIELDS = {"name": "bench"}
FLOOR_BLOCK_BYTES = 512 * 1024


def hook(base, file, times, ca):
    os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps(
        {"conn_type": "media", "host": base, "password": "key", "extra": {"verify": ca}}
    )
    from airflow_provider_media.hooks.media import MediaHook

    media = MediaHook()
    with Path(file).open("rb") as stream:  # imports what uploads need, also Airflow's plugins for the lineage
        media.upload(io.BytesIO(stream.read(1000)), name="warm-up", file_name="warm-up.mp4")

    def run():
        for _ in range(times):
            media.upload(file, name="bench", mime_type="video/mp4")

    return run


def operator(base, file, times, ca):
    """Measure a task on Airflow 3.3, whose state is kept for a retry."""
    hook(base, file, times, ca)  # defines the connection, and imports
    from airflow_provider_media.operators.media import MediaUploadOperator

    class Store(dict):
        set = dict.__setitem__
        delete = dict.pop

    task = MediaUploadOperator(
        task_id="upload", file=file, if_exists="upload", mime_type="video/mp4", do_xcom_push=False
    )
    task.hook.list_page()

    def run():
        for _ in range(times):
            task.execute({"task_state_store": Store()})

    return run


def toolbelt(base, file, times, ca):
    import requests
    from requests_toolbelt import MultipartEncoder

    session = requests.Session()
    session.get(base + PATH, verify=ca or True)

    def run():
        for _ in range(times):
            with Path(file).open("rb") as stream:
                encoder = MultipartEncoder({**FIELDS, "file": ("bench.mp4", stream, "video/mp4")})
                session.post(
                    base + PATH, data=encoder, headers={"Content-Type": encoder.content_type}, verify=ca or True
                ).raise_for_status()

    return run


def requests_files(base, file, times, ca):
    import requests

    session = requests.Session()
    session.get(base + PATH, verify=ca or True)

    def run():
        for _ in range(times):
            with Path(file).open("rb") as stream:
                files = {"file": ("bench.mp4", stream, "video/mp4")}
                session.post(base + PATH, data=FIELDS, files=files, verify=ca or True).raise_for_status()

    return run


def httpx_files(base, file, times, ca):
    import httpx

    client = httpx.Client(verify=ssl.create_default_context(cafile=ca) if ca else True, timeout=60)
    client.get(base + PATH)

    def run():
        for _ in range(times):
            with Path(file).open("rb") as stream:
                files = {"file": ("bench.mp4", stream, "video/mp4")}
                client.post(base + PATH, data=FIELDS, files=files).raise_for_status()

    return run


def http_hook(base, file, times, ca):
    parts = urlsplit(base)
    os.environ["AIRFLOW_CONN_HTTP_DEFAULT"] = json.dumps(
        {"conn_type": "http", "schema": parts.scheme, "host": parts.hostname, "port": parts.port}
    )
    from airflow.providers.http.hooks.http import HttpHook

    get, post = HttpHook(method="GET"), HttpHook(method="POST")
    get.run(PATH, extra_options={"verify": ca or True})

    def run():
        for _ in range(times):
            with Path(file).open("rb") as stream:
                files = {"file": ("bench.mp4", stream, "video/mp4")}
                post.run(PATH, data=FIELDS, files=files, extra_options={"verify": ca or True})

    return run


def floor(base, file, times, ca):
    """Measure the machine's limit: a plain socket with sendfile, or with large blocks over TLS."""
    parts = urlsplit(base)
    size = Path(file).stat().st_size
    before = (
        b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nbench\r\n--b\r\nContent-Disposition: form-data;'
        b' name="file"; filename="bench.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
    )
    after = b"\r\n--b--\r\n"
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(before) + size + len(after)}\r\n\r\n"
    ).encode()
    sock = socket.create_connection((parts.hostname, parts.port))
    # Otherwise Nagle's algorithm delays the end of each body.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if ca:
        sock = ssl.create_default_context(cafile=ca).wrap_socket(sock, server_hostname=parts.hostname)

    buffer = memoryview(bytearray(FLOOR_BLOCK_BYTES))

    def send(stream):
        if not ca:
            sock.sendfile(stream)
            return
        while count := stream.readinto(buffer):
            sock.sendall(buffer[:count])

    def run():
        for _ in range(times):
            with Path(file).open("rb", buffering=0) as stream:
                sock.sendall(head + before)
                send(stream)
                sock.sendall(after)
            assert b" 201 " in sock.recv(65536)

    return run


def measure(peer, base, file, times, ca):
    """Return seconds, CPU seconds and the growth of resident memory (MiB)."""
    if peer == "curl -F":
        return measure_curl(base, file, times, ca)
    run = PEERS[peer](base, file, times, ca)
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak of resident memory
    before_memory, before_cpu, started = resident("VmRSS"), cpu(resource.RUSAGE_SELF), time.perf_counter()
    run()
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "cpu": cpu(resource.RUSAGE_SELF) - before_cpu,
        "memory": (resident("VmHWM") - before_memory) / 1024,
    }


def measure_curl(base, file, times, ca):
    one = ["-sS", "-o", os.devnull, "-w", "%{time_total}\n", *(["--cacert", ca] if ca else [])]
    one += ["-F", "name=bench", "-F", f"file=@{file};type=video/mp4;filename=bench.mp4", base + PATH]
    # One process and one connection; only the transfers are timed, not the start of the process.
    command = ["curl", *one, *(["--next", *one] * (times - 1))]
    before = cpu(resource.RUSAGE_CHILDREN)
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {
        "seconds": sum(map(float, output.split())),
        "cpu": cpu(resource.RUSAGE_CHILDREN) - before,
        "memory": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


def cpu(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


PEERS = {
    "airflow-provider-media": hook,
    "MediaUploadOperator": operator,
    "curl -F": measure_curl,
    "toolbelt MultipartEncoder": toolbelt,
    "requests files=": requests_files,
    "httpx files=": httpx_files,
    "Airflow HttpHook": http_hook,
    "floor: socket, sendfile": floor,
}

if __name__ == "__main__":
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"  # before a peer imports Airflow
    name, base_url, path, repetitions, *bundle = sys.argv[1:]
    print(json.dumps(measure(name, base_url, path, int(repetitions), bundle[0] if bundle else None)))
