"""Base class of the operators."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_media._airflow.arguments import parse_str
from airflow_provider_media._airflow.retry_policy import set_default_retry_policy
from airflow_provider_media._airflow.templates import MediaTemplates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media.hooks.media import MediaHook


class MediaOperator(MediaTemplates, BaseOperator):
    """An operator with a hook, whose transfers are cancelled when the task is stopped.

    :param media_conn_id: the Airflow connection, of type ``media``.
    """

    template_fields: Sequence[str] = ("media_conn_id",)
    ui_color = "#d5f0ec"

    def __init__(self, *, media_conn_id: str = "media_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.media_conn_id = media_conn_id

    @cached_property
    def hook(self) -> MediaHook:
        """The hook, created at first use."""
        from airflow_provider_media.hooks.media import MediaHook

        return MediaHook(parse_str("media_conn_id", self.media_conn_id))

    def with_own_xcoms(self, result: dict[str, Any], context: Context) -> dict[str, Any]:
        """Return a result whose keys Airflow pushes as separate XComs (``multiple_outputs``).

        Airflow 3.0 cannot push None ("Field required" from its execution API, tested with 3.0.6). There, this method
        pushes the other keys and disables ``multiple_outputs``. Downstream, a missing key is None.
        """
        from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

        is_affected = get_base_airflow_version_tuple()[:2] == (3, 0) and "ti" in context
        if is_affected and self.multiple_outputs and self.do_xcom_push:
            for key, value in result.items():
                if value is not None:
                    context["ti"].xcom_push(key=key, value=value)
            self.multiple_outputs = False  # of this task instance only; downstream tasks read the DAG's
        return result

    def on_kill(self) -> None:
        """Cancel the transfer when the task is stopped or times out."""
        if "hook" in self.__dict__:
            self.hook.cancel()
