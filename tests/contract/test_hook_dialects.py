"""What the documentation leaves open, pair by pair: ids, envelopes and totals."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, get_args

import pytest
import requests

from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import Envelope, IdStyle, SandboxSettings
from tests.contract.helpers.blocking import both_hooks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_media.hooks.media import MediaHook

ENVELOPES = get_args(Envelope)
ID_STYLES: tuple[IdStyle, ...] = ("number", "text")
TOTALS = (True, False)

DIALECTS = [
    (id_style, envelope, (place + number) % 2 == 0)
    for place, envelope in enumerate(ENVELOPES)
    for number, id_style in enumerate(ID_STYLES)
]
"""Each envelope with each id style, and the totals so that they meet both of both: half of all combinations."""


@pytest.fixture(params=DIALECTS, ids=lambda dialect: "-".join(map(str, dialect)))
def dialect(request: pytest.FixtureRequest) -> SandboxSettings:
    id_style, envelope, totals = request.param
    return SandboxSettings(api_key="key-of-the-tests", id_style=id_style, envelope=envelope, totals=totals)


@pytest.fixture
def hook(dialect: SandboxSettings, connect: Any) -> Iterator[MediaHook]:
    with run_in_thread(dialect) as running:
        yield connect(running.base_url, settle_seconds=5)


def test_every_pair_of_values_occurs() -> None:
    domains = (ID_STYLES, ENVELOPES, TOTALS)
    for (first, values), (second, others) in itertools.combinations(enumerate(domains), 2):
        met = {(dialect[first], dialect[second]) for dialect in DIALECTS}
        assert met == set(itertools.product(values, others))


def test_list_get_upload_reuse_replace_and_delete_work_in_every_dialect(
    hook: MediaHook, dialect: SandboxSettings, image: Path
) -> None:
    has_totals = dialect.totals and dialect.envelope != "array"
    made = [hook.upload(image, name=name).media for name in ("a", "b", "a", "c", "a")]
    ids = [media.id for media in made]
    assert {type(media_id) for media_id in ids} == {int if dialect.id_style == "number" else str}
    assert len(set(ids)) == 5

    assert sorted(media.id for media in hook.iter_media(page_size=2)) == sorted(ids)
    assert hook.list_page(limit=3).total == (5 if has_totals else None)
    assert [media.id for media in hook.find_media("a")] == [ids[0], ids[2], ids[4]]
    assert hook.get_media(ids[1]) == made[1]

    reused = hook.upload(image, name="a", if_exists="reuse")
    assert (reused.created, reused.media.id) == (False, ids[0])
    replaced = hook.upload(image, name="b", if_exists="replace")
    assert replaced.replaced == (ids[1],)

    hook.delete(ids[3])
    assert (hook.exists(ids[3]), hook.exists(ids[0])) == (False, True)
    left = {ids[0], ids[2], ids[4], replaced.media.id}
    assert {media.id for media in hook.iter_media()} == left
    works, message = hook.test_connection()
    assert works
    assert ("the library holds 4 files" in message) is has_totals


@both_hooks
def test_reading_works_in_every_dialect(hook: MediaHook, dialect: SandboxSettings, image: Path) -> None:
    url, headers = hook.settings.media_url, {"X-Api-Key": "key-of-the-tests"}
    for name in ("a", "b", "a"):
        with image.open("rb") as stream:
            requests.post(url, files={"file": stream}, data={"name": name}, headers=headers, timeout=5)
    media = list(hook.iter_media(page_size=2))
    assert sorted(str(one.name) for one in media) == ["a", "a", "b"]
    has_totals = dialect.totals and dialect.envelope != "array"
    assert hook.list_page(limit=2).total == (3 if has_totals else None)
    assert {one.id for one in hook.find_media("a")} == {one.id for one in media if one.name == "a"}
    assert [hook.get_media(one.id) for one in media] == media
    assert hook.exists(media[0].id)


def test_lost_response_is_resolved_in_every_dialect(hook: MediaHook, image: Path) -> None:
    fault = {"fault": "store_then_drop", "method": "POST"}
    for others in range(4):  # as many equal files are there already
        requests.post(f"{hook.settings.base_url}/_sandbox/faults", json=fault, timeout=5).raise_for_status()
        before = {media.id for media in hook.iter_media()}
        media = hook.upload(image).media
        assert {found.id for found in hook.iter_media()} - before == {media.id}
        assert len(before) == others
