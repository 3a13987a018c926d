"""What dag.test() of older Airflows cannot show of a run."""

from __future__ import annotations

from importlib.metadata import version

import pytest

AIRFLOW = tuple(int(part) for part in version("apache-airflow").split(".")[:2])

TELLS_CALLBACKS_THE_EXCEPTION = not (3, 0) <= AIRFLOW < (3, 3)

needs_the_exception = pytest.mark.skipif(
    not TELLS_CALLBACKS_THE_EXCEPTION, reason="dag.test() of Airflow 3.0 to 3.2 tells callbacks no exception"
)
skip_on_airflow_3_0 = pytest.mark.skipif(
    AIRFLOW == (3, 0),
    reason="dag.test() of Airflow 3.0 counts a look in reschedule mode as a try, and forgets what a deferred task kept",
)
