"""What all tests share: an Airflow home for this process, and that a test runs the samples that name it.

Airflow reads where its home is when it is first imported: so the environment is set here, before any test is.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import shutil
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.helpers.doc_samples import Sample

if "airflow" in sys.modules:
    raise pytest.UsageError("Airflow was imported before it got a home for tests.")
HOME = Path(tempfile.mkdtemp(prefix="media-tests-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
(HOME / "dags").mkdir()
for setting in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[setting]  # also what a worker of pytest-xdist inherits: each has a home of its own
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",  # Airflow 2 warns without it
}


_HTTP_TESTS = re.compile(r"tests/(?:faults/|contract/test_(?:sandbox|interim|odd))")
_UNIT_TESTS = re.compile(r"tests/unit/test_")
_IMPORT_OF_AIRFLOW = re.compile(
    r"^\s*(?:from|import) (?:airflow\b(?!_)|tests\.unit\.helpers\.waiting_task|airflow_provider_media"
    r"\.(?!_api|_channels|_polling|_transports|_upload|exceptions|models))",
    re.MULTILINE,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option to run only what another Airflow may change."""
    parser.addoption(
        "--depends-on-airflow",
        action="store_true",
        help="leave out the tests of HTTP, of the sandbox, and of modules that do not use Airflow",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Treat warnings as errors only on the versions of ``make test``; others import names that Airflow deprecated."""
    if not version("apache-airflow").startswith(("2.11.", "3.3.")):
        config.addinivalue_line("filterwarnings", "default")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--depends-on-airflow``, leave out the files whose tests are the same on all Airflows."""
    path = collection_path.as_posix()
    if not config.getoption("--depends-on-airflow") or collection_path.suffix != ".py":
        return None
    if _HTTP_TESTS.search(path):
        return True
    is_unit_test = _UNIT_TESTS.search(path) is not None
    return True if is_unit_test and not _IMPORT_OF_AIRFLOW.search(collection_path.read_text()) else None


gc.disable()  # until the tests are collected, which leaves no garbage but fills the heap


def pytest_collection_finish() -> None:
    """Exclude what was imported and collected from garbage collections, because it lives until the end."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Stop the fork server that tests may have started."""
    from tests.helpers import warm_python

    warm_python.stop()


@pytest.fixture(autouse=True)
def no_recent_uploads() -> None:
    """Forget what earlier tests stored: their servers may have had the same address."""
    if recent := sys.modules.get("airflow_provider_media._upload.checkpoint"):
        recent.clear_recent_uploads()


@cache
def samples_by_test() -> dict[str, list[Sample]]:
    """Return the samples that are marked as tested by a test, by its node id."""
    from tests.helpers.doc_samples import all_samples

    found: dict[str, list[Sample]] = {}
    for sample in all_samples():
        if sample.tested_by:
            found.setdefault(sample.tested_by, []).append(sample)
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Forget the samples that earlier tests have used."""
    if item.nodeid in samples_by_test():
        from tests.helpers.doc_samples import used

        used.clear()
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let a test fail that a sample names, and that does not use that sample's code."""
    yield
    for sample in samples_by_test().get(item.nodeid, ()):
        from tests.helpers.doc_samples import used

        assert sample in used, f"{sample} says that this test runs it, but it was not used"
