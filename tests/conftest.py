"""What all tests share: the folder helpers/, and that a test runs the samples of the documentation that name it."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from doc_samples import Sample

sys.path.append(str(Path(__file__).parent / "helpers"))


@cache
def samples_by_test() -> dict[str, list[Sample]]:
    """Return the samples that are marked as tested by a test, by its node id."""
    from doc_samples import all_samples

    found: dict[str, list[Sample]] = {}
    for sample in all_samples():
        if sample.tested_by:
            found.setdefault(sample.tested_by, []).append(sample)
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Forget the samples that earlier tests have used."""
    if item.nodeid in samples_by_test():
        from doc_samples import used

        used.clear()
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let a test fail that a sample names, and that does not use that sample's code."""
    yield
    for sample in samples_by_test().get(item.nodeid, ()):
        from doc_samples import used

        assert sample in used, f"{sample} says that this test runs it, but it was not used"
