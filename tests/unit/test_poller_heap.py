"""Where many wait, garbage collections pass over what the process loaded before. Run in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from configparser import ConfigParser

from tests.helpers.doc_samples import ROOT, samples_of

SCENARIO = """
import asyncio, gc, json, weakref
from contextlib import AsyncExitStack
from airflow_provider_media._api.waiting import Wanted
from airflow_provider_media.hooks import media
from airflow_provider_media.triggers._heap import MANY
from airflow_provider_media.triggers._poller import SHORTEST_INTERVAL_SECONDS, watched
from airflow_provider_media.triggers._watch import Watch

class SilentHook:
    def __init__(self, media_conn_id):
        pass

    async def run_flow(self, flow):
        await asyncio.Event().wait()

    async def aclose(self):
        pass

media.MediaAsyncHook = SilentHook
at_first = gc.get_freeze_count()  # Python 3.12 freezes some itself

async def wait_for(*counts):
    left = weakref.WeakSet()
    async with AsyncExitStack() as stack:
        for connection, count in enumerate(counts):
            for number in range(count):
                watch = Watch(Wanted(names=(str(number),)), interval=60, max_failures=5)
                await stack.enter_async_context(watched(f"media_{connection}", watch))
                left.add(watch)
        frozen = gc.get_freeze_count() - at_first
        del watch
        await asyncio.sleep(1.2 * SHORTEST_INTERVAL_SECONDS)  # each poll is in its first look when it ends
    await asyncio.sleep(0)  # for the tasks that were cancelled to end
    gc.collect()  # finds cycles that are new, of a look that was broken off; nothing that was frozen
    return frozen, len(left)

async def main():
    return [await wait_for(*counts) for counts in ((MANY - 1,), (MANY // 2, MANY // 2), (3 * MANY, MANY))]

print(json.dumps(asyncio.run(main())))
"""


def run(**environment: str) -> tuple[list[int], list[int], str]:
    """Return, for fewer than many, many of two connections, and more: the objects frozen, the watches left; the log."""
    done = subprocess.run(
        [sys.executable, "-c", SCENARIO], env=os.environ | environment, check=True, capture_output=True, text=True
    )
    frozen, left = zip(*json.loads(done.stdout.splitlines()[-1]), strict=True)
    return list(frozen), list(left), done.stdout + done.stderr


def test_the_heap_is_frozen_once_when_many_wait_and_what_ends_is_freed() -> None:
    (of_fewer, of_many, of_more), left, _ = run()
    assert of_fewer == 0
    assert of_many > 10_000
    assert of_more <= of_many
    assert left == [0, 0, 0]


def test_the_heap_is_left_alone_where_the_configuration_says_so_as_on_the_page() -> None:
    (sample,) = (sample for sample in samples_of(ROOT / "docs" / "waiting.md") if sample.language == "ini")
    configuration = ConfigParser()
    configuration.read_string(sample.code)
    options = {f"AIRFLOW__MEDIA__{name.upper()}": value for name, value in configuration["media"].items()}
    frozen, left, _ = run(**options)
    assert frozen == [0, 0, 0]
    assert left == [0, 0, 0]


def test_a_setting_that_makes_no_sense_is_told_and_breaks_nothing() -> None:
    frozen, left, told = run(AIRFLOW__MEDIA__FREEZE_HEAP_ON_TRIGGERER="maybe")
    assert frozen == [0, 0, 0]
    assert left == [0, 0, 0]
    assert 'The heap is not frozen: Failed to convert value to bool. Please check "freeze_heap_on_triggerer"' in told
