"""A shared lookup that mostly reads the newest files finds what a reading of the whole list finds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_media._api import flows
from airflow_provider_media._polling import lookup as lookup_module
from airflow_provider_media._polling import newest as newest_module
from airflow_provider_media._polling.criteria import Found, LookupResult, WaitCriteria
from airflow_provider_media._polling.lookup import SharedLookup, lookup
from airflow_provider_media.exceptions import MediaRequestError, MediaUnavailableError
from tests.unit.helpers.fake_library import FakeLibrary
from tests.unit.helpers.id_styles import STYLES

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = 1_782_907_200.0
OVERLAP = 8
PAGE = 20
LOOKUPS_PER_LISTING = 5


@pytest.fixture(autouse=True)
def short_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(newest_module, "MIN_REMEMBERED", OVERLAP)
        monkeypatch.setattr(newest_module, "NEWEST_FILES", 15)
        monkeypatch.setattr(lookup_module, "_LOOKUPS_PER_LISTING", LOOKUPS_PER_LISTING)
        defaults = flows.Paginator.__init__.__kwdefaults__ | {"page_size": PAGE}  # type: ignore[operator]
        monkeypatch.setattr(flows.Paginator.__init__, "__kwdefaults__", defaults)
        yield


@dataclass
class Sensor:
    """A sensor that waits for one id, name or pattern.

    :param overdue: the number of lookups in which a reading of the whole list would have found it.
    """

    criteria: WaitCriteria
    overdue: int = 0


class Waits:
    """Sensors that share a lookup, and their library."""

    def __init__(self, library: FakeLibrary, *, has_dates: bool = True) -> None:
        self.library = library
        self.sensors: list[Sensor] = []
        self._has_dates = has_dates
        self._shared = SharedLookup()
        self._now = NOON

    def new_file(self, name: str, **fields: Any) -> dict[str, Any]:
        """Return a file that is stored now, before it is in the list."""
        self._now += 1
        created = {"createdAt": datetime.fromtimestamp(self._now, UTC).isoformat()} if self._has_dates else {}
        media = self.library.add(name, **(created | fields))
        self.library.files.remove(media)
        return media

    def store(self, name: str, **fields: Any) -> None:
        self.library.files.append(self.new_file(name, **fields))

    def await_(self, **criteria: Any) -> None:
        self.sensors.append(Sensor(WaitCriteria(**criteria)))

    def lookup(self) -> tuple[list[tuple[Found, Found]], int]:
        """Return what each sensor finds, beside what the whole list has, and the number of requests."""
        before, shared, whole = len(self.library.calls), LookupResult(), LookupResult()
        ids = [key for sensor in self.sensors for key in sensor.criteria.ids]
        names = [key for sensor in self.sensors for key in sensor.criteria.names]
        self.library.run(self._shared.run(ids, names, result=shared))
        requests = len(self.library.calls) - before
        self.library.run(lookup(ids, names, result=whole))
        found = [(each.criteria.satisfied_by(shared), each.criteria.satisfied_by(whole)) for each in self.sensors]
        for sensor, (mine, there) in zip(self.sensors, found, strict=True):
            assert set(mine) <= set(there)
            sensor.overdue = sensor.overdue + 1 if there and not mine else 0
        self.sensors = [each for each, (mine, _) in zip(self.sensors, found, strict=True) if not mine]
        return found, requests


def ignoring_order(library: FakeLibrary) -> None:
    library._ignores_order = True


def without_totals(library: FakeLibrary) -> None:
    library._totals = False


def with_excessive_total(library: FakeLibrary) -> None:
    page = library._page

    def lie(params: dict[str, str]) -> Any:
        response = page(params)
        content = json.loads(response.body or b"")
        return replace(response, body=json.dumps(content | {"total": len(library.files) + 7}).encode())

    library._page = lie  # type: ignore[method-assign]


def refusing_dates(library: FakeLibrary) -> None:
    def refuse(line: str) -> None:
        if "sortBy=createdAt" in line:
            raise MediaRequestError("Unknown sort field.", status=400)

    library.on_call = refuse


SERVERS = [lambda _: None, ignoring_order, without_totals, with_excessive_total, refusing_dates]
KEYS: list[dict[str, Any]] = [
    *({"names": (f"banner {number}",)} for number in range(3)),
    *({"names": ("banner*",), "min_matches": count} for count in (1, 2, 5)),
    {"names": ("* 2",), "min_matches": 2},
    {"names": ("banner [12]",), "exact": frozenset({"banner [12]"})},
]
NAMES = ["other", "banner 0", "banner 1", "banner 2", "card 2", "banner [12]"]


class Steps:
    """What may happen between two lookups; each method is a step."""

    def __init__(self, waits: Waits, draw: Any) -> None:
        self._waits = waits
        self._draw = draw
        self._files = waits.library.files
        self._late: list[dict[str, Any]] = []
        self._imported = 10**15
        self.may_be_missed = False

    @classmethod
    def all(cls) -> list[str]:
        return [name[3:] for name in vars(cls) if name.startswith("do_")]

    def take(self, step: str) -> None:
        """Take a step; a late file of the step before appears."""
        self._files += self._late
        self._late.clear()
        getattr(self, f"do_{step}")()

    def _name(self) -> Any:
        return self._draw(st.sampled_from(NAMES))

    def do_few(self) -> None:
        for name in self._draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)):
            self._waits.store(name)

    def do_many(self) -> None:
        for _ in range(2 * PAGE):
            self._waits.store("other")

    def do_sensor(self) -> None:
        self._waits.await_(**self._draw(st.sampled_from(KEYS)))

    def do_sensor_by_id(self) -> None:
        self._waits.await_(ids=(str(self._draw(st.integers(1, 150))),))

    def do_late_file(self) -> None:
        self._late.append(self._waits.new_file(self._name()))

    def do_future(self) -> None:
        self._waits.store(self._name(), createdAt="2999-01-01T00:00:00Z")

    def do_import(self) -> None:
        self._imported += 1
        self._waits.store(self._name(), id=self._imported)

    def do_import_with_old_date(self) -> None:
        self._waits.store(self._name(), createdAt="1999-01-01T00:00:00Z")
        self.may_be_missed = True

    def do_rename(self) -> None:
        if self._files:
            self._draw(st.sampled_from(self._files))["name"] = "banner 1"
            self.may_be_missed = True

    def do_delete(self) -> None:
        for _ in range(min(3, len(self._files))):
            del self._files[self._draw(st.integers(max(0, len(self._files) - 15), len(self._files) - 1))]

    def do_nothing(self) -> None:
        pass


def ids_of(found: Found) -> dict[str, set[Any]]:
    return {key: {media.id for media in files} for key, files in found.items()}


@pytest.mark.parametrize("style", STYLES)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_shared_lookup_finds_what_the_whole_list_has(style: str, data: st.DataObject) -> None:
    waits = Waits(FakeLibrary(ids=STYLES[style]()), has_dates=data.draw(st.booleans(), "dates"))
    data.draw(st.sampled_from(SERVERS), "server")(waits.library)
    for _ in range(data.draw(st.sampled_from([0, 3, 15, 45]), "existing files")):
        waits.store("other")
    for criteria in data.draw(st.lists(st.sampled_from(KEYS), max_size=3), "sensors"):
        waits.await_(**criteria)
    steps = Steps(waits, data.draw)
    for step in data.draw(st.lists(st.sampled_from(Steps.all()), max_size=10), "steps"):
        steps.take(step)
        found, _ = waits.lookup()
        for mine, whole in found:
            assert steps.may_be_missed or ids_of(mine) == ids_of(whole)
    for _ in range(LOOKUPS_PER_LISTING):
        steps.take("nothing")
        waits.lookup()
    assert not any(sensor.overdue for sensor in waits.sensors)


def waits_in_library(style: str, files: int = 4 * PAGE, **options: Any) -> Waits:
    waits = Waits(FakeLibrary(ids=STYLES[style]()), **options)
    for _ in range(files):
        waits.store("other")
    return waits


WHOLE = 4 + 1
"""The requests of a library of four pages, because the last one is full."""


def requests(waits: Waits, count: int) -> list[int]:
    return [waits.lookup()[1] for _ in range(count)]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("keys", ["names", "ids"])
def test_later_lookups_take_one_request(style: str, keys: str) -> None:
    waits = waits_in_library(style)
    for number in range(10):
        waits.await_(**{keys: (str(5 * 10**9 + number),)})
    assert requests(waits, 2 * LOOKUPS_PER_LISTING) == [WHOLE, *[1] * (LOOKUPS_PER_LISTING - 1)] * 2


@pytest.mark.parametrize("server", [ignoring_order, with_excessive_total, refusing_dates])
def test_without_a_trusted_order_each_lookup_reads_the_whole_list(server: Any) -> None:
    waits = waits_in_library("strings", has_dates=server is refusing_dates)
    server(waits.library)
    waits.await_(names=("missing",))
    counts = requests(waits, 6)
    assert counts[0] == WHOLE
    assert max(counts) <= WHOLE + (server is refusing_dates)  # one refused request
    assert counts[2:] == [WHOLE] * 4


def test_further_match_reads_the_whole_list_because_earlier_ones_may_be_deleted() -> None:
    waits = waits_in_library("growing", files=0)
    waits.store("card 1")
    for _ in range(4 * PAGE):
        waits.store("other")
    waits.await_(names=("card*",), min_matches=2)
    assert requests(waits, 2) == [WHOLE, 1]
    del waits.library.files[0]
    waits.store("card 2")
    [(found, _)], count = waits.lookup()
    assert (found, count) == ({}, WHOLE)
    waits.store("card 3")
    [(found, _)], _ = waits.lookup()
    assert [media.name for media in found["card*"]] == ["card 2", "card 3"]


def test_late_file_is_found_among_the_newest() -> None:
    waits = waits_in_library("growing")
    waits.await_(names=("banner",))
    late = waits.new_file("banner")
    waits.store("other")
    assert waits.lookup()[1] == WHOLE
    waits.library.files.append(late)
    assert [list(found) for found, _ in waits.lookup()[0]] == [["banner"]]


def test_ids_of_several_counters_hide_no_new_file() -> None:
    waits = waits_in_library("sharded")
    waits.await_(names=("banner",))
    waits.lookup()
    waits.store("other")
    waits.store("banner")  # its id is less than those of another counter
    for _ in range(PAGE):
        waits.store("other")
    assert [list(found) for found, _ in waits.lookup()[0]] == [["banner"]]


def test_new_sensor_reads_the_whole_list_once() -> None:
    waits = waits_in_library("growing")
    waits.await_(names=("a",))
    waits.lookup()
    waits.library.files[0]["name"] = "b"
    waits.await_(names=("b",))
    assert requests(waits, 2) == [WHOLE, 1]
    assert [sensor.criteria.names for sensor in waits.sensors] == [("a",)]


def test_failed_lookup_misses_no_file() -> None:
    waits = waits_in_library("growing")
    waits.await_(names=("banner",))
    waits.lookup()
    waits.store("banner")
    for _ in range(PAGE):
        waits.store("other")

    def fail(line: str) -> None:
        if "page=1" in line:
            waits.library.on_call = lambda _: None
            raise MediaUnavailableError("It went wrong.")

    waits.library.on_call = fail
    with pytest.raises(MediaUnavailableError):
        waits.lookup()
    assert [list(found) for found, _ in waits.lookup()[0]] == [["banner"]]


def test_names_of_a_sensor_that_is_not_due_are_searched_too() -> None:
    library, shared, result = waits_in_library("growing").library, SharedLookup(), LookupResult()
    library.run(shared.run((), ["a"], also_names=["b"], result=LookupResult()))
    library.add("b", createdAt="2026-07-02T00:00:00Z")
    library.calls.clear()
    library.run(shared.run((), ["a"], also_names=["b"], result=result))
    assert (list(result.names), len(library.calls)) == (["b"], 1)
