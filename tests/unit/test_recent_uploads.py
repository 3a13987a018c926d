"""Test that uploads one after the other take one request each, and never adopt another task's file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._api.baseline import Baseline
from airflow_provider_media._api.retry import RetryState
from airflow_provider_media._upload.checkpoint import NoState, RecentUploads
from airflow_provider_media._upload.flow import upload_media
from airflow_provider_media.exceptions import MediaConflictError, MediaError
from tests.unit.helpers.fake_library import CLOCK, PNG, FakeLibrary, lost, make_upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media._api.protocol import ApiRequest, ApiResponse


class DatedLibrary(FakeLibrary):
    """A library with creation dates.

    :param unit: to which dates are truncated.
    """

    def __init__(self, unit: timedelta = timedelta(microseconds=1), **arguments: Any) -> None:
        super().__init__(**arguments)
        self._unit = unit
        self.recent = RecentUploads(settle_seconds=30)
        self.add("oldest")

    def add(self, *arguments: Any, age: timedelta = timedelta(0), **fields: Any) -> dict[str, Any]:
        created = datetime.now(UTC) - age
        created -= (created - datetime.min.replace(tzinfo=UTC)) % self._unit
        return super().add(*arguments, **{"createdAt": created.isoformat(), **fields})

    def add_of_another_task(self) -> None:
        """Add an equal file, after the latest upload and before the next one."""
        latest = datetime.fromisoformat(self.files[-1]["createdAt"])
        self.add("banner", createdAt=(latest + timedelta(microseconds=1)).isoformat())

    def upload(self, name: str, if_exists: str = "upload") -> int | str:
        """Upload an image and return its id."""
        flow = upload_media(
            make_upload(name=name),
            if_exists=if_exists,
            settle_seconds=3,
            retries=RetryState(max_attempts=3, budget_seconds=100, clock=CLOCK),
            before_delete=lambda _: None,
            state=NoState(),
            recent=self.recent,
        )
        result = self.run(flow)
        assert result.created
        media_id: int | str = result.media.id
        return media_id

    def methods(self) -> list[str]:
        return [call.partition(" ")[0] for call in self.calls]


def loses(*, after: Callable[[ApiRequest], Any] = lambda _: None) -> Callable[[ApiRequest], ApiResponse | None]:
    def act(call: ApiRequest) -> ApiResponse | None:
        after(call)
        raise lost()

    return act


def test_later_uploads_take_one_request() -> None:
    library = DatedLibrary()
    assert [library.upload(f"image {number}") for number in range(5)] == [2, 3, 4, 5, 6]
    assert library.methods() == ["GET", *["POST"] * 5]


def test_other_policies_still_read_the_list() -> None:
    library = DatedLibrary()
    for number, if_exists in enumerate(["reuse", "fail", "replace"]):
        library.upload("first")
        library.calls.clear()
        library.upload(f"image {number}", if_exists)
        assert library.methods()[0] == "GET"


@pytest.mark.parametrize("seconds", [1e-6, 1e-3, 1, 60])
def test_lost_response_is_recovered_with_dates_of_any_unit(seconds: float) -> None:
    library = DatedLibrary(timedelta(seconds=seconds))
    library.upload("first")
    library.on_post = [loses(after=library.store)]
    assert library.upload("banner") == 3
    assert (library.posts(), library.ids) == (2, [1, 2, 3])


def test_file_that_was_not_stored_is_sent_again() -> None:
    library = DatedLibrary()
    library.upload("first")
    library.on_post = [loses()]
    assert library.upload("banner") == 3
    assert (library.posts(), library.ids) == (3, [1, 2, 3])


def test_equal_file_of_another_task_is_not_adopted() -> None:
    library = DatedLibrary()
    library.upload("first")
    library.add_of_another_task()
    library.on_post = [loses()]
    with pytest.raises(MediaConflictError, match=r"does not show whether 3 .* was stored by it or before"):
        library.upload("banner")
    assert (library.posts(), library.ids) == (2, [1, 2, 3])


def test_own_file_is_adopted_beside_that_of_another_task() -> None:
    library = DatedLibrary()
    library.upload("first")
    library.add_of_another_task()
    library.on_post = [loses(after=library.store)]
    assert library.upload("banner") == 4
    assert (library.posts(), library.ids) == (2, [1, 2, 3, 4])


def test_date_before_the_latest_upload_is_not_believed() -> None:
    library = DatedLibrary()
    library.upload("first")
    library.on_post = [loses(after=lambda _: library.add("banner", PNG, age=timedelta(hours=1)))]
    with pytest.raises(MediaConflictError):  # the clocks of the servers differ: it may be the file
        library.upload("banner")
    assert library.posts() == 2


@pytest.mark.parametrize(
    "library",
    [
        DatedLibrary(timedelta(days=1), ids=iter([7, 3, 90, 1])),
        DatedLibrary(ids=iter("abcd")),
        FakeLibrary(),
    ],
    ids=["random ids", "strings", "no dates"],
)
def test_without_growing_ids_and_dates_each_upload_reads_the_list(library: Any) -> None:
    library.recent = RecentUploads(settle_seconds=30)
    for number in range(3):
        DatedLibrary.upload(library, f"image {number}")
    assert [call for call in DatedLibrary.methods(library) if call == "POST"] == ["POST"] * 3
    assert DatedLibrary.methods(library)[-2] == "GET"


def test_old_uploads_do_not_replace_the_baseline() -> None:
    library = DatedLibrary()
    library.recent = RecentUploads(settle_seconds=0)
    library.upload("first")
    library.upload("second")
    assert library.methods() == ["GET", "POST", "GET", "POST"]


def test_estimated_baseline_survives_the_state() -> None:
    library = DatedLibrary()
    library.upload("first")
    baseline = library.recent.baseline()
    assert baseline is not None
    assert Baseline.from_dict(baseline.to_dict()) == baseline
    assert baseline.is_estimated


def test_failed_upload_changes_no_baseline() -> None:
    library = DatedLibrary()
    library.upload("first")
    before = library.recent.latest_id
    library.on_post = [loses()] * 3
    with pytest.raises(MediaError):
        library.upload("banner")
    assert library.recent.latest_id == before
