"""Count words that are not plain technical English: ``make words``.

    python tools/check_words.py [--list] [FILES]

Without FILES, it checks each group of folders in ``LIMITS``. It prints each occurrence with ``--list``, and for a group
above its limit. Exits 1 if a group is above its limit.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMITS = {
    ("airflow_provider_media",): 4,
    ("tests", "benchmarks", "tools", "example_dags"): 4,
    ("docs", "README.md", "CONTRIBUTING.md", "PACKAGE.md", "SECURITY.md", "CHANGELOG.md"): 4,
}
"""Maximum number of odd words per 1,000 lines, by folders and files; the target is 4."""

TARGET = 4
SUFFIXES = {".py", ".js", ".html", ".css", ".yaml", ".md", ".rst"}

_FORMS = (
    "tell|tells|telling|told",
    "look|looks|looked|looking",
    "answer|answers|answered|answering",
    "want|wants|wanted|wanting",
    "mend|mends|mended|mending",
    "bear|bears|bore|borne|bearing",
    "stand|stands|stood|standing",
    "film|films",
    "picture|pictures",
    "anew|surely|meanwhile|likewise|whoever|whatever|begun|till",
)
_PATTERN = re.compile(
    rf"(?<![a-z])(?:{'|'.join(_FORMS)})(?![a-z])"
    r"|\bfor good\b|\bmakes? no sense\b"
    r'|(?:^|[.:#"]\s+|""")What (?:is|has|asking)\b',
    re.IGNORECASE,
)
_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ALLOWED = re.compile(
    r"\.tell\(\)|def tell\("  # methods of files
    r"|cut_answer|reset_before_answer"  # names of the sandbox's faults
    r"|\.answer\(|def answer\(self"  # a method of MediaSandbox
)


def odd_words(text: str) -> list[tuple[int, str]]:
    """Return the odd words of a text with their line numbers; also finds parts of identifiers."""
    return [
        (number, match.group().strip(' .:#"'))
        for number, line in enumerate(text.splitlines(), 1)
        for match in _PATTERN.finditer(_WORD_START.sub("_", _ALLOWED.sub("", line)))
    ]


def check(paths: list[Path], limit: float, *, list_all: bool) -> bool:
    """Print the count of some files, and the occurrences if they are above the limit; return whether they are not."""
    lines = 0
    found: list[str] = []
    for path in paths:
        text = path.read_text()
        lines += text.count("\n")
        found += [f"{path}:{number}: {word}" for number, word in odd_words(text)]
    rate = 1000 * len(found) / max(1, lines)
    if list_all or rate > limit:
        print(*found, sep="\n")
    print(f"{len(found)} odd words in {lines:,} lines: {rate:.1f} per 1,000 lines (maximum {limit}, target {TARGET})")
    return rate <= limit


def main() -> int:
    """Check the files of the command line, or all groups; return the exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--list"]
    list_all = "--list" in sys.argv
    if arguments:
        return int(not check([Path(argument) for argument in arguments], TARGET, list_all=list_all))
    passed = True
    for folders, limit in LIMITS.items():
        paths = sorted(
            path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            for folder in folders
            for path in (ROOT / folder, *(ROOT / folder).rglob("*"))
            if path.suffix in SUFFIXES and path.name not in {"check_words.py", "test_check_words.py"}
        )
        print(f"{', '.join(folders)}: ", end="")
        passed &= check(paths, limit, list_all=list_all)
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
