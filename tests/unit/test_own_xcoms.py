"""Each key of a result is an XCom of its own; Airflow 3.0, which cannot push None, is spared it."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat import version_compat

from airflow_provider_media.operators.media import MediaGetOperator

RESULT = {"id": 7, "description": None, "created": False, "replaced": []}


class Pushed(dict[str, Any]):
    """A task instance that keeps what is pushed."""

    def xcom_push(self, *, key: str, value: Any) -> None:
        self[key] = value


def push(monkeypatch: pytest.MonkeyPatch, airflow: tuple[int, int, int], **options: Any) -> tuple[Any, Pushed]:
    monkeypatch.setattr(version_compat, "get_base_airflow_version_tuple", lambda: airflow)
    operator = MediaGetOperator(task_id="get", media_id=7, **options)
    pushed = Pushed()
    assert operator.with_own_xcoms(dict(RESULT), {"ti": pushed}) == RESULT  # type: ignore[typeddict-item]
    return operator, pushed


def test_airflow_3_0_gets_all_keys_except_none(monkeypatch: pytest.MonkeyPatch) -> None:
    operator, pushed = push(monkeypatch, (3, 0, 6))
    assert pushed == {"id": 7, "created": False, "replaced": []}
    assert operator.multiple_outputs is False


@pytest.mark.parametrize("airflow", [(2, 11, 2), (3, 1, 8), (3, 3, 2)])
def test_other_airflows_push_the_keys_themselves(monkeypatch: Any, airflow: tuple[int, int, int]) -> None:
    operator, pushed = push(monkeypatch, airflow)
    assert pushed == {}
    assert operator.multiple_outputs is True


@pytest.mark.parametrize("options", [{"multiple_outputs": False}, {"do_xcom_push": False}])
def test_nothing_is_pushed_that_was_not_asked_for(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    _, pushed = push(monkeypatch, (3, 0, 6), **options)
    assert pushed == {}
