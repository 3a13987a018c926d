"""Unit tests: values in, values out. Airflow is imported by some, its database used by none."""

from __future__ import annotations

import hypothesis

# The same examples at each run; `--hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile("bounded", deadline=None, max_examples=100, database=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=3000, database=None)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=15, database=None, derandomize=True)
hypothesis.settings.load_profile("bounded")
