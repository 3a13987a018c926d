"""The poller yields to the event loop, and adds jitter."""

from __future__ import annotations

import asyncio
import json
from itertools import groupby

from airflow_provider_media._api.protocol import ApiResponse
from airflow_provider_media._polling.criteria import WaitCriteria
from airflow_provider_media.exceptions import MediaUnavailableError
from airflow_provider_media.triggers import _poller
from airflow_provider_media.triggers._poller import Poller, PollPolicy, Subscription


class HookOfOnePage:
    def __init__(self, names):
        content = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
        self._body = json.dumps({"content": content, "totalElements": len(content)}).encode()

    async def run_flow(self, flow):
        try:
            next(flow)
            while True:  # for any page
                flow.send(ApiResponse(status=200, headers={}, body=self._body))
        except StopIteration:
            return

    async def aclose(self):
        pass


def test_poller_yields_while_it_updates_subscriptions(monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.0)
    names = [f"file-{number}.png" for number in range(300)]
    happened = []

    async def wait_for(subscription):
        while subscription.missing:
            await subscription.changed()
        happened.append("update")

    async def take_turns():
        while True:
            await asyncio.sleep(0)
            happened.append("turn")

    async def scenario():
        poller = Poller(HookOfOnePage(names))
        subscriptions = [
            Subscription(criteria=WaitCriteria(names=(name,)), interval=60, policy=PollPolicy()) for name in names
        ]
        for subscription in subscriptions:
            poller.add(subscription)
        others = asyncio.create_task(take_turns())
        await asyncio.gather(*map(wait_for, subscriptions))
        others.cancel()
        await poller.stop()

    asyncio.run(scenario())

    updates_in_a_row = [len(list(group)) for what, group in groupby(happened) if what == "update"]
    assert sum(updates_in_a_row) == len(names)
    assert max(updates_in_a_row) <= 2 * _poller._SUBSCRIPTIONS_PER_TURN


class HookWithRetryAfter(HookOfOnePage):
    async def run_flow(self, flow):
        flow.close()
        raise MediaUnavailableError("No.", status=503, retry_after=100.0)


def test_retry_after_gets_jitter(monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.5)

    async def scenario():
        poller = Poller(HookWithRetryAfter([]))
        subscription = Subscription(criteria=WaitCriteria(names=("a",)), interval=60, policy=PollPolicy())
        poller.add(subscription)
        await subscription.changed()
        await asyncio.sleep(0.01)  # for the end of the poll
        not_before = poller.not_before - asyncio.get_running_loop().time()
        await poller.stop()
        return not_before

    assert 100.2 < asyncio.run(scenario()) <= 100.5


def test_polls_get_jitter_of_a_tenth_of_the_interval(monkeypatch):
    async def gap(fraction):
        monkeypatch.setattr("random.random", lambda: fraction)
        poller = Poller(HookOfOnePage([]))
        subscription = Subscription(criteria=WaitCriteria(names=("late",)), interval=8, policy=PollPolicy())
        poller.add(subscription)
        await poller._poll()
        await poller.stop()
        return poller._next_poll - poller._last_poll

    assert [round(asyncio.run(gap(fraction)), 6) for fraction in (0.0, 0.5, 1.0)] == [8.0, 8.4, 8.8]
