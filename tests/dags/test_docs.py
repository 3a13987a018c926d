"""Run the samples of README.md and docs/; tests/helpers/doc_samples.py describes their marks."""

from __future__ import annotations

import ast
import json
import os
import runpy
import shutil
import socket
import tomllib
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dags.helpers.doc_console import Console
from tests.helpers.doc_samples import PAGES, ROOT, Sample, all_samples, samples_of, with_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(600)  # a page has many commands

READERS: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads}


def named(sample: Sample) -> Any:
    return pytest.param(sample, id=str(sample))


@pytest.mark.parametrize("sample", [named(sample) for sample in all_samples() if sample.runs_here])
def test_python(
    sample: Sample,
    platform: Any,
    run_dag: Any,
    load_dags: Any,
    tmp_path: Path,
    is_airflow_3: bool,  # noqa: FBT001
) -> None:
    if sample.mark == "Airflow 3" and not is_airflow_3:
        pytest.skip("Airflow 3 only")
    file = tmp_path / "sample.py"
    file.write_text(with_files(sample.source, tmp_path / "data"))

    if "DAG(" not in sample.source and "@dag" not in sample.source:
        runpy.run_path(str(file), run_name="__main__")
        return
    dags = load_dags(file)

    assert dags
    for dag in dags.values():
        run = run_dag(dag, has_date=not is_airflow_3)  # like a manual run, which has a logical date on Airflow 2 only
        assert run.states
        assert set(run.states.values()) <= {"success", "skipped"}, run.states


@pytest.mark.parametrize("sample", [named(sample) for sample in all_samples() if sample.mark == "raised"])
def test_error(sample: Sample, platform: Any, tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text(with_files(sample.source, tmp_path / "data"))

    with pytest.raises(Exception) as raised:  # noqa: PT011 - the sample names the class
        runpy.run_path(str(file))

    assert fnmatchcase(f"{raised.type.__name__}: {raised.value}", sample.code.strip().replace("...", "*"))


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if "```console" in page.read_text()]
)
def test_commands(
    page: Path,
    tmp_path: Path,
    new_console: Callable[..., Console],
    is_airflow_3: bool,  # noqa: FBT001
) -> None:
    if "constraints/airflow3.txt" in page.read_text() and not is_airflow_3:
        pytest.skip("its commands install Airflow 3")
    if page.name == "tutorial.md" and version("apache-airflow").startswith(("3.0.", "3.1.")):
        pytest.skip("Airflow 3.0 wraps the lines of its log; 3.1 writes them to two streams")
    console = new_console(tmp_path)
    for sample in samples_of(page):
        if sample.saved_as:
            path = console.folder / sample.saved_as
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(console.localise(sample.code))
        elif sample.language == "console":
            console.execute(sample.code)
        elif sample.log_of:
            console.execute(f"$ airflow dags test {sample.log_of}\n{sample.code}")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Restore the environment after each test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def new_console(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Console]]:
    """Return a factory of sessions in Airflow's home, where ``airflow dags test`` finds its DAGs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    consoles = []

    def new(data: Path) -> Console:
        home = Path(os.environ["AIRFLOW_HOME"])
        monkeypatch.chdir(home)
        consoles.append(
            Console(
                folder=home,
                localise=lambda text: with_files(
                    text.replace("8099", port).replace("../example_dags", str(ROOT / "example_dags")), data
                ),
            )
        )
        return consoles[0]

    yield new
    for console in consoles:
        console.close()
        shutil.rmtree(console.folder / ".sandbox", ignore_errors=True)
        for file in (console.folder / "dags").glob("*.py"):
            file.unlink()


@pytest.mark.parametrize(
    "sample", [named(sample) for sample in all_samples() if not sample.runs_here and sample.language != "console"]
)
def test_other_samples_have_a_valid_mark(sample: Sample) -> None:
    kind, _, what = sample.mark.partition(" ")

    if kind == "raised" or sample.tested_by or sample.log_of:
        return  # test_error or test_commands runs it, or test_named_tests_exist checks its test
    if sample.language in READERS and not sample.mark:
        READERS[sample.language](sample.code)
    elif kind == "output":
        assert f"\n{what.split()[-1]}:" in (ROOT / "Makefile").read_text()
    else:
        assert sample.saved_as or sample.mark.startswith("not run: "), (
            f"{sample}: add a mark (tests/helpers/doc_samples.py)"
        )


def test_named_tests_exist() -> None:
    """When these tests run, tests/conftest.py checks that they use the samples' code."""
    named = {sample.tested_by for sample in all_samples() if sample.tested_by}
    defined: set[str] = set()
    for file in {node_id.partition("::")[0] for node_id in named}:
        functions = [node for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)]
        defined |= {f"{file}::{function.name}" for function in functions}
    assert {node_id.partition("[")[0] for node_id in named} <= defined
