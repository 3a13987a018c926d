"""Names of mapped uploads in Airflow's UI."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from airflow_provider_media._airflow.templates import name_map_index


def shown(name: str | None, file: Any, *, map_index: int = 0, template: str | None = None) -> str | None:
    context: Any = {"ti": SimpleNamespace(map_index=map_index), "map_index_template": template}
    name_map_index(context, name, file)
    template = context["map_index_template"]
    return None if template is None else jinja2.Template(template).render(context)


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        (None, "/campaigns/banner.jpg", "banner.jpg"),
        (None, "s3://campaigns/card one.png", "card one.png"),
        (None, "https://cdn.example/a.png?signature=secret", "a.png"),
        ("summer/{{ banner }}", "/campaigns/banner.jpg", "summer/{{ banner }}"),
        ("n" * 300, "a.png", "n" * 250),
    ],
)
def test_mapped_upload_is_named_by_its_name_or_file(name: str | None, file: str, expected: str) -> None:
    assert shown(name, file) == expected


def test_template_of_the_dag_and_unmapped_tasks_are_unchanged() -> None:
    assert shown("banner", "a.png", template="own") == "own"
    assert shown("banner", "a.png", map_index=-1) is None
