"""MediaSyncOperator against the sandbox: uploads, kept and replaced files, refusals, and requests."""

from __future__ import annotations

import json
import logging
import os
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaConflictError,
    MediaFileError,
    MediaInUseError,
    MediaRequestError,
    MediaUnavailableError,
)
from tests.contract.helpers.sandbox_library import sha256_of
from tests.contract.helpers.syncing import PNG, Folder, Syncing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.helpers.sandbox_library import SandboxLibrary


@pytest.fixture
def sync(folder: Folder, connect: Any, library: SandboxLibrary) -> Syncing:
    return Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)


def named(library: SandboxLibrary) -> dict[str, int]:
    """Return ids by name, the newest of several."""
    return {media["name"]: media["id"] for media in library.files()}


def test_first_sync_sends_all_and_costs_one_request_a_file(
    folder: Folder, sync: Syncing, library: SandboxLibrary
) -> None:
    folder.write("banner.png", "cards/latte.png", "cards/Größe.png")
    manifest = sync()

    assert sorted(library.methods().split()) == ["GET", "POST", "POST", "POST"]
    assert list(manifest) == ["banner.png", "cards/Größe.png", "cards/latte.png"]
    assert manifest["banner.png"] == {
        "path": "banner.png",
        "id": named(library)["banner.png"],
        "name": "banner.png",
        "url": manifest["banner.png"]["url"],
        "mime_type": "image/png",
        "size": 18,
        "action": "create",
        "warnings": [],
    }
    for path, entry in manifest.items():
        assert sha256_of(entry["url"]) == sha256_of((folder.root / path).read_bytes())


def test_second_sync_lists_once_and_keeps_all(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    folder.write("banner.png", "cards/latte.png")
    first = sync()
    library.forget()
    second = sync()

    assert library.methods() == "GET GET GET GET"
    assert {path: entry | {"action": "keep"} for path, entry in first.items()} == second


def test_a_changed_file_replaces_the_old_one_once_verified(
    folder: Folder, sync: Syncing, library: SandboxLibrary
) -> None:
    folder.write("banner.png", "latte.png")
    first = sync()
    folder.write("banner.png", content=b"of today, and longer")
    library.forget()
    second = sync()

    assert library.methods() == "GET GET POST GET GET DELETE GET"
    old = f"/{first['banner.png']['id']}"
    assert [call["path"].endswith(old) for call in library.journal()] == [*[False] * 4, True, True, False]
    assert second["banner.png"]["action"] == "replace"
    assert named(library) == {path: entry["id"] for path, entry in second.items()}
    assert len(library.files()) == 2


def test_an_old_version_is_kept_if_the_new_size_differs(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    old = library.store("banner.png", PNG + b"old")
    folder.write("banner.png")
    library.fail("status", method="GET", skip=2, status=200, body={"id": old + 1, "name": "banner.png", "size": 1})

    with pytest.raises(MediaFileError.__mro__[1], match=r"the library shows 1 bytes instead of 18"):
        sync()
    assert old in [media["id"] for media in library.files()]


def test_upload_keeps_the_old_version_beside(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    old = library.store("banner.png", PNG + b"old")
    folder.write("banner.png")
    manifest = sync(if_changed="upload")

    assert [media["id"] for media in library.files()] == [old, manifest["banner.png"]["id"]]
    assert sync(if_changed="upload")["banner.png"] == manifest["banner.png"] | {"action": "keep"}


def test_fail_refuses_a_changed_file_before_anything_is_sent(
    folder: Folder, sync: Syncing, library: SandboxLibrary
) -> None:
    old = library.store("banner.png", PNG + b"old")
    folder.write("banner.png", "new.png")
    library.forget()

    with pytest.raises(
        MediaConflictError, match=rf"Cannot sync 1 of 2 files; nothing was uploaded\nbanner.png  id {old} differs"
    ):
        sync(if_changed="fail")
    assert library.methods() == "GET GET"


def test_one_error_names_all_invalid_files(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    folder.write("good.png", "a/twice.png", "b/twice.png")
    (folder.root / "empty.png").write_bytes(b"")
    (folder.root / "notes.txt").write_text("shopping list")

    with pytest.raises(MediaConflictError) as caught:
        sync(name_template="{name}", allow_failures=10)
    first, *lines = str(caught.value).splitlines()
    assert first == "Cannot sync 4 of 5 files; nothing was uploaded"
    assert [line.split()[0] for line in lines] == ["a/twice.png", "b/twice.png", "empty.png", "notes.txt"]
    assert "would share the name 'twice.png' with b/twice.png" in lines[0]
    assert lines[2].endswith("it is empty (0 bytes), perhaps a placeholder.")
    assert "text file; the library accepts JPEG, PNG, GIF, MP4" in lines[3]
    assert library.count("POST") == 0


def test_a_named_pipe_is_refused_and_never_waited_for(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    """Opening it would wait for a writer, in a thread that nothing can end."""
    folder.write("good.png")
    os.mkfifo(folder.root / "pipe.png")
    (folder.root / "link.png").symlink_to(folder.root / "good.png")
    with pytest.raises(MediaFileError, match="Cannot sync 1 of 3 files") as caught:
        sync()
    assert str(caught.value).endswith("pipe.png  it is a named pipe or a socket, not a regular file.")
    assert library.count("POST") == 0


def test_a_name_that_is_not_utf_8_is_escaped(
    folder: Folder, sync: Syncing, library: SandboxLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("good.png", os.fsdecode(b"caf\xe9.png"), content=b"x")
    manifest = sync()
    assert manifest["caf\\udce9.png"]["name"] == "caf\\udce9.png"
    for text in (caplog.text, json.dumps(manifest, ensure_ascii=False), json.dumps(sync(dry_run=True))):
        text.encode()
    assert library.count("POST") == 2


def image(path: Path, mode: str, size: tuple[int, int] = (8, 8)) -> None:
    from PIL import Image

    Image.new(mode, size).save(path)


def test_one_error_names_all_files_that_channels_refuse(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    image(folder.root / "good.png", "RGB")
    image(folder.root / "moving.gif", "P")
    image(folder.root / "print.jpg", "CMYK")
    folder.write("broken.png")

    with pytest.raises(MediaFileError, match="Cannot sync 3 of 4 files; nothing was uploaded") as caught:
        sync(channels=["whatsapp"])
    assert [line.split()[0] for line in str(caught.value).splitlines()[1:]] == ["broken.png", "moving.gif", "print.jpg"]
    assert "CMYK" in str(caught.value)
    assert library.count("POST") == 0


def test_a_refusal_starts_with_its_reason_and_logs_no_plan(
    folder: Folder, sync: Syncing, library: SandboxLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    image(folder.root / "anim.gif", "P")
    for number in range(9):
        image(folder.root / f"{number}.png", "RGB")
    with caplog.at_level(logging.INFO), pytest.raises(MediaFileError) as caught:
        sync(channels=["whatsapp"])
    assert str(caught.value) == (
        "WhatsApp does not accept 1 of 10 files; nothing was uploaded\nanim.gif  GIF; WhatsApp accepts JPEG, PNG, MP4"
    )
    assert "Plan: 9 create, 1 refuse" in caplog.messages
    assert not any("not in the library" in message for message in caplog.messages)
    assert library.count("POST") == 0


def test_the_log_groups_kept_files_and_shows_warnings(
    folder: Folder, sync: Syncing, caplog: pytest.LogCaptureFixture
) -> None:
    image(folder.root / "card.png", "RGB", (1440, 720))
    sync()
    image(folder.root / "p4.png", "RGB", (1080, 1920))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        media_id = sync(channels=["rcs"])["card.png"]["id"]
    assert "Plan: 1 create, 1 keep\ncreate  p4.png  RCS: 1080x1920 fits no card" in caplog.messages
    start = caplog.messages.index("::group::1 kept file")
    assert caplog.messages[start + 1] == f"keep  card.png  in the library as {media_id}: same size and type"
    assert caplog.messages[start + 2] == "::endgroup::"
    assert any(message.startswith("Uploaded 'p4.png': id ") for message in caplog.messages)


def test_what_channels_recommend_otherwise_is_in_the_manifest(folder: Folder, sync: Syncing) -> None:
    image(folder.root / "card.png", "RGB", (1440, 720))
    image(folder.root / "narrow.png", "RGB", (100, 700))
    for _ in range(2):
        manifest = sync(channels='["rcs", "whatsapp"]')
        assert manifest["card.png"]["warnings"] == []
        (warning,) = manifest["narrow.png"]["warnings"]
        assert "RCS: 100x700 fits no card; recommended" in warning


def test_names_follow_the_template(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    folder.write("cards/latte.v2.png")
    manifest = sync(name_template="summer {stem} ({name}, {suffix}, {path})", folder_id="7", description="Of summer")

    (stored,) = library.files()
    assert stored["name"] == "summer latte.v2 (latte.v2.png, .png, cards/latte.v2.png)"
    assert (stored["folderId"], stored["description"]) == (7, "Of summer")
    assert manifest["cards/latte.v2.png"]["name"] == stored["name"]


def test_a_dry_run_returns_the_plan_of_the_real_run(
    folder: Folder, sync: Syncing, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_media._sync.run import FolderSync

    plans = []
    plan = FolderSync.plan
    monkeypatch.setattr(FolderSync, "plan", lambda *given: plans.append(plan(*given)) or plans[-1])
    kept, old = library.store("kept.png", PNG + b"kept.png"), library.store("old.png", PNG + b"of yesterday")
    folder.write("kept.png", "new.png", "old.png")
    library.forget()
    planned = sync(dry_run="True")

    assert library.methods() == "GET GET"
    assert planned["counts"] == {"create": 1, "replace": 1, "keep": 1, "refuse": 0}
    steps = {step["path"]: (step["action"], step["id"], step["old_ids"]) for step in planned["steps"]}
    assert steps == {
        "kept.png": ("keep", kept, []),
        "new.png": ("create", None, []),
        "old.png": ("replace", None, [old]),
    }
    manifest = sync(dry_run="False")
    assert plans[0].to_dict() == plans[1].to_dict()
    assert {path: entry["action"] for path, entry in manifest.items()} == {
        step["path"]: step["action"] for step in planned["steps"]
    }


def test_a_changed_library_is_planned_again(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    folder.write("new.png")
    assert sync(dry_run=True)["counts"]["create"] == 1
    other = library.store("new.png", PNG + b"new.png")
    manifest = sync()

    assert (manifest["new.png"]["action"], manifest["new.png"]["id"]) == ("keep", other)


def test_a_name_stored_by_others_after_the_listing_is_kept(
    folder: Folder, sync: Syncing, library: SandboxLibrary
) -> None:
    folder.write("new.png")
    others: list[int] = []

    def other_stores(_media: Any) -> list[str]:
        others.append(library.store("new.png", PNG + b"of somebody else"))
        return []

    folder.write("changed.png")
    library.store("changed.png", PNG + b"old")
    manifest = sync(references=other_stores)  # asked after the listing, before the first byte

    assert len(others) == 2
    assert {media["id"] for media in library.files() if media["name"] == "new.png"} == {
        *others,
        manifest["new.png"]["id"],
    }
    assert sync()["new.png"] == manifest["new.png"] | {"action": "keep"}


def test_an_old_version_deleted_by_others_is_no_failure(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    old = library.store("banner.png", PNG + b"old")
    folder.write("banner.png")
    asked: list[int] = []

    def other_deletes(media: Any) -> list[str]:
        asked.append(media.id)
        if len(asked) == 2:
            library.delete(old)
        return []

    assert sync(references=other_deletes)["banner.png"]["action"] == "replace"
    assert len(library.files()) == 1


def test_what_is_used_is_not_replaced_and_nothing_is_sent(
    folder: Folder, sync: Syncing, library: SandboxLibrary
) -> None:
    old = library.store("banner.png", PNG + b"old")
    folder.write("banner.png", "new.png")

    with pytest.raises(
        MediaInUseError,
        match=f"^Cannot replace 1 of 2 files.*\nbanner.png  cannot be replaced: media {old} is used by campaign 7, c",
    ):
        sync(references=lambda _: ["campaign 7", "campaign 8"])
    assert [media["id"] for media in library.files()] == [old]


def test_skip_keeps_what_is_used_beside_the_new_version(
    folder: Folder, sync: Syncing, library: SandboxLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    used, unused = library.store("banner.png", PNG + b"used"), library.store("banner.png", PNG + b"unused")
    folder.write("banner.png")
    manifest = sync(references=lambda media: ["campaign 7"] * (media.id == used), on_reference="skip")

    assert [media["id"] for media in library.files()] == [used, manifest["banner.png"]["id"]]
    assert unused not in named(library).values()
    assert f"kept: media {used} is used by campaign 7" in caplog.text


@pytest.mark.parametrize("on_reference", ["fail", "skip"])
def test_references_are_asked_again_when_the_new_version_is_there(
    on_reference: str, folder: Folder, sync: Syncing, library: SandboxLibrary
) -> None:
    old = library.store("banner.png", PNG + b"old")
    folder.write("banner.png", "other.png")
    library.forget()

    def used_by_now(_media: Any) -> list[str]:
        return ["campaign 7"] * library.count("POST")

    if on_reference == "fail":
        with pytest.raises(
            MediaInUseError, match=rf"Uploaded as \d+, but {old} was not deleted, because {old} is used by"
        ):
            sync(references=used_by_now)
    else:
        manifest = sync(references=used_by_now, on_reference="skip")
        assert manifest["banner.png"]["action"] == "create"
    names = sorted(media["name"] for media in library.files())
    assert names == ["banner.png", "banner.png", "other.png"]
    assert old in [media["id"] for media in library.files()]


def test_references_run_in_the_thread_of_the_task(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    library.store("banner.png", PNG + b"old")
    folder.write("banner.png")
    threads = set()
    sync(references=lambda _: threads.add(threading.current_thread()) or [])

    assert threads == {threading.current_thread()}


def test_a_plan_that_replaces_needs_allow_delete(folder: Folder, connect: Any, library: SandboxLibrary) -> None:
    sync = Syncing(folder.root, connect(library.sandbox.base_url, allow_delete=False).media_conn_id)
    folder.write("banner.png")
    sync()
    folder.write("banner.png", content=b"of today, and longer")
    library.forget()

    with pytest.raises(
        MediaConfigurationError, match=r"The plan replaces 1 file, but the connection '\w+' does not allow deletions"
    ):
        sync()
    assert library.methods() == "GET GET"
    assert sync(if_changed="upload")["banner.png"]["action"] == "create"


def test_a_failed_file_does_not_stop_the_others(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    folder.write(*(f"{number}.png" for number in range(12)))
    library.fail("status", status=400, times=2, body={"status": 400, "error": "Bad Request", "message": "not today"})

    with pytest.raises(MediaRequestError) as caught:
        sync()
    first, *lines = str(caught.value).splitlines()
    assert first == "2 of 12 files failed; the other 10 are in the library"
    assert len(lines) == 2
    assert all("not today" in line for line in lines)
    assert len(library.files()) == 10
    library.forget()
    manifest = sync()
    assert library.count("POST") == 2
    assert named(library) == {path: entry["id"] for path, entry in manifest.items()}


def test_a_transient_failure_makes_the_task_retryable(folder: Folder, connect: Any, library: SandboxLibrary) -> None:
    sync = Syncing(folder.root, connect(library.sandbox.base_url, max_attempts=1).media_conn_id)
    folder.write("1.png", "2.png", "3.png")
    library.fail("status", status=400)
    library.fail("status", status=503)

    with pytest.raises(MediaUnavailableError, match="2 of 3 files failed"):
        sync(max_workers=1)


def test_allowed_failures_are_not_in_the_manifest(
    folder: Folder, sync: Syncing, library: SandboxLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("1.png", "2.png", "3.png")
    library.fail("status", status=400)
    manifest = sync(allow_failures="1")

    assert named(library) == {path: entry["id"] for path, entry in manifest.items()}
    assert len(manifest) == 2
    assert "1 of 3 files failed (allow_failures=1)" in caplog.text
    assert "Synced 3 files: 2 create, 1 failed" in caplog.text


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_key_stops_all_uploads(status: int, folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    folder.write(*(f"{number:02}.png" for number in range(60)))
    library.fail("status", status=status, times=100)
    library.forget()

    with pytest.raises(MediaAuthError):
        sync(max_workers=2)
    assert library.count("POST") <= 8


def test_a_rejected_key_cancels_running_uploads(folder: Folder, connect: Any, own_library: SandboxLibrary) -> None:
    sync = Syncing(folder.root, connect(own_library.sandbox.base_url, timeout=90).media_conn_id)
    folder.write("1.png", "2.png")
    own_library.fail("slow", delay_seconds=60)
    own_library.fail("status", status=401, times=2)
    began = monotonic()

    with pytest.raises(MediaAuthError):
        sync(max_workers=2)
    assert monotonic() - began < 50  # the slow one alone takes longer


def test_consecutive_failures_skip_the_remaining_files(folder: Folder, connect: Any, library: SandboxLibrary) -> None:
    sync = Syncing(folder.root, connect(library.sandbox.base_url, max_attempts=1).media_conn_id)
    folder.write(*(f"{number:02}.png" for number in range(60)))
    library.fail("status", status=503, times=100)

    with pytest.raises(MediaUnavailableError, match="60 of 60 files failed") as caught:
        sync(max_workers=2)
    assert "Skipped, because too many consecutive files failed" in str(caught.value)
    assert library.count("POST") <= 12


def test_a_lost_response_leaves_one_file(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    folder.write(*(f"{number}.png" for number in range(6)))
    library.fail("store_then_drop", times=3)
    manifest = sync()

    assert library.count("POST") == 6
    assert named(library) == {path: entry["id"] for path, entry in manifest.items()}
    assert len(library.files()) == 6


def test_the_rate_of_the_connection_holds_for_all_threads_together(
    folder: Folder, connect: Any, library: SandboxLibrary
) -> None:
    conn_id = connect(library.sandbox.base_url, requests_per_second=20).media_conn_id
    folder.write(*(f"{number}.png" for number in range(10)))
    began = monotonic()
    Syncing(folder.root, conn_id)()
    assert monotonic() - began >= 10 / 20


def test_fingerprint_compares_the_content(folder: Folder, sync: Syncing, library: SandboxLibrary) -> None:
    folder.write("banner.png", content=b"day 1")
    first = sync(fingerprint=True, description="Of summer")
    (stored,) = library.files()
    assert stored["description"].startswith("Of summer name:")
    assert stored["description"].endswith(f" sha256:{sha256_of(PNG + b'day 1')}")
    assert sync(fingerprint="true", description="Of summer")["banner.png"]["action"] == "keep"

    folder.write("banner.png", content=b"day 2")
    assert sync()["banner.png"]["action"] == "keep"
    second = sync(fingerprint=True)
    assert second["banner.png"]["action"] == "replace"
    assert [media["id"] for media in library.files()] == [second["banner.png"]["id"]] != [first["banner.png"]["id"]]


def test_a_file_without_a_fingerprint_counts_as_changed(
    folder: Folder, sync: Syncing, library: SandboxLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    old = library.store("banner.png", PNG + b"banner.png")
    folder.write("banner.png")
    library.forget()
    manifest = sync(fingerprint=True)

    assert library.methods() == "GET GET GET POST GET GET DELETE"
    assert manifest["banner.png"]["action"] == "replace"
    assert manifest["banner.png"]["id"] != old
    assert "The API does not return the description of 1 file" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"if_changed": "always"}, "if_changed must be one of replace, upload, fail, not 'always'."),
        ({"on_reference": "ignore"}, "on_reference must be one of fail, skip, not 'ignore'."),
        ({"max_workers": 0}, "max_workers must be an integer from 1 to 16, not 0."),
        ({"max_workers": "17"}, "max_workers must be an integer from 1 to 16, not '17'."),
        ({"allow_failures": -1}, "allow_failures must be an integer of at least 0, not -1."),
        ({"dry_run": ""}, "dry_run must be true or false, not ''."),
        ({"name_template": "{title}"}, "name_template must be a string with at least one of {path}"),
        ({"folder_id": "None"}, "folder_id must not be 'None'"),
        ({"description": ""}, "description must not be ''"),
        ({"pattern": "None"}, "pattern must not be 'None'"),
        ({"output": "xcom"}, "output must be one of manifest, reference"),
        ({"output": "reference"}, 'output="reference" needs a manifest_path'),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_nothing_is_asked(
    arguments: dict[str, Any], sentence: str, folder: Folder, sync: Syncing, library: SandboxLibrary
) -> None:
    folder.write("banner.png")
    with pytest.raises(MediaConfigurationError) as caught:
        sync(**arguments)
    assert str(caught.value).startswith(sentence)
    assert library.journal() == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [("/no/such", "does not exist"), ("None", "source must not be 'None'"), ("", "source must not be ''")],
)
def test_a_wrong_folder_is_one_sentence(source: str, reason: str, sync: Syncing, library: SandboxLibrary) -> None:
    with pytest.raises((MediaFileError, MediaConfigurationError), match=reason):
        sync(source=source)
    assert library.journal() == []


STRAY = {"notes.txt": b"to do", "layout.psd": b"8BPS\0\1", "page.html": b"<html><body>404</body></html>"}


def write_stray(folder: Folder) -> None:
    for name, content in STRAY.items():
        (folder.root / name).write_bytes(content)


def test_files_of_other_types_can_be_skipped(
    sync: Syncing, library: SandboxLibrary, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("a.png")
    write_stray(folder)
    with pytest.raises(MediaFileError, match=r"^The library does not accept 3 of 4 files; nothing was uploaded\n"):
        sync()
    with caplog.at_level(logging.WARNING):
        assert list(sync(on_unsupported="skip")) == ["a.png"]
    assert "Skipped 3 of 4 files of unsupported types" in caplog.text
    assert all(name in caplog.text for name in STRAY)
    assert [file["name"] for file in library.files()] == ["a.png"]


def test_skipping_types_does_not_skip_truncated_or_empty_files(sync: Syncing, folder: Folder) -> None:
    folder.write("a.png")
    (folder.root / "empty.png").write_bytes(b"")
    with pytest.raises(MediaFileError, match="empty"):
        sync(on_unsupported="skip")


def test_a_folder_of_other_types_only_is_refused(sync: Syncing, library: SandboxLibrary, folder: Folder) -> None:
    write_stray(folder)
    with pytest.raises(MediaFileError, match="none of its file types"):
        sync(on_unsupported="skip")
    assert library.methods() == ""


def test_excluded_files_are_not_uploaded(sync: Syncing, library: SandboxLibrary, folder: Folder) -> None:
    folder.write("a.png", "a_draft.png", "raw/b.png", "x/raw/c.png", "x/d.png", "@eaDir/a.png", "e.png.part")
    manifest = sync(pattern="**/*.{png,part}", exclude=["*_draft.*", "raw"])
    assert list(manifest) == ["a.png", "x/d.png"]
    assert {file["name"] for file in library.files()} == {"a.png", "x/d.png"}


@pytest.mark.parametrize("exclude", [[None], [""], None])
def test_an_invalid_exclude_is_refused(sync: Syncing, library: SandboxLibrary, folder: Folder, exclude: Any) -> None:
    folder.write("a.png")
    with pytest.raises(MediaConfigurationError, match="exclude"):
        sync(exclude=exclude)
    assert library.methods() == ""
