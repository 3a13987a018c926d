"""Test which existing files are reused or adopted as an upload, and which may be deleted for it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_media._api.retry import RetryState
from airflow_provider_media._upload.checkpoint import RecentUploads
from airflow_provider_media._upload.flow import upload_media
from airflow_provider_media.exceptions import MediaConflictError, MediaError
from tests.unit.helpers.fake_library import CLOCK, FakeLibrary, lost, make_upload

IN_FIVE = make_upload(folder_id=5)


def run(library: FakeLibrary, if_exists: str, upload: Any = IN_FIVE) -> Any:
    retries = RetryState(max_attempts=3, budget_seconds=100, clock=CLOCK)
    return library.run(
        upload_media(
            upload,
            if_exists=if_exists,
            settle_seconds=3,
            retries=retries,
            before_delete=lambda _: None,
            state=None,
            recent=RecentUploads(settle_seconds=3),
        )
    )


@pytest.mark.parametrize("if_exists", ["reuse", "replace", "fail"])
def test_a_folder_omitted_by_the_list_is_fetched(if_exists: str) -> None:
    library = FakeLibrary(list_leaves_out=("folderId",))
    library.add(folderId=7)
    result = run(library, if_exists)
    assert (result.media.id, result.created, result.replaced, library.ids) == (2, True, (), [1, 2])
    assert "GET /1" in library.calls


def test_a_file_whose_get_shows_the_folder_is_replaced() -> None:
    library = FakeLibrary(list_leaves_out=("folderId",))
    library.add(folderId=7)
    library.add(folderId=5)
    assert run(library, "replace").replaced == (2,)
    assert library.ids == [1, 3]


def test_a_listed_or_unneeded_folder_is_not_fetched() -> None:
    library = FakeLibrary()
    library.add(folderId=7)
    library.add(folderId=5)
    assert run(library, "reuse").media.id == 2
    # A reused file is read again before it is returned.
    assert [call for call in library.calls if "?" not in call] == ["GET /2"]

    library = FakeLibrary(list_leaves_out=("folderId",))
    library.add(folderId=7)
    assert run(library, "reuse", make_upload()).media.id == 1
    assert [call for call in library.calls if "?" not in call] == ["GET /1"]


def test_a_file_with_an_unknown_folder_is_reused_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    library = FakeLibrary()
    library.add()
    with caplog.at_level(logging.INFO):
        assert run(library, "reuse").media.id == 1
    assert "does not return the folder of 1, so it may be in folder 5" in caplog.text


def test_a_file_known_to_be_in_the_folder_is_reused_first() -> None:
    library = FakeLibrary()
    library.add()
    library.add(folderId=5)
    assert run(library, "reuse").media.id == 2


def test_fail_counts_a_file_with_an_unknown_folder() -> None:
    library = FakeLibrary()
    library.add()
    with pytest.raises(MediaError, match=r"a file with this name exists \(if_exists='fail'\): 1 "):
        run(library, "fail")


def test_replace_never_deletes_a_file_with_an_unknown_folder() -> None:
    library = FakeLibrary()
    library.add()
    library.add(folderId=5)
    with pytest.raises(MediaError) as raised:
        run(library, "replace")
    assert type(raised.value) is MediaConflictError
    assert str(raised.value) == (
        "Could not replace 'banner' in folder 5: the API does not return the folder of 1, which may be another folder."
        " If it is this one, delete the file by its id. Or choose if_exists='upload'. Nothing was deleted."
    )
    assert (library.posts(), library.ids) == (0, [1, 2])


def test_a_file_in_another_folder_is_not_adopted() -> None:
    library = FakeLibrary(list_leaves_out=("folderId",))

    def lose(_call: Any) -> None:
        library.add(folderId=7)
        raise lost()

    library.on_post = [lose]
    assert (run(library, "upload").media.id, library.posts()) == (2, 2)


def test_listed_fields_survive_a_get_with_fewer_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeLibrary(list_leaves_out=("size",))
    library.add(folderId=5)
    usual = library.respond

    def respond_with_less(call: Any) -> Any:
        if call.path:
            library.files[0]["folderId"] = None
        return usual(call)

    monkeypatch.setattr(library, "respond", respond_with_less)
    assert run(library, "replace").replaced == (1,)


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("if_exists", ["reuse", "replace", "fail"])
@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ("banner", " banner "),
        (" banner ", "banner"),
        (COMPOSED, DECOMPOSED),
        (DECOMPOSED, COMPOSED),
        ("Banner", "banner"),
        ("spring  banner", "spring banner"),
        ("spring-banner", "spring banner"),
        (None, "banner"),
    ],
)
def test_a_name_in_another_form_does_not_match(stored: str | None, wanted: str, if_exists: str) -> None:
    library = FakeLibrary()
    library.add()["name"] = stored
    result = run(library, if_exists, make_upload(name=wanted))
    assert (result.created, result.replaced, library.ids) == (True, (), [1, 2])


@pytest.mark.parametrize("if_exists", ["upload", "reuse"])
def test_an_older_file_with_a_trimmed_name_is_not_adopted(if_exists: str) -> None:
    library = FakeLibrary(ids=iter(["b", "a"]))
    library.add("banner", size=31 if if_exists == "reuse" else 32)

    def lose(_call: Any) -> None:
        library.files[0]["size"] = 32
        raise lost()

    library.on_post = [lose]
    assert (run(library, if_exists, make_upload(name="banner ")).media.id, library.posts()) == ("a", 2)
