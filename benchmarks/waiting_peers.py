"""Wait for files in a triggerer with one peer; return the measurements.

Airflow's own ``TriggerRunner``, without the link to its supervisor, creates and runs the triggers: they are decrypted,
logged and cleaned up as in a triggerer, and connections come from the environment. The time of an event is when the
runner receives it.

During the first half interval the triggers are created, poll for the first time, and import what they need. Then, for
one interval, the files appear one by one, and requests and CPU time are counted; each trigger polls once in this time.
The run ends with the last event.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import time
import urllib.request
from collections import deque
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.sdk.log import configure_logging
from airflow.triggers.base import BaseTrigger
from library_server import BY_NAME_PATH, awaited_name

HEARTBEAT_SECONDS = 0.005
SETTLE_SECONDS = 0.5
"""Time for the runner to become idle, and time to measure the CPU time of the heartbeat."""

MAX_SECONDS = 180
"""Maximum wait for the events; 1,000 HttpSensors are slow on a busy machine."""


class EmptyTrigger(BaseTrigger):
    """Waits forever, to measure the triggerer's own cost.

    :param number: an arbitrary argument.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def serialize(self):
        """Return the class path and the arguments."""
        return "waiting_peers.EmptyTrigger", {"number": self.number}

    async def run(self):
        """Wait forever."""
        await asyncio.Event().wait()
        yield


def media_by_name(number, files, interval):  # noqa: ARG001 - all peers have the same signature
    return "airflow_provider_media.triggers.media.MediaExistsTrigger", {
        "names": [awaited_name(number)],
        "poll_interval": interval,
    }


def media_by_id(number, files, interval):
    return "airflow_provider_media.triggers.media.MediaExistsTrigger", {
        "media_ids": [files + number],
        "poll_interval": interval,
    }


def media_by_pattern(number, files, interval):  # noqa: ARG001
    # Each pattern matches one file; all have the same prefix, so that each file is tested against each pattern.
    return "airflow_provider_media.triggers.media.MediaExistsTrigger", {
        "names": [f"awaited*{number:06d}*"],
        "poll_interval": interval,
    }


def http_sensor(number, files, interval):  # noqa: ARG001
    return "airflow.providers.http.triggers.http.HttpSensorTrigger", {
        "endpoint": BY_NAME_PATH.lstrip("/") + awaited_name(number),
        "http_conn_id": "library",
        "poke_interval": interval,
    }


def empty(number, files, interval):  # noqa: ARG001
    return EmptyTrigger(number).serialize()


PEERS = {
    "by name": media_by_name,
    "by id": media_by_id,
    "by pattern": media_by_pattern,
    "HttpSensor": http_sensor,
    "empty trigger": empty,
}
"""Functions that return a trigger's class path and arguments; the runner imports the class, as in a triggerer."""


class Events(deque):
    """The runner's outgoing events; records the time of each."""

    def __init__(self) -> None:
        """Create an empty queue."""
        super().__init__()
        self.times = {}

    def append(self, entry) -> None:
        """Record the time."""
        self.times[entry.trigger_id] = time.monotonic()
        payload = entry.event.payload
        assert payload is True or payload["status"] == "found", payload


class Heartbeat:
    """A periodic task on the loop whose delay shows how long the loop was blocked.

    :ivar stall: the longest delay, in seconds; on a busy machine it includes other processes.
    :ivar stretch: the maximum CPU time of the loop's thread between two beats, in seconds.
    """

    def __init__(self) -> None:
        """Start the task."""
        self.stall = self.stretch = 0.0
        self.task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            started, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self.stall = max(self.stall, time.perf_counter() - started - HEARTBEAT_SECONDS)
            self.stretch = max(self.stretch, time.thread_time() - used)

    def reset(self) -> float:
        """Return the longest delay so far and reset it."""
        stall, self.stall = self.stall, 0.0
        return stall


async def triggerer(runner) -> None:
    """Run the runner's main loop without the supervisor."""
    while True:
        await runner.cleanup_finished_triggers()
        await runner.create_triggers()
        await asyncio.sleep(1)


def workload(number, classpath, kwargs):
    return RunTrigger(id=number, ti=None, classpath=classpath, encrypted_kwargs=Trigger.encrypt_kwargs(kwargs))


async def measure(peer, base, sensors, files, interval):
    runner = TriggerRunner()
    runner.events = Events()
    runner.to_create.append(
        workload(0, *EmptyTrigger(0).serialize())
    )  # so that the first trigger's one-time cost is not measured
    running = asyncio.create_task(triggerer(runner))
    workloads = [workload(number, *PEERS[peer](number, files, interval)) for number in range(1, sensors + 1)]
    heart = Heartbeat()
    await asyncio.sleep(SETTLE_SECONDS)
    cpu_before = time.process_time()
    await asyncio.sleep(SETTLE_SECONDS)
    beating = (time.process_time() - cpu_before) / SETTLE_SECONDS * interval
    gc.collect()
    gc.disable()  # so that a full collection of all that Airflow has loaded is not measured
    memory_before = new_peak()
    await asyncio.sleep(2 * HEARTBEAT_SECONDS)  # because the collection was a stall, too
    heart.stall = heart.stretch = 0.0

    runner.to_create.extend(workloads)
    while runner.to_create:  # noqa: ASYNC110 - the runner checks once a second
        await asyncio.sleep(HEARTBEAT_SECONDS)
    started = time.monotonic()
    await asyncio.sleep(interval / 2)
    first_stall, cpu_before = heart.reset(), time.process_time()
    if peer != "empty trigger":
        await asyncio.to_thread(request, "POST", f"{base}/appear?count={sensors}&seconds={interval}")
    await asyncio.sleep(started + interval * 1.5 - time.monotonic())
    cpu = time.process_time() - cpu_before - beating
    memory = resident("VmHWM") - memory_before
    while peer != "empty trigger" and len(runner.events.times) < sensors:
        assert time.monotonic() < started + interval * 1.5 + MAX_SECONDS, f"{len(runner.events.times)} events"
        await asyncio.sleep(0.1)
    stall, stretch = heart.reset(), heart.stretch

    record = await asyncio.to_thread(request, "GET", f"{base}/record")
    times = [at - started for at in record["requests"]]
    delays = [at - record["appeared"][awaited_name(number)] for number, at in runner.events.times.items()]
    for task in (running, heart.task, *(details["task"] for details in runner.triggers.values())):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return {
        "first requests": sum(at < interval / 2 for at in times),
        "requests": sum(interval / 2 <= at < interval * 1.5 for at in times),
        "median delay": statistics.median(delays or [0.0]),
        "longest delay": max(delays, default=0.0),
        "first stall": first_stall,
        "stall": stall,
        "stretch": stretch,
        "memory": memory,
        "cpu": cpu,
    }


def request(method, url):
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as response:  # noqa: S310 - our own server
        return json.load(response)


def new_peak():
    """Reset the peak of resident memory; return the current value."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


def run(peer, base, sensors, files, interval):
    """Measure one peer in this process, which must be new."""
    url = urlsplit(base)
    os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps({"conn_type": "media", "host": base, "password": "key"})
    os.environ["AIRFLOW_CONN_LIBRARY"] = json.dumps(
        {"conn_type": "http", "schema": url.scheme, "host": url.hostname, "port": url.port}
    )
    # Render log lines like a triggerer's runner, and discard them.
    with Path(os.devnull).open("wb") as nowhere:
        configure_logging(json_output=True, output=nowhere, sending_to_supervisor=True)
        return asyncio.run(measure(peer, base, sensors, files, interval))
