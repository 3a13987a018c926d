"""The code samples of README.md and docs/: where they stand, and what each needs in order to run.

A page's samples run as they stand. Where one needs help, an HTML comment before it, which no reader sees, gives it:

``<!-- sample: FILE -->``, for instance ``dags/first.py``
    it is saved under that name, for the commands of the page (``airflow dags test ...``) to use;
``<!-- sample: Airflow 3 -->``
    it runs on Airflow 3 only;
``<!-- sample: raised -->``
    it is the error that the code below ``sample:`` raises; ``...`` stands for anything;
``<!-- sample: tested by tests/dags/test_it.py::test_name -->``
    that test runs it; the test fails when it does not use the sample's code;
``<!-- sample: output of make ... -->``
    it is what that command printed;
``<!-- sample: not run: ... -->``
    it cannot run, for the reason that is given.

Lines below ``sample:`` are code to run before it. A sample that imports nothing stands in a DAG, and has everything of
the package imported.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
MEDIA = ROOT / "example_dags" / "media"
EXAMPLES = {".jpg": "banner.jpg", ".png": "card-tonic.png", ".mp4": "pour.mp4"}

PAGES = [*ROOT.glob("README.md"), *sorted((ROOT / "docs").rglob("*.md"))]

_MARK = re.compile(r"<!--\s*sample:(?P<words>[^\n]*?)(?:\n(?P<hidden>.*?))?\s*-->", re.DOTALL)
_PREPARED = re.compile(r"(?:/data|s3://[\w-]+)(?P<rest>(?:/[\w.-]+)*)")
_FRAGMENT = """
from datetime import datetime, timedelta
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_media.hooks.media import *
from airflow_provider_media.operators.media import *
from airflow_provider_media.references import *
from airflow_provider_media.sensors.media import *

with DAG("fragment", schedule=None, start_date=datetime(2026, 1, 1)):
"""


used: set[Sample] = set()
"""Those whose code has been asked for."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One fenced block.

    :param page: the file it stands in.
    :param line: the line of its fence, from 1.
    :param language: what its fence says; may be empty.
    :param text: what stands in it.
    :param mark: the words of its mark; empty without one.
    :param hidden: the code to run before it.
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str = ""
    hidden: str = ""

    def __str__(self) -> str:
        """Name it as editors do."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def code(self) -> str:
        """Its text, for use; that is noted."""
        used.add(self)
        return self.text

    @property
    def tested_by(self) -> str:
        """The test that its mark names, by pytest's node id; empty without one."""
        return self.mark.removeprefix("tested by ") if self.mark.startswith("tested by ") else ""

    @property
    def runs_here(self) -> bool:
        """Whether it is a Python sample that runs by itself."""
        return self.language == "python" and self.mark in {"", "Airflow 3"}

    @property
    def saved_as(self) -> str:
        """The file name that its mark gives; empty without one."""
        return self.mark if re.fullmatch(r"[\w./-]+\.\w+", self.mark) else ""

    @property
    def source(self) -> str:
        """Python that runs."""
        lines = self.hidden if self.mark == "raised" else f"{self.hidden}\n{self.code}"
        if re.search(r"^\s*(import|from) ", lines, re.MULTILINE):
            return lines
        return _FRAGMENT + textwrap.indent(lines, "    ")


def samples_of(page: Path) -> list[Sample]:
    """Return a page's samples, in their order."""
    found = []
    before = None
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "fence":
            mark = _MARK.search(before.content) if before is not None and before.type == "html_block" else None
            words, hidden = (mark["words"].strip(), textwrap.dedent(mark["hidden"] or "")) if mark else ("", "")
            found.append(
                Sample(
                    page=page,
                    line=token.map[0] + 1,
                    language=token.info.strip(),
                    text=token.content,
                    mark=words,
                    hidden=hidden,
                )
            )
        before = token
    return found


def all_samples() -> list[Sample]:
    """Return the samples of all pages."""
    return [sample for page in PAGES for sample in samples_of(page)]


def with_files(source: str, folder: Path) -> str:
    """Put files where a sample expects them; return it with their paths, in ``folder``.

    What it calls ``/data/...`` or ``s3://bucket/...`` becomes a path in the folder: a name with a known suffix a
    picture or video, any other a folder of them.
    """

    def place(match: re.Match[str]) -> str:
        path = folder / match["rest"].strip("/")
        if path.suffix in EXAMPLES:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(MEDIA / EXAMPLES[path.suffix], path)
        elif not path.suffix:
            shutil.copytree(MEDIA, path, dirs_exist_ok=True)
        return f"{folder}{match['rest']}"

    folder.mkdir(parents=True, exist_ok=True)
    return _PREPARED.sub(place, source)
