"""The code samples of README.md and docs/, and what each needs to run.

Samples run unchanged. If one needs more, an HTML comment before it, which pages do not show, describes it:

``<!-- sample: FILE -->``, for instance ``dags/first.py``
    it is saved under that name for the commands of the page (``airflow dags test ...``);
``<!-- sample: log of DAG DAY -->``
    it is in the log of that DAG's run, among the commands of the page; ``...`` matches anything;
``<!-- sample: Airflow 3 -->``
    it runs on Airflow 3 only;
``<!-- sample: raised -->``
    it is the error that the code below ``sample:`` raises; ``...`` matches anything;
``<!-- sample: tested by tests/dags/test_it.py::test_name -->``
    that test runs it, and fails if it does not use the sample's code;
``<!-- sample: output of make ... -->``
    it is the output of that command;
``<!-- sample: not run: ... -->``
    it cannot run, for that reason.

Lines below ``sample:`` are code to run before it. A sample without imports is put into a DAG with all imports from the
package.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from dataclasses import dataclass
from functools import cache
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
"""The samples whose code a test has read."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One fenced block.

    :param page: its file.
    :param line: the line of its fence, from 1.
    :param language: the language of its fence; may be empty.
    :param text: its content.
    :param mark: the text of its comment after ``sample:``; empty without one.
    :param hidden: the code to run before it.
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str = ""
    hidden: str = ""

    def __str__(self) -> str:
        """Return its path and line, as editors show them."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def code(self) -> str:
        """Its content; the sample is recorded as used."""
        used.add(self)
        return self.text

    @property
    def tested_by(self) -> str:
        """The node id of the test in its mark; empty without one."""
        return self.mark.removeprefix("tested by ") if self.mark.startswith("tested by ") else ""

    @property
    def log_of(self) -> str:
        """The DAG and the day of its run in its mark; empty without them."""
        return self.mark.removeprefix("log of ") if self.mark.startswith("log of ") else ""

    @property
    def runs_here(self) -> bool:
        """Whether it is a Python sample that runs by itself."""
        return self.language == "python" and self.mark in {"", "Airflow 3"}

    @property
    def saved_as(self) -> str:
        """The file name in its mark; empty without one."""
        return self.mark if re.fullmatch(r"[\w./-]+\.\w+", self.mark) else ""

    @property
    def source(self) -> str:
        """Complete Python source."""
        lines = self.hidden if self.mark == "raised" else f"{self.hidden}\n{self.code}"
        if re.search(r"^\s*(import|from) ", lines, re.MULTILINE):
            return lines
        return _FRAGMENT + textwrap.indent(lines, "    ")


@cache
def samples_of(page: Path) -> list[Sample]:
    """Return a page's samples in order."""
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
    """Create the files that a sample expects in ``folder``, and return the sample with their paths.

    ``/data/...`` and ``s3://bucket/...`` become paths in the folder: a name with a known suffix becomes an image or a
    video, any other name a folder of them.
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
