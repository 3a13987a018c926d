"""Wait until media are in the library."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_media.exceptions import MediaConfigurationError, MediaNotFoundError
from airflow_provider_media.operators._arguments import all_ids, as_list, filled_text, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media


class MediaExistsSensor(BaseSensorOperator):
    """Wait until all that is asked for is in the library; also the gate just before a send.

    Ask by ids or by names. Returns ``Media.to_dict()`` in the order asked: a dict for one id or one plain name, a list
    otherwise: one file for each id and each plain name (the oldest of that name), and all that match a pattern. What
    was found once is not asked for again while the task runs.

    :param media_id: the library's id. (templated)
    :param media_ids: several of them. (templated)
    :param name: a human-readable name; with ``*``, ``?`` or ``[...]`` it is a pattern. (templated)
    :param names: several of them. (templated)
    :param min_matches: how many files must match a pattern. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaConfigurationError: neither ids nor names are given, or both, or one came out empty.
    """

    template_fields: Sequence[str] = ("media_id", "media_ids", "name", "names", "min_matches", "media_conn_id")
    ui_color = "#e9f0d5"

    def __init__(
        self,
        *,
        media_id: int | str | None = None,
        media_ids: Any = None,
        name: str | None = None,
        names: Any = None,
        min_matches: int | str = 1,
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.media_id = media_id
        self.media_ids = media_ids
        self.name = name
        self.names = names
        self.min_matches = min_matches
        self.media_conn_id = media_conn_id
        self._found: dict[str, list[Media]] = {}
        self._last_missing: list[str] = []

    @cached_property
    def hook(self) -> MediaHook:
        """The connection, made when first used."""
        from airflow_provider_media.hooks.media import MediaHook

        return MediaHook(self.media_conn_id)

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once for what is still missing."""
        by_id = self.media_id is not None or self.media_ids is not None
        by_name = self.name is not None or self.names is not None
        if by_id == by_name:
            raise MediaConfigurationError(
                "Give either media_id or media_ids, or else name or names; did an earlier task's result come out empty?"
            )
        wanted = self._look_for_ids() if by_id else self._look_for_names()
        missing = [key for key in wanted if key not in self._found]
        if missing != self._last_missing:
            self.log.info("Found %d of %d; missing: %s", len(wanted) - len(missing), len(wanted), missing or "none")
            self._last_missing = missing
        if missing:
            return PokeReturnValue(is_done=False)
        patterns = set(filter(_is_pattern, wanted)) if by_name else set()
        several = self.media_ids is not None or self.names is not None or bool(patterns)
        # Of several files with one plain name it is the oldest, as with if_exists="reuse"; a pattern gives all.
        found = [media for key in wanted for media in self._found[key][: None if key in patterns else 1]]
        for media in found:
            self.log.info("Found %r: id %s, %s bytes, %s", media.name, media.id, media.size, media.url)
        dicts = [media.to_dict() for media in found]
        return PokeReturnValue(is_done=True, xcom_value=dicts if several else dicts[0])

    def on_kill(self) -> None:
        """Break off promptly when the task is cancelled."""
        if "hook" in self.__dict__:
            self.hook.cancel()

    def _look_for_ids(self) -> list[str]:
        ids = all_ids(self.media_id, self.media_ids, ignore_none=False)
        for media_id in ids:
            if str(media_id) not in self._found:
                try:
                    self._found[str(media_id)] = [self.hook.get_media(media_id)]
                except MediaNotFoundError:
                    continue
        return [str(media_id) for media_id in ids]

    def _look_for_names(self) -> list[str]:
        from fnmatch import fnmatchcase

        given = [*([] if self.name is None else [self.name]), *([] if self.names is None else as_list(self.names))]
        if not given:
            raise MediaConfigurationError("names is empty: give at least one name to wait for.")
        wanted = list(dict.fromkeys(filled_text("name", name) for name in given))
        least = whole_number("min_matches", self.min_matches)
        missing = [name for name in wanted if name not in self._found]
        matches: dict[str, list[Media]] = {name: [] for name in missing}
        if missing:
            for media in self.hook.iter_media(sort_by="id", sort_order="asc"):
                for name in missing:
                    if media.name == name or (_is_pattern(name) and fnmatchcase(media.name or "", name)):
                        matches[name].append(media)
        self._found |= {
            name: found for name, found in matches.items() if len(found) >= (least if _is_pattern(name) else 1)
        }
        return wanted


def _is_pattern(name: str) -> bool:
    return any(letter in name for letter in "*?[")
