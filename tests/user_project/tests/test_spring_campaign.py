"""The campaign's DAG against a media library that works, that is busy, that breaks, and that has the name already."""

import json

ALL_WELL = ("success", {"upload": "success", "wait": "success", "send": "success"})


def test_the_banner_is_uploaded_and_sent(run, folder, media_sandbox):
    assert run() == ALL_WELL

    (banner,) = media_sandbox.library()
    assert banner.name == "spring-2026-03-20"
    assert media_sandbox.content(banner.id) == (folder / "banner.png").read_bytes()
    assert json.loads((folder / "outbox.json").read_text())["mediaId"] == banner.id


def test_a_busy_platform_is_given_the_minute_it_asks_for(run, media_sandbox, media_no_waiting):
    media_sandbox.answer(429, "POST", headers={"Retry-After": "60"})

    assert run() == ALL_WELL
    assert media_sandbox.count("POST") == 2
    assert max(media_no_waiting) >= 60


def test_after_a_server_error_the_banner_is_there_once(run, media_sandbox, media_no_waiting):
    media_sandbox.answer(500, "POST", times=2)

    assert run() == ALL_WELL
    assert media_sandbox.names() == ["spring-2026-03-20"]
    assert media_sandbox.pending_faults() == []


def test_a_platform_that_stays_down_fails_the_upload_and_nothing_is_sent(run, folder, media_sandbox, media_no_waiting):
    media_sandbox.answer(503, times=1000)

    state, tasks = run()
    assert (state, tasks["upload"], tasks["send"]) == ("failed", "failed", "upstream_failed")
    assert not (folder / "outbox.json").exists()


def test_a_name_that_is_taken_fails_the_upload(run, folder, media_sandbox):
    media_sandbox.answer(429, "POST", times=1000)  # an upload would be answered so; what the test stores is not
    other = media_sandbox.store(b"\x89PNG\r\n\x1a\n another", "spring-2026-03-20")

    state, tasks = run()
    assert (state, tasks["upload"]) == ("failed", "failed")
    assert media_sandbox.library() == [other]
    assert media_sandbox.count("POST") == 0
