"""What the poller owes to everything else on a triggerer's loop."""

from __future__ import annotations

import asyncio
import json
from itertools import groupby

from airflow_provider_media._api.protocol import ApiResponse
from airflow_provider_media._polling.lookup import WaitCriteria
from airflow_provider_media.exceptions import MediaUnavailableError
from airflow_provider_media.triggers import _poller
from airflow_provider_media.triggers._policy import PollPolicy
from airflow_provider_media.triggers._poller import Poller
from airflow_provider_media.triggers._subscription import Subscription


class HookOfOnePage:
    def __init__(self, names):
        content = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
        self._body = json.dumps({"content": content, "totalElements": len(content)}).encode()

    async def run_flow(self, flow):
        try:
            next(flow)
            while True:  # whatever page is asked for
                flow.send(ApiResponse(status=200, headers={}, body=self._body))
        except StopIteration:
            return

    async def aclose(self):
        pass


def test_others_have_their_turns_while_hundreds_are_told(monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.0)
    names = [f"file-{number}.png" for number in range(300)]
    happened = []

    async def wait_for(watch):
        while watch.missing:
            await watch.changed()
        happened.append("told")

    async def take_turns():
        while True:
            await asyncio.sleep(0)
            happened.append("turn")

    async def scenario():
        poller = Poller(HookOfOnePage(names))
        watches = [Subscription(WaitCriteria(names=(name,)), interval=60, policy=PollPolicy()) for name in names]
        for watch in watches:
            poller.add(watch)
        others = asyncio.create_task(take_turns())
        await asyncio.gather(*map(wait_for, watches))
        others.cancel()
        await poller.stop()

    asyncio.run(scenario())

    told_in_a_row = [len(list(group)) for what, group in groupby(happened) if what == "told"]
    assert sum(told_in_a_row) == len(names)
    assert max(told_in_a_row) <= 2 * _poller._SUBSCRIPTIONS_PER_TURN


class HookThatIsAskedToWait(HookOfOnePage):
    async def run_flow(self, flow):
        flow.close()
        raise MediaUnavailableError("No.", status=503, retry_after=100.0)


def test_a_little_more_than_what_the_server_asks_is_waited_by_chance(monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.5)

    async def scenario():
        poller = Poller(HookThatIsAskedToWait([]))
        watch = Subscription(WaitCriteria(names=("a",)), interval=60, policy=PollPolicy())
        poller.add(watch)
        await watch.changed()
        await asyncio.sleep(0.01)  # for the look's end
        not_before = poller.not_before - asyncio.get_running_loop().time()
        await poller.stop()
        return not_before

    assert 100.2 < asyncio.run(scenario()) <= 100.5


def test_looks_come_by_chance_up_to_a_tenth_of_the_interval_later(monkeypatch):
    async def gap(chance):
        monkeypatch.setattr("random.random", lambda: chance)
        poller = Poller(HookOfOnePage([]))
        watch = Subscription(WaitCriteria(names=("late",)), interval=8, policy=PollPolicy())
        poller.add(watch)
        await poller._poll()
        await poller.stop()
        return poller._next_poll - poller._last_poll

    assert [round(asyncio.run(gap(chance)), 6) for chance in (0.0, 0.5, 1.0)] == [8.0, 8.4, 8.8]
