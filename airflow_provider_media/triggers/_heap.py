"""Full garbage collections that pass over what the triggerer loaded long ago, where many wait."""

from __future__ import annotations

import gc
import logging
from functools import cache

from airflow.providers.common.compat.sdk import AirflowConfigException, conf

log = logging.getLogger(__name__)

MANY = 100
"""From so many sensors on, of all connections of a process, what they make sets off full collections; fewer leave the
process as it is."""


@cache  # once in a process; not by gc.get_freeze_count(), for Python 3.12 freezes some objects itself
def freeze_heap() -> None:
    """Exempt all objects that exist from Python's garbage collections, once in a process.

    A full collection goes through every object, 190,000 of which are Airflow's own modules (3.3.2), and holds the loop
    for 0.13 s meanwhile: what a thousand sensors make brings one on. Objects that are frozen are freed as before when
    nothing refers to them; only cycles among them are not found any more. Airflow does the same in its DAG processor.

    Does nothing with ``[media] freeze_heap_on_triggerer = False``; nor with a value that is no boolean, with a warning.
    """
    try:
        wanted = conf.getboolean("media", "freeze_heap_on_triggerer", fallback=True)
    except AirflowConfigException as wrong:
        log.warning("The heap is not frozen: %s", wrong)
        return
    if not wanted:
        return
    gc.freeze()
    log.info("%d sensors wait here; from now on, garbage collections pass over the objects that there are.", MANY)
