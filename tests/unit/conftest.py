"""Unit tests: values in, values out. Airflow is imported by some, its database used by none."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent

# The same examples at each run; `--hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile("bounded", deadline=None, max_examples=100, database=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=3000, database=None)
hypothesis.settings.load_profile("bounded")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("pythonwarnings"):  # -W on the command line wins
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error"), append=False)  # a test's own filters win
