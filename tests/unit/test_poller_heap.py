"""Where many wait, garbage collections pass over what the process loaded before. Run in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "waiting.md"

SCENARIO = """
import asyncio, gc, json, weakref
from airflow_provider_media._api.waiting import Wanted
from airflow_provider_media.triggers._heap import MANY
from airflow_provider_media.triggers._poller import Poller, Watch

class SilentHook:
    async def run_flow(self, flow):
        await asyncio.Event().wait()

    async def aclose(self):
        pass

async def poll_for(count):
    poller = Poller(SilentHook())
    watches = [Watch(Wanted(names=(str(number),)), interval=60, max_failures=5) for number in range(count)]
    for watch in watches:
        poller.add(watch)
    frozen, left = gc.get_freeze_count(), weakref.WeakSet(watches)
    for watch in watches:
        poller.remove(watch)
    del watch, watches
    await poller.stop()
    return frozen, len(left)

async def main():
    gc.disable()  # what is left would be found by a collection only
    return [await poll_for(count) for count in (MANY - 1, MANY, 3 * MANY)]

print(json.dumps(asyncio.run(main())))
"""


def run(**environment: str) -> tuple[list[int], list[int]]:
    """Return, for fewer than many, many, and still more: the objects frozen, and the watches left at the end."""
    done = subprocess.run(
        [sys.executable, "-c", SCENARIO], env=os.environ | environment, check=True, capture_output=True, text=True
    )
    frozen, left = zip(*json.loads(done.stdout.splitlines()[-1]), strict=True)
    return list(frozen), list(left)


def test_the_heap_is_frozen_once_when_many_wait_and_what_ends_is_freed() -> None:
    (of_fewer, of_many, of_more), left = run()
    assert of_fewer == 0
    assert of_many > 10_000
    assert of_more <= of_many
    assert left == [0, 0, 0]


def test_the_heap_is_left_alone_where_the_configuration_says_so_as_on_the_page() -> None:
    (sample,) = re.findall(r"```ini\n(.*?)```", PAGE.read_text(), re.DOTALL)
    configuration = ConfigParser()
    configuration.read_string(sample)
    options = {f"AIRFLOW__MEDIA__{name.upper()}": value for name, value in configuration["media"].items()}
    frozen, left = run(**options)
    assert frozen == [0, 0, 0]
    assert left == [0, 0, 0]
