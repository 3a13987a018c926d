"""Imports of the fork server of ``warm_python.py``; none from our package."""

from __future__ import annotations

import contextlib
import importlib
import warnings

MODULES = [
    "airflow.__main__",
    "airflow.providers.common.compat.sdk",
    "airflow.cli.cli_parser",
    "airflow.cli.commands.dag_command",
    "airflow.dag_processing.collection",
    "airflow.models.dagbag",
    "airflow.models.trigger",
    "airflow.sdk.execution_time.task_runner",
    "airflow.serialization.serialized_objects",
    "airflow.state.metastore",
    "airflow.utils.db",
    *("a2wsgi", "requests", "requests_toolbelt", "tenacity", "PIL.Image"),
]
"""Modules that an Airflow version does not have are skipped."""


def _prepare_execution_api() -> None:
    """Build Airflow 3's in-process API server, which takes most of the time of the first ``dags test``."""
    from airflow.sdk.execution_time.supervisor import in_process_api_server

    app = in_process_api_server().app
    app._cadwyn_initialize()
    app._cadwyn_initialized = True


with warnings.catch_warnings(action="ignore"):
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(ImportError, AttributeError):  # Airflow 2, or a release without it
        _prepare_execution_api()
