"""``make docs-publish``."""

from __future__ import annotations

import json
import runpy
from typing import TYPE_CHECKING

import pytest

from tests.helpers.doc_samples import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

publish = runpy.run_path(str(ROOT / "tools" / "publish_docs.py"))["publish"]


@pytest.fixture
def publish_version(tmp_path: Path) -> Callable[..., Path]:
    """Publish a site of a version, and return the folder with all versions."""

    def publish_version(version: str, content: str = "") -> Path:
        site, target = tmp_path / "site", tmp_path / "published"
        (site / "_static").mkdir(parents=True, exist_ok=True)
        (site / "_static" / "documentation_options.js").write_text(
            f"const DOCUMENTATION_OPTIONS = {{\n    VERSION: '{version}',\n}};\n"
        )
        (site / "index.html").write_text((ROOT / "docs" / "site" / "index.html").read_text())
        (site / "page.html").write_text(content)
        assert publish(site, target) == version
        return target

    return publish_version


def redirect(target: Path) -> str:
    return (target / "index.html").read_text().partition("url=")[2].partition('"')[0]


def test_versions_are_listed_newest_first(publish_version: Callable[..., Path]) -> None:
    for version in ("0.10.0", "0.9.0", "1.0.0rc1"):
        target = publish_version(version)

    assert json.loads((target / "versions.json").read_text()) == [
        {"version": "1.0.0rc1", "prerelease": True},
        {"version": "0.10.0", "prerelease": False},
        {"version": "0.9.0", "prerelease": False},
    ]


def test_index_redirects_to_newest_release(publish_version: Callable[..., Path]) -> None:
    assert redirect(publish_version("1.0.0rc1")) == "1.0.0rc1/docs/index.html"
    publish_version("0.10.0")
    publish_version("0.9.0")

    assert redirect(publish_version("1.1.0rc1")) == "0.10.0/docs/index.html"


def test_publishing_again_replaces_the_version_only(publish_version: Callable[..., Path]) -> None:
    publish_version("0.9.0", content="nine")
    (publish_version("1.0.0", content="old") / "1.0.0" / "removed.html").touch()
    (publish_version("1.0.0") / "CNAME").write_text("docs.example.com")

    target = publish_version("1.0.0", content="new")

    assert (target / "1.0.0" / "page.html").read_text() == "new"
    assert not (target / "1.0.0" / "removed.html").exists()
    assert (target / "0.9.0" / "page.html").read_text() == "nine"
    assert (target / "CNAME").read_text() == "docs.example.com"
    assert len(json.loads((target / "versions.json").read_text())) == 2
