"""None at run time is never "not given": every optional templated argument of every operator and of the sensor."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_media._airflow.arguments import NOT_GIVEN
from airflow_provider_media._upload.flow import REFUSE_NONE
from airflow_provider_media.exceptions import MediaConfigurationError
from airflow_provider_media.hooks.media import MediaHook
from airflow_provider_media.operators.media import (
    MediaCleanupOperator,
    MediaDeleteOperator,
    MediaGetOperator,
    MediaListOperator,
    MediaSyncOperator,
    MediaUploadOperator,
)
from airflow_provider_media.sensors.media import MediaExistsSensor

REQUIRED: dict[type, dict[str, Any]] = {
    MediaUploadOperator: {"file": __file__},
    MediaGetOperator: {"media_id": 7},
    MediaListOperator: {},
    MediaDeleteOperator: {"media_id": 7},
    MediaCleanupOperator: {"name": "summer-*", "dry_run": False},
    MediaSyncOperator: {"source": "/data"},
    MediaExistsSensor: {"media_id": 7},
}
TAKES_NONE = {
    (MediaUploadOperator, "description"),  # there is none
    (MediaUploadOperator, "mime_type"),  # it is found from the bytes
    (MediaSyncOperator, "description"),
}
ATTRIBUTES = {"dry_run": "is_dry_run", "output": "returned"}  # where Airflow uses the argument's own name


class Untouched:
    """A hook of which nothing may be used."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the hook's {name} was used")

    def close(self) -> None:
        """Close nothing."""


def templated_arguments(class_: Any) -> dict[str, Any]:
    """Return the defaults of all arguments that are templated."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(class_.__init__).parameters.items()
        if ATTRIBUTES.get(name, name) in class_.template_fields
    }


def test_every_template_field_is_an_argument() -> None:
    for class_ in REQUIRED:
        names = {ATTRIBUTES.get(name, name) for name in templated_arguments(class_)}
        assert names == set(class_.template_fields), class_.__name__


ARGUMENTS = [(class_, name) for class_ in REQUIRED for name in templated_arguments(class_)]


@pytest.mark.parametrize(("class_", "name"), ARGUMENTS, ids=lambda value: getattr(value, "__name__", value))
def test_no_default_is_none(class_: Any, name: str) -> None:
    default = templated_arguments(class_)[name]
    assert default is not None
    made = class_(task_id="a", **REQUIRED[class_])
    if name not in REQUIRED[class_]:
        assert getattr(made, ATTRIBUTES.get(name, name)) == default


@pytest.mark.parametrize("given", ["by mapping", "by rendering"])
@pytest.mark.parametrize(("class_", "name"), ARGUMENTS, ids=lambda value: getattr(value, "__name__", value))
def test_none_is_refused_before_anything_is_asked(class_: Any, name: str, given: str) -> None:
    if (class_, name) in TAKES_NONE:
        pytest.skip("None widens nothing here")
    arguments = {**REQUIRED[class_], name: None} if given == "by mapping" else REQUIRED[class_]
    made = class_(task_id="a", **arguments)
    setattr(made, ATTRIBUTES.get(name, name), None)
    if name != "media_conn_id":
        made.__dict__["hook"] = Untouched()
    with pytest.raises(MediaConfigurationError, match=rf"\b{name}\b.*None|None is not a media id"):
        made.execute({})


@pytest.mark.parametrize("if_exists", REFUSE_NONE)
@pytest.mark.parametrize("name", ["folder_id", "name"])
def test_the_hook_refuses_none_where_files_are_reused_or_replaced(
    name: str, if_exists: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", "media://:key@127.0.0.1:9")
    with pytest.raises(MediaConfigurationError, match=rf"^{name} must not be None: .* leave the argument out"):
        MediaHook().upload(__file__, if_exists=if_exists, **{name: None})


DAG_FILE = """
import json
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG
from tests.unit.test_none_is_refused import dag_of_all, serialized
print("SERIALIZED" + json.dumps(serialized(dag_of_all()), sort_keys=True))
"""


def dag_of_all() -> Any:
    with DAG("all", schedule=None) as dag:
        for class_, arguments in REQUIRED.items():
            class_(task_id=class_.__name__, **arguments)
        MediaCleanupOperator.partial(task_id="mapped", older_than=5).expand(name=["a", "b"])
    return dag


def serialized(dag: Any) -> Any:
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialization
    except ImportError:  # Airflow 2
        from airflow.serialization.serialized_objects import SerializedDAG as Serialization
    tasks = Serialization.to_dict(dag)["dag"]["tasks"]
    assert Serialization.from_dict(Serialization.to_dict(dag)).task_ids
    return tasks


def test_a_dag_is_serialized_alike_at_each_parse() -> None:
    here = json.dumps(serialized(dag_of_all()), sort_keys=True)
    assert "NOT_GIVEN" in here
    assert "0x" not in here
    command = [sys.executable, "-W", "ignore", "-c", DAG_FILE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.partition("SERIALIZED")[2].strip() == here


def test_a_copy_of_an_operator_keeps_not_given() -> None:
    made = MediaCleanupOperator(task_id="a", name="summer-*")
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):  # noqa: S301 - our own
        assert again.folder_id is NOT_GIVEN
