"""What all operators of this package share."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_media.hooks.media import MediaHook


class MediaOperator(BaseOperator):
    """The connection, and breaking off when the task is stopped.

    :param media_conn_id: the Airflow connection, of type ``media``.
    """

    template_fields: Sequence[str] = ("media_conn_id",)
    ui_color = "#d5f0ec"

    def __init__(self, *, media_conn_id: str = "media_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.media_conn_id = media_conn_id

    @cached_property
    def hook(self) -> MediaHook:
        """The connection, made when first used."""
        from airflow_provider_media.hooks.media import MediaHook

        return MediaHook(self.media_conn_id)

    def on_kill(self) -> None:
        """Break off a transfer promptly when the task is cancelled or timed out."""
        if "hook" in self.__dict__:
            self.hook.cancel()
