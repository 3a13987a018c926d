"""The word check of ``make words``."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

odd_words = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "check_words.py"))["odd_words"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("# The server answers.", ["answers"]),
        ("def _answer_late(self): ...", ["answer"]),
        ("class AnswerCache: ...", ["Answer"]),
        ("class _IncomingAnswer: ...", ["Answer"]),
        ("looks, told = 1, 2", ["looks", "told"]),
        ("# Deleted for good.", ["for good"]),
        ('"""What is stored."""', ["What is"]),
        ("# What is stored is kept.", ["What is"]),
        ("lookup = outlook = standard = filmography", []),
        ("offset = file.tell()", []),
        ('fail("cut_answer")', []),
        ("sandbox.answer(429)", []),
    ],
)
def test_odd_words_are_found_in_text_and_identifiers(line: str, words: list[str]) -> None:
    assert odd_words(f"\n{line}\n") == [(2, word) for word in words]
