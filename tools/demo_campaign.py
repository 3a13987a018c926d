"""Run example_media_campaign on real Airflow and report to a pipe, one JSON object per line: the child of demo.py.

It is a separate process because Airflow writes to the standard output and handles the signals.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DAG_FILE = Path(__file__).parent.parent / "example_dags" / "example_media_campaign.py"


def main(pipe: int) -> None:
    """Run the campaign.

    :param pipe: the file descriptor to report to.
    """
    with os.fdopen(pipe, "w") as reports:

        def report(**values: Any) -> None:
            reports.write(json.dumps(values) + "\n")
            reports.flush()

        dag = runpy.run_path(str(DAG_FILE))["dag"]
        for task in dag.tasks:
            for state in ("success", "failure", "skipped", "retry"):
                setattr(task, f"on_{state}_callback", [_reporter(report, state)])
            task.on_execute_callback = [lambda context: report(running=context["ti"].task_id)]
        run = dag.test(run_conf={"keep_media": True})
        results = {ti.task_id: ti.xcom_pull(task_ids=ti.task_id) for ti in run.get_task_instances()}
        uploads = [task for task in dag.topological_sort() if task.task_id.startswith("upload_")]
        report(
            run_state=str(run.state),
            run_id=run.run_id,
            media=[{"file": Path(task.file).name, **(results[task.task_id] or {})} for task in uploads],
            messages=results["send_campaign"],
        )


def _reporter(report: Callable[..., None], state: str) -> Callable[[Any], None]:
    def callback(context: Any) -> None:
        # Airflow 2 also calls the success callback after the skipped callback.
        if state != "success" or str(context["ti"].state) != "skipped":
            report(task=context["ti"].task_id, state=state)

    return callback


if __name__ == "__main__":
    main(int(sys.argv[1]))
