"""The plan in docs/guides/sync.md is what the code logs."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_media._channels.rules import MediaInfo, validate
from airflow_provider_media._sync.plan import LocalFile, make_plan
from airflow_provider_media._sync.run import log_plan
from airflow_provider_media.models import Media
from tests.helpers.doc_samples import ROOT, samples_of
from tests.unit.helpers.fake_library import PNG, make_upload

if TYPE_CHECKING:
    import pytest


def test_logged_plan_is_the_sample(caplog: pytest.LogCaptureFixture) -> None:
    [sample] = [
        sample for sample in samples_of(ROOT / "docs" / "guides" / "sync.md") if sample.text.startswith("Plan: ")
    ]
    names = ["banner.jpg", "cards/latte.jpg", *(f"kept-{number}.jpg" for number in range(12))]
    warnings = validate(MediaInfo(mime_type="image/jpeg", size=80_211, width=1080, height=1920), ["rcs"]).warnings
    upload = make_upload(PNG.ljust(80_211, b" "))
    files = [LocalFile(path=name, name=name, upload=replace(upload, name=name)) for name in names]
    files[1] = replace(files[1], warnings=warnings)
    stored = [Media(id=number, name=name, size=80_211, mime_type="image/png") for number, name in enumerate(names, 17)]
    existing = {media.name: [media] for media in stored if media.name != names[1]}
    existing[names[0]] = [replace(stored[0], size=81_674)]

    with caplog.at_level(logging.INFO):
        log_plan(make_plan(files, existing, if_changed="replace"), {}, is_dry_run=False)

    assert caplog.messages[0] == sample.code.rstrip("\n")
