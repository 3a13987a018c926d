"""What Airflow 3.0 cannot show of a run."""

from __future__ import annotations

from importlib.metadata import version

import pytest

skip_on_airflow_3_0 = pytest.mark.skipif(
    version("apache-airflow").startswith("3.0."),
    reason="dag.test() of Airflow 3.0 tells callbacks no exception, counts a look in reschedule mode as a try, and"
    " forgets what a deferred task kept",
)
