"""The docstrings, from which the site makes its tables of arguments, document exactly the existing arguments."""

from __future__ import annotations

import inspect
import re

import pytest

from airflow_provider_media.operators import media as operators
from airflow_provider_media.sensors.media import MediaExistsSensor
from airflow_provider_media.triggers.media import MediaExistsTrigger
from tests.helpers.doc_samples import ROOT

CLASSES = [*(getattr(operators, name) for name in operators.__all__), MediaExistsSensor, MediaExistsTrigger]


@pytest.mark.parametrize("class_", CLASSES)
def test_docstring_documents_all_arguments(class_: type) -> None:
    documented = _documented(class_)

    assert list(documented) == list(_arguments(class_))


@pytest.mark.parametrize("class_", [class_ for class_ in CLASSES if hasattr(class_, "template_fields")])
def test_docstring_marks_templated_arguments(class_: type) -> None:
    documented = _documented(class_)

    templated = {name for name in _arguments(class_) if {name, f"is_{name}"} & set(class_.template_fields)}

    assert {name for name, text in documented.items() if "(templated)" in text} == templated


@pytest.mark.parametrize("class_", [class_ for class_ in CLASSES if hasattr(class_, "template_fields")])
def test_reference_shows_the_class(class_: type) -> None:
    page = "sensors" if class_ is MediaExistsSensor else "operators"

    assert f"## {class_.__name__}\n\n<!-- autoclass " in (ROOT / "docs" / "reference" / f"{page}.md").read_text()


def _documented(class_: type) -> dict[str, str]:
    docstring = inspect.getdoc(class_) or ""
    return dict(re.findall(r"^:param (\w+): (.*?)(?=^:|\Z)", docstring, re.DOTALL | re.MULTILINE))


def _arguments(class_: type) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(class_.__init__).parameters
    return {name: value for name, value in parameters.items() if name not in {"self", "kwargs"}}
