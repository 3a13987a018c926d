"""Test that a search by name finds exactly the files that the whole list has, whatever the server's collation."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_media._api import name_search
from airflow_provider_media._api.flows import list_named
from airflow_provider_media._api.protocol import ApiRequest, ApiResponse
from airflow_provider_media._api.retry import RetryState
from airflow_provider_media._upload.checkpoint import RecentUploads
from airflow_provider_media._upload.flow import upload_media
from airflow_provider_media._upload.spec import with_fingerprint
from airflow_provider_media.exceptions import MediaError, MediaRequestError, MediaResponseError
from tests.unit.helpers.fake_library import CLOCK, FakeLibrary, make_upload

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 40
"""Entries per page of the servers: they shorten longer pages."""


class Server:
    """A library whose list is sorted on request.

    :param names: the names in the order of the ids, from 1.
    :param key: the collation.
    :param page_size: the max number of entries of a page.
    """

    def __init__(self, names: list[str | None], key: Callable[[str], Any] = str, *, page_size: int = PAGE) -> None:
        self.files: list[dict[str, Any]] = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
        self.key = key
        self.page_size = page_size
        self.requests = 0
        self.descends = False
        self.before_request: Callable[[int], None] = lambda _: None

    def listed(self, params: dict[str, str]) -> list[dict[str, Any]]:
        """The whole list in the requested order."""
        if params["sortBy"] == "name":
            named = [media for media in self.files if media["name"] is not None]
            unnamed = [media for media in self.files if media["name"] is None]
            found = sorted(named, key=lambda media: self.key(media["name"])) + unnamed
            return found[::-1] if self.descends else found
        return sorted(self.files, key=lambda media: media["id"], reverse=params["sortOrder"] == "desc")

    def total(self, _params: dict[str, str]) -> int | None:
        """The total of a response."""
        return len(self.files)

    def page(self, params: dict[str, str], number: int, limit: int) -> list[dict[str, Any]]:
        """One page."""
        return self.listed(params)[number * limit : (number + 1) * limit]

    def respond(self, request: ApiRequest) -> ApiResponse:
        self.requests += 1
        self.before_request(self.requests)
        params = dict(request.params)
        page = self.page(params, int(params["page"]), min(self.page_size, int(params["limit"])))
        return ApiResponse(
            status=200, headers={}, body=json.dumps({"items": page, "total": self.total(params)}).encode()
        )

    def find(self, name: str) -> list[int]:
        """Return the ids of the files of a name."""
        flow = list_named(name)
        request = next(flow)
        try:
            while True:
                assert isinstance(request, ApiRequest)
                try:
                    response = self.respond(request)
                except MediaError as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(response)
        except StopIteration as end:
            return sorted(media.id for media in end.value.files if media.name == name)

    def has(self, name: str) -> list[int]:
        """Return the ids that must be found."""
        return sorted(media["id"] for media in self.files if media["name"] == name)


PUNCTUATION = " !#$%&'()*+,-./:;<=>?@[]^_`{|}~"


@st.composite
def collations(draw: st.DrawFn) -> Callable[[str], Any]:
    """Draw a collation: how it compares case, accents, punctuation and numbers."""
    folds, by_value, pads = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    accents = draw(st.sampled_from(["code point", "ignored", "after z"]))
    ignored = draw(st.sampled_from(["", "-'", " ", PUNCTUATION]))
    first = draw(st.sampled_from(["", PUNCTUATION, "_" + PUNCTUATION]))

    def weight(character: str) -> tuple[int, int]:
        base = unicodedata.normalize("NFD", character)[0]
        if not character.isascii() and accents != "code point":
            character = base if accents == "ignored" else character
        if folds:
            character = character.lower()
        if character in first:
            return 0, first.index(character)
        return (2 if accents == "after z" and not character.isascii() else 1), ord(character)

    def key(name: str) -> Any:
        name = unicodedata.normalize("NFD", name) if accents == "ignored" else name
        kept = "".join(c for c in name if c not in ignored and not (accents == "ignored" and unicodedata.combining(c)))
        kept = kept.rstrip() if pads else kept
        if not by_value:
            return [weight(character) for character in kept]
        parts = re.split("([0-9]+)", kept)
        return [[(1, ord("0")), int(part)] if part.isdigit() else [*map(weight, part)] for part in parts if part]

    return key


WORDS = ["banner", "Banner", "spring", "Spot", "img", "IMG", "logo", "a", "Z", "teaser", "vip", "gift"]
FOREIGN = ["été", "zoë", "über", "ß", "品", "Ö", "e\u0301t"]
GLUE = ["-", "_", " ", ".", "", "'", "(", "~", "  "]


def random_name(chance: random.Random, words: list[str]) -> str:
    parts = [chance.choice([*words, str(chance.randrange(120)), f"{chance.randrange(9999):04}"]) for _ in range(3)]
    name = parts[0] + "".join(chance.choice(GLUE) + part for part in parts[1 : chance.randrange(1, 4)])
    return name + chance.choice([".png", ".PNG", ".jpg", ""])


def random_names(chance: random.Random) -> list[str | None]:
    """Names as files have them; some occur several times, on neighboring pages too."""
    words = chance.choice([WORDS, WORDS, WORDS + FOREIGN])
    names: list[str | None] = [random_name(chance, words) for _ in range(chance.randrange(7 * PAGE, 10 * PAGE))]
    for _ in range(chance.randrange(4)):
        names += [chance.choice([*names[:9], None])] * chance.randrange(1, PAGE)
    chance.shuffle(names)
    return names


def random_target(chance: random.Random, names: list[str | None]) -> str:
    """A name that the library has, a similar one, or another."""
    existing = chance.choice([name for name in names if name is not None])
    changed = [existing.swapcase(), existing.replace("-", "_"), existing.replace("e", "é")]
    return chance.choice([existing, existing, *changed, random_name(chance, WORDS), "0", "zzzz.png"])


@pytest.fixture
def few_names_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_search, "MIN_ORDERED_NAMES", 8)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=collations(), seed=st.integers(0, 10**9), descends=st.booleans())
@pytest.mark.usefixtures("few_names_suffice")
def test_every_collation_gives_the_files_of_the_whole_list(
    key: Callable[[str], Any], seed: int, *, descends: bool
) -> None:
    chance = random.Random(seed)
    names = random_names(chance)
    server = Server(names, key)
    server.descends = descends
    name = random_target(chance, names)
    assert server.find(name) == server.has(name)


class LyingServer(Server):
    """Sorts wrongly, or returns wrong pages or totals.

    :param lie: the kind.
    """

    def __init__(self, names: list[str | None], lie: str, chance: random.Random) -> None:
        super().__init__(names, chance.choice([str, str.lower]))
        self.lie = lie
        self.chance = chance
        if lie == "ids are random":
            chance.shuffle(self.files)
            for media in self.files:
                media["id"] = f"{chance.getrandbits(64):016x}"

    def respond(self, request: ApiRequest) -> ApiResponse:
        if self.lie == "changes between requests" and ("sortBy", "name") in request.params:
            self._change()
        return super().respond(request)

    def _change(self) -> None:
        """Another client deletes a file and adds one; neither has the name."""
        self.files.remove(self.chance.choice([media for media in self.files if media["name"] != self.name]))
        self.files.append({"id": 10_000 + self.requests, "name": self.chance.choice(["0.png", "~.png", "m.png"])})

    def find(self, name: str) -> list[int]:
        self.name = name
        return super().find(name)

    def listed(self, params: dict[str, str]) -> list[dict[str, Any]]:
        if self.lie == "ignores sortBy":
            params = {**params, "sortBy": "id"}
        if self.lie in {"ignores all parameters", "sorts each page only"}:
            return self.files
        if self.lie == "sorts half of the list":
            half = len(self.files) // 2
            return sorted(self.files[:half], key=lambda media: str(media["name"])) + self.files[half:]
        return super().listed(params)

    def page(self, params: dict[str, str], number: int, limit: int) -> list[dict[str, Any]]:
        if self.lie == "ignores the page":
            number = 0
        found = super().page(params, number, limit)
        if self.lie == "sorts each page only":
            return sorted(found, key=lambda media: str(media[params["sortBy"]]), reverse=params["sortOrder"] == "desc")
        return found

    def total(self, params: dict[str, str]) -> int | None:
        count = len(self.files)
        wrong = {"counts too many": count + 7, "counts too few": count - 30, "counts no files": None}
        return wrong.get(self.lie, count)


LIES = [
    *("changes between requests", "ids are random", "ignores sortBy", "ignores all parameters", "sorts each page only"),
    *("sorts half of the list", "ignores the page", "counts too many", "counts too few", "counts no files"),
]


@pytest.mark.parametrize("lie", LIES)
@settings(max_examples=8)
@given(seed=st.integers(0, 10**9))
def test_no_file_is_missed_if_the_server_does_not_sort_or_count_correctly(lie: str, seed: int) -> None:
    chance = random.Random(seed)
    names = random_names(chance)
    server = LyingServer(names, lie, chance)
    name = random_target(chance, names)
    if lie == "ignores the page":
        with suppress(MediaResponseError):  # the whole list cannot be read either
            assert server.find(name) == server.has(name)
    else:
        assert server.find(name) == server.has(name)


@pytest.mark.usefixtures("few_names_suffice")
@pytest.mark.parametrize("key", [str, str.lower], ids=["code point", "without case"])
@pytest.mark.parametrize(("pages", "most"), [(1, 2), (10, 6), (100, 9)])
def test_requests_grow_with_the_logarithm_of_the_library(key: Callable[[str], Any], pages: int, most: int) -> None:
    chance = random.Random(5)
    names = [f"{chance.choice(WORDS)}-{chance.randrange(10**6)}.png" for _ in range(pages * PAGE)]
    server = Server([*names], key)
    for name in (*names[:3], "0.png", "zzz.png", "Banner-new.png"):
        server.requests = 0
        assert server.find(name) == server.has(name)
        assert server.requests <= most, name


@pytest.mark.usefixtures("few_names_suffice")
@pytest.mark.parametrize("page", [1, 5, 6, 9])
def test_files_of_one_name_on_two_pages_are_all_found(page: int) -> None:
    numbers = list(range(10 * PAGE))
    random.Random(2).shuffle(numbers)
    for position in range(page * PAGE - 6, page * PAGE + 2):
        name = f"{position:04}x.png"
        server = Server([*(f"{number:04}.png" for number in numbers), *[name] * 6])
        assert server.find(name) == server.has(name)
        assert server.requests <= 7


@pytest.mark.usefixtures("few_names_suffice")
def test_a_name_with_punctuation_of_its_own_is_found() -> None:
    """By code point, it follows all names with "a", and the neighbors there would not show that it is elsewhere."""
    names: list[str | None] = [f"{letter}{number:03}.png" for number in range(5 * PAGE) for letter in "ab"]
    names.append("a_10x.png")
    for key in (str, str.lower, lambda name: name.replace("_", ""), lambda name: name.replace("_", "~")):
        assert Server(names, key).find("a_10x.png") == [len(names)]


def test_pages_that_are_sorted_alone_are_not_a_sorted_list() -> None:
    chance = random.Random(3)
    names = [f"m{chance.randrange(10**6)}.png" for _ in range(10 * PAGE)]
    for page in range(10):  # the ends of the pages ascend
        names[page * PAGE], names[page * PAGE + 1] = f"a{page}.png", f"z{page}.png"
    server = LyingServer([*names], "sorts each page only", chance)
    by_id = sorted(server.files, key=lambda media: media["id"], reverse=True)
    server.listed = lambda params: by_id if params["sortBy"] == "id" else server.files  # type: ignore[method-assign]
    for name in names[::50]:
        assert server.find(name) == server.has(name)


def test_a_server_that_rejects_the_order_is_listed_completely() -> None:
    names: list[str | None] = [f"{number % 7}-{number}.png" for number in range(10 * PAGE)]
    server = Server(names)

    def reject(_number: int) -> None:
        if server.requests == 2:
            raise MediaRequestError("sortBy is invalid", status=400)

    server.before_request = reject
    assert server.find("3-3.png") == [4]
    assert server.requests > 10


def test_an_invalid_entry_of_the_name_is_an_error() -> None:
    names: list[str | None] = [f"{number % 7}-{number}.png" for number in range(10 * PAGE)]
    server = Server(names)
    server.files[3]["size"] = -1
    with pytest.raises(MediaResponseError, match=r"Invalid list entry '3-3.png'"):
        server.find("3-3.png")


def test_a_list_by_id_whose_names_ascend_with_their_ids_is_read_completely() -> None:
    names: list[str | None] = [f"{number:04}.png" for number in range(10 * PAGE)]
    names[4 * PAGE] = "0.png"
    chance = random.Random(1)
    server = LyingServer(names, "ignores sortBy", chance)
    assert server.find("0.png") == [4 * PAGE + 1]


class SortedLibrary(FakeLibrary):
    """Sorts by name too."""

    def _page(self, params: dict[str, str]) -> ApiResponse:
        if params["sortBy"] == "name":
            self.files.sort(key=lambda media: media["name"])
        return super()._page(params)


class SequentialServer(Server):
    """A library whose names ascend with their ids, except for one.

    :param outlier: the id of the file whose name does not ascend.
    :param sorts_by: the sort fields that it obeys; for others it lists by id.
    :param is_descending: whether it then ignores ``sortOrder`` too.
    """

    def __init__(
        self, outlier: int, sorts_by: tuple[str, ...], *, is_descending: bool = False, page_size: int = PAGE
    ) -> None:
        names: list[str | None] = [f"file-{number:06}" for number in range(1, 12 * page_size + 1)]
        names[outlier - 1] = "a-banner"
        super().__init__(names, page_size=page_size)
        self.sorts_by = sorts_by
        self.is_descending = is_descending
        for media in self.files:
            media["size"] = 1 + media["id"] * 7919 % 1009

    def listed(self, params: dict[str, str]) -> list[dict[str, Any]]:
        if (field := params["sortBy"]) in self.sorts_by:
            return sorted(self.files, key=lambda media: media[field])
        is_reversed = params["sortOrder"] == "desc" if field == "id" else self.is_descending
        return self.files[::-1] if is_reversed else self.files


@pytest.mark.parametrize(
    ("outlier", "page_size", "is_descending"),
    [(1, PAGE, False), (173, PAGE, True), (240, PAGE, False), (5173, 1000, False)],
)
def test_an_early_file_out_of_order_is_found_in_a_list_by_id(
    outlier: int, page_size: int, *, is_descending: bool
) -> None:
    server = SequentialServer(outlier, (), is_descending=is_descending, page_size=page_size)
    assert server.find("a-banner") == [outlier]
    assert server.find("file-000345") == [345]


@pytest.mark.parametrize("outlier", [1, 173])
def test_one_page_by_size_shows_that_a_server_sorts(outlier: int) -> None:
    server = SequentialServer(outlier, ("name", "size"))
    for name in ("a-banner", "file-000345", "file-000479", "file-7", "zzz"):
        server.requests = 0
        assert server.find(name) == server.has(name)
        assert server.requests <= 9


@pytest.mark.parametrize("reason", ["rejects", "equal sizes", "no sizes"])
def test_sizes_without_an_order_cost_no_read_of_the_whole_list(reason: str) -> None:
    server = SequentialServer(173, ("name", "size"), page_size=1000)
    for media in server.files:
        media["size"] = {"equal sizes": 5, "no sizes": None}.get(reason, media["size"])
    if reason == "no sizes":
        server.sorts_by = ("name",)
    respond = server.respond

    def reject(request: ApiRequest) -> ApiResponse:
        if ("sortBy", "size") in request.params and reason == "rejects":
            raise MediaRequestError("sortBy is invalid", status=400)
        return respond(request)

    server.respond = reject  # type: ignore[method-assign]
    for name in ("a-banner", "file-000345", "file-7"):
        server.requests = 0
        assert server.find(name) == server.has(name)
        assert server.requests <= 9


def test_the_oldest_file_is_found_in_a_list_by_id_of_equal_sizes() -> None:
    server = SequentialServer(1, (), page_size=1000)
    for media in server.files:
        media["size"] = 5
    server.files[0]["name"] = "summer-banner"
    assert server.find("summer-banner") == [1]
    assert server.find("file-000345") == [345]


def test_a_file_renamed_by_the_platform_is_found_by_its_description() -> None:
    library = SortedLibrary()
    library.files = [{"id": number, "name": f"{number % 977}-{number}.png"} for number in range(1, 6001)]
    upload = make_upload(name="banner.png")
    description = with_fingerprint(None, "0" * 64, "banner.png")
    library.files.append({"id": 6001, "name": "b.jpg", "description": description, "mimeType": "image/png", "size": 32})
    result = library.run(
        upload_media(
            upload,
            if_exists="reuse",
            settle_seconds=3,
            retries=RetryState(max_attempts=3, budget_seconds=100, clock=CLOCK),
            before_delete=lambda _: None,
            state=None,
            recent=RecentUploads(settle_seconds=3),
        )
    )
    assert (result.media.id, result.created) == (6001, False)
