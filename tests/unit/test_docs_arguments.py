"""The tables of arguments in docs/ list exactly the existing arguments."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from airflow_provider_media.operators.media import (
    MediaCleanupOperator,
    MediaDeleteOperator,
    MediaGetOperator,
    MediaListOperator,
    MediaSyncOperator,
    MediaUploadOperator,
)
from airflow_provider_media.sensors.media import MediaExistsSensor

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "guides/upload.md": MediaUploadOperator,
    "guides/get.md": MediaGetOperator,
    "guides/list.md": MediaListOperator,
    "guides/delete.md": MediaDeleteOperator,
    "guides/sync.md": MediaSyncOperator,
    "guides/cleanup.md": MediaCleanupOperator,
    "guides/waiting.md": MediaExistsSensor,
}


@pytest.mark.parametrize(("page", "class_"), [pytest.param(*item, id=item[0]) for item in PAGES.items()])
def test_table_lists_all_arguments(page: str, class_: type) -> None:
    rows = (DOCS / page).read_text().partition("| argument | meaning | default |\n")[2].partition("\n\n")[0]
    described = {}
    for row in rows.splitlines()[1:]:
        cell = row.split("|")[1]
        for name in re.findall(r"`(\w+)`", cell):
            described[name] = ("**" in cell, "†" in cell)

    given = {
        name: (parameter.default is parameter.empty, not {name, f"is_{name}"} & set(class_.template_fields))
        for name, parameter in inspect.signature(class_.__init__).parameters.items()
        if name not in {"self", "kwargs", "media_conn_id"}
    }

    assert described == given
