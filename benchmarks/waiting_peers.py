"""Wait for files as a triggerer does, the way one peer does it; return what it took.

The triggers are made and run by Airflow's own ``TriggerRunner``, of which only the link to its supervisor is left out:
they are decrypted, logged and cleaned up as in a triggerer, and connections come from the environment. An event counts
from when the runner has it to hand over.

From the start to half an interval: the triggers are made and look for the first time, and what they need is imported.
Then, for one interval, the files appear one by one, each sensor's own, and requests and CPU are counted; every trigger
looks once in this time. The run ends with the last event.
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
from library_server import BY_NAME_PATH, wanted_name

HEARTBEAT_SECONDS = 0.005
SETTLE_SECONDS = 0.5
"""For the runner to come to rest, and again to measure what the heartbeat itself costs."""

SECONDS_AT_MOST = 180
"""For the events to come; a busy machine takes its time for a thousand HttpSensors."""


class EmptyTrigger(BaseTrigger):
    """Waits for what never comes: what it takes, the triggerer takes.

    :param number: for the sake of an argument.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def serialize(self):
        """Return what makes it again."""
        return "waiting_peers.EmptyTrigger", {"number": self.number}

    async def run(self):
        """Wait."""
        await asyncio.Event().wait()
        yield


def media_by_name(number, files, interval):  # noqa: ARG001 - each peer takes what another needs
    return "airflow_provider_media.triggers.media.MediaExistsTrigger", {
        "names": [wanted_name(number)],
        "poll_interval": interval,
    }


def media_by_id(number, files, interval):
    return "airflow_provider_media.triggers.media.MediaExistsTrigger", {
        "media_ids": [files + number],
        "poll_interval": interval,
    }


def media_by_pattern(number, files, interval):  # noqa: ARG001
    # One that only its file matches; no start or end tells it from the others, so that each must be tried.
    return "airflow_provider_media.triggers.media.MediaExistsTrigger", {
        "names": [f"wanted*{number:06d}*"],
        "poll_interval": interval,
    }


def http_sensor(number, files, interval):  # noqa: ARG001
    return "airflow.providers.http.triggers.http.HttpSensorTrigger", {
        "endpoint": BY_NAME_PATH.lstrip("/") + wanted_name(number),
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
"""What gives a trigger's class and arguments; the class is imported by the runner, as in a triggerer."""


class Events(deque):
    """The runner's events on their way out; notes when each came."""

    def __init__(self) -> None:
        """Have none yet."""
        super().__init__()
        self.times = {}

    def append(self, entry) -> None:
        """Note the time."""
        self.times[entry.trigger_id] = time.monotonic()
        payload = entry.event.payload
        assert payload is True or payload["status"] == "found", payload


class Heart:
    """Beats on the loop, and notes how late each beat is: so long the loop did nothing for anybody else.

    :ivar stall: the longest delay, in seconds; on a busy machine also because others had the processor.
    :ivar stretch: the most seconds of CPU that the loop's thread used between two beats.
    """

    def __init__(self) -> None:
        """Beat from now on."""
        self.stall = self.stretch = 0.0
        self.task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            started, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self.stall = max(self.stall, time.perf_counter() - started - HEARTBEAT_SECONDS)
            self.stretch = max(self.stretch, time.thread_time() - used)

    def reset(self) -> float:
        """Return the longest delay so far; forget it."""
        stall, self.stall = self.stall, 0.0
        return stall


async def triggerer(runner) -> None:
    """Do what the runner's main loop does between its talks with the supervisor."""
    while True:
        await runner.cleanup_finished_triggers()
        await runner.create_triggers()
        await asyncio.sleep(1)


def workload(number, classpath, kwargs):
    return RunTrigger(id=number, ti=None, classpath=classpath, encrypted_kwargs=Trigger.encrypt_kwargs(kwargs))


async def measure(peer, base, sensors, files, interval):
    runner = TriggerRunner()
    runner.events = Events()
    runner.to_create.append(workload(0, *EmptyTrigger(0).serialize()))  # no triggerer's first
    running = asyncio.create_task(triggerer(runner))
    workloads = [workload(number, *PEERS[peer](number, files, interval)) for number in range(1, sensors + 1)]
    heart = Heart()
    await asyncio.sleep(SETTLE_SECONDS)
    cpu_before = time.process_time()
    await asyncio.sleep(SETTLE_SECONDS)
    beating = (time.process_time() - cpu_before) / SETTLE_SECONDS * interval
    gc.collect()
    gc.disable()  # a full collection visits all that Airflow has loaded, and that is not what is measured here
    memory_before = new_peak()
    await asyncio.sleep(2 * HEARTBEAT_SECONDS)  # for the collection was a stall, too
    heart.stall = heart.stretch = 0.0

    runner.to_create.extend(workloads)
    while runner.to_create:  # noqa: ASYNC110 - the runner looks for them once a second
        await asyncio.sleep(HEARTBEAT_SECONDS)
    started = time.monotonic()
    await asyncio.sleep(interval / 2)
    first_stall, cpu_before = heart.reset(), time.process_time()
    if peer != "empty trigger":
        await asyncio.to_thread(ask, "POST", f"{base}/appear?count={sensors}&seconds={interval}")
    await asyncio.sleep(started + interval * 1.5 - time.monotonic())
    cpu = time.process_time() - cpu_before - beating
    memory = resident("VmHWM") - memory_before
    while peer != "empty trigger" and len(runner.events.times) < sensors:
        assert time.monotonic() < started + interval * 1.5 + SECONDS_AT_MOST, f"{len(runner.events.times)} events"
        await asyncio.sleep(0.1)
    stall, stretch = heart.reset(), heart.stretch

    record = await asyncio.to_thread(ask, "GET", f"{base}/record")
    moments = [moment - started for moment in record["requests"]]
    delays = [moment - record["appeared"][wanted_name(number)] for number, moment in runner.events.times.items()]
    for task in (running, heart.task, *(details["task"] for details in runner.triggers.values())):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return {
        "first requests": sum(moment < interval / 2 for moment in moments),
        "requests": sum(interval / 2 <= moment < interval * 1.5 for moment in moments),
        "median delay": statistics.median(delays or [0.0]),
        "longest delay": max(delays, default=0.0),
        "first stall": first_stall,
        "stall": stall,
        "stretch": stretch,
        "memory": memory,
        "cpu": cpu,
    }


def ask(method, url):
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as response:  # noqa: S310 - our own server
        return json.load(response)


def new_peak():
    """Let the peak of resident memory count from here; return where it stands."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


def run(peer, base, sensors, files, interval):
    """Measure one peer in this process, which must be a fresh one."""
    address = urlsplit(base)
    os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps({"conn_type": "media", "host": base, "password": "key"})
    os.environ["AIRFLOW_CONN_LIBRARY"] = json.dumps(
        {"conn_type": "http", "schema": address.scheme, "host": address.hostname, "port": address.port}
    )
    # Render log lines as a triggerer's runner does for its supervisor, and throw them away.
    with Path(os.devnull).open("wb") as nowhere:
        configure_logging(json_output=True, output=nowhere, sending_to_supervisor=True)
        return asyncio.run(measure(peer, base, sensors, files, interval))
