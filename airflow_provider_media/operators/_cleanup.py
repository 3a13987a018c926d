"""The operator that deletes what a library no longer needs."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    NotGiven,
    mark_pattern,
    parse_choice,
    parse_name,
    parse_optional,
    parse_token,
    refuse_rendered_pattern,
    takes_literally,
)
from airflow_provider_media._api.formatting import plural
from airflow_provider_media._api.values import parse_bool, parse_int, refuse_none
from airflow_provider_media._deletion.delete import (
    delete_each,
    deletion_state,
    find_references,
    format_references,
    previously_started,
)
from airflow_provider_media.exceptions import MediaConfigurationError, MediaInUseError
from airflow_provider_media.operators._base import MediaOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._deletion.delete import References
    from airflow_provider_media._deletion.selection import Selection
    from airflow_provider_media.exceptions import MediaError
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_SHOWN_IN_LOG = 200


class MediaCleanupOperator(MediaOperator):
    """Delete the files that a selection names, after all of them were looked at and asked about.

    A dry run unless told otherwise. What the API does not tell of a file (its folder, when it was stored) is unknown,
    and a file of which it decides is never selected. Where the list leaves it out, up to 1,000 files, the oldest
    ones, are looked at one by one. Several criteria must all hold; without any, nothing is selected
    and the task fails, unless ``select_all=True`` says that the whole library is meant.

    Returns ``{"dry_run": bool, "deleted": [ids], "missing": [ids], "refused": {id: [users]}, "error": None}``: what was
    (in a dry run: would be) deleted, was gone already, and is still used. Where the task would fail, a dry run has the
    sentence as ``error``, and ``deleted`` is empty.

    :param name: only files of this name, or whose name matches; ``*``, ``?`` and ``[...]`` are wildcards. (templated)
    :param wildcards: whether they are; true by default. A name that comes from ``upload.output["name"]`` is always
        taken literally. (templated)
    :param mime_type: only this type; wildcards too (``image/*``). (templated)
    :param folder_id: only files known to be in this folder. (templated)
    :param older_than: only files that are known to be stored this long ago: a ``timedelta``, or seconds. (templated)
    :param keep_last: the newest so many of each name stay, however old. Where it is unknown which these are (ids that
        are no numbers, and no creation date), all of a name stay. (templated)
    :param select_all: take the whole library, where no criterion is given. (templated)
    :param max_deletions: when more files are selected, the task fails before anything is deleted. (templated)
    :param references: a callable (or the dotted path of one) that tells what still uses a file, as texts; see
        :class:`airflow_provider_media.references.ListedReferences`.
    :param on_reference: ``fail`` (default) deletes nothing when any file is used; ``skip`` leaves out the used ones.
        (templated)
    :param dry_run: delete nothing; on unless it is false. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaInUseError: a selected file is still used.
    :raises MediaConfigurationError: an argument is wrong, too much is selected, or the connection says
        ``allow_delete: false``; nothing was deleted.
    """

    template_fields: Sequence[str] = (
        "name",
        "wildcards",
        "mime_type",
        "folder_id",
        "older_than",
        "keep_last",
        "select_all",
        "max_deletions",
        "on_reference",
        "is_dry_run",
        "media_conn_id",
    )

    def __init__(
        self,
        *,
        name: str | NotGiven = NOT_GIVEN,
        wildcards: bool | str = True,
        mime_type: str | NotGiven = NOT_GIVEN,
        folder_id: int | str | NotGiven = NOT_GIVEN,
        older_than: timedelta | float | str | NotGiven = NOT_GIVEN,
        keep_last: int | str | NotGiven = NOT_GIVEN,
        select_all: bool | str = False,
        max_deletions: int | str = 100,
        references: References | None = None,
        on_reference: str = "fail",
        dry_run: bool | str = True,
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(media_conn_id=media_conn_id, **kwargs)
        self.name = name
        self.wildcards = wildcards
        self.mime_type = mime_type
        self.folder_id = folder_id
        self.older_than = older_than
        self.keep_last = keep_last
        self.select_all = select_all
        self.max_deletions = max_deletions
        self.references = references
        self.on_reference = on_reference
        self.is_dry_run = dry_run  # under its own name it would be Airflow's method

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render a value; mark patterns without a letter, so that an empty template does not select everything."""
        return mark_pattern(content, super().render_template(content, context, jinja_env, seen_oids))

    def execute(self, context: Context) -> dict[str, Any]:
        """Select, ask, and only then delete."""
        from airflow_provider_media._deletion.selection import find_candidates, find_hidden_ids, select

        selection = self._selection()
        on_reference = parse_choice("on_reference", self.on_reference, ("fail", "skip"))
        most = parse_int("max_deletions", self.max_deletions)
        is_dry_run = parse_bool("dry_run", self.is_dry_run)
        self.hook.check_may_delete()
        state = deletion_state(context, self.task_id, self.hook, selection=repr(selection))
        candidates = self.hook.run_flow(find_candidates(selection))
        selected = select(candidates, selection, now=datetime.now(UTC))
        used = find_references(selected, self.references)
        free = [media for media in selected if media.id not in used]
        if self.references is not None and len(free) <= most:
            # The references may name a file by an id that the list lacks.
            used |= find_references(self.hook.run_flow(find_hidden_ids(free)), self.references)
            free = [media for media in free if media.id not in used]
        log.info("%s of %d that match:\n%s", plural(len(free), "file"), len(candidates), _lines(selected, used))
        unknown = sum(1 for media in candidates if selection.needs_details_for(media))
        if unknown:
            log.warning("Left alone, as the API tells no date or folder of them: %s", plural(unknown, "file"))
        refusal: MediaError | None = None
        if len(free) > most:
            files = plural(len(free), "file")
            refusal = MediaConfigurationError(
                f"{files} selected, more than max_deletions={most}: narrow the selection or raise it;"
                " nothing was deleted."
            )
        elif used and on_reference == "fail":
            refusal = MediaInUseError(format_references(used) + " Nothing was deleted.")
        outcome: dict[str, Any] = {
            "dry_run": is_dry_run,
            "deleted": [] if refusal else [media.id for media in free],
            "missing": [],
            "refused": {str(media_id): users for media_id, users in used.items()},
            "error": str(refusal) if refusal else None,
        }
        if is_dry_run:
            log.warning(
                "Dry run: nothing was deleted. With dry_run=False %s",
                f"the task would fail: {refusal}" if refusal else f"{plural(len(free), 'file')} would be deleted.",
            )
            return outcome
        if refusal:
            raise refusal
        still_there = {str(media.id) for media in candidates}
        before = [media_id for media_id in previously_started(state) if str(media_id) not in still_there]
        free_ids = [media.id for media in free]
        deleted, missing = delete_each(
            self.hook, free_ids, state=state, deleted=before, seen={str(media.id): media for media in free}
        )
        return {**outcome, "deleted": deleted, "missing": missing}

    def _selection(self) -> Selection:
        from airflow_provider_media._deletion.selection import Selection

        name = parse_optional(parse_name, "name", self.name)
        is_name_exact = takes_literally(name, wildcards=parse_bool("wildcards", self.wildcards))
        if not is_name_exact:
            refuse_rendered_pattern("name", self.name)
        refuse_rendered_pattern("mime_type", self.mime_type)
        selection = Selection(
            name=name,
            is_name_exact=is_name_exact,
            mime_type=parse_optional(parse_token, "mime_type", self.mime_type),
            folder_id=parse_optional(parse_token, "folder_id", self.folder_id),
            older_than=parse_optional(_parse_duration, "older_than", self.older_than),
            keep_last=parse_optional(parse_int, "keep_last", self.keep_last),
        )
        select_all = parse_bool("select_all", self.select_all)
        if selection.matches_everything and not select_all:
            raise MediaConfigurationError(
                "The selection leaves nothing out of the library: give name, mime_type, folder_id, older_than or"
                " keep_last, or say select_all=True if all of it is meant; nothing was deleted."
            )
        return selection


def _parse_duration(field: str, value: Any) -> timedelta:
    refuse_none(field, value)
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    else:
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            seconds = math.nan
    try:
        duration = timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        duration = timedelta(0)
    if duration <= timedelta(0):
        raise MediaConfigurationError(f"{field} must be a timedelta or a number of seconds above 0, not {value!r}.")
    return duration


def _lines(selected: Sequence[Media], used: dict[int | str, list[str]]) -> str:
    from airflow_provider_media._upload.source import escape_controls

    lines = []
    for media in selected[:_SHOWN_IN_LOG]:
        users = escape_controls(f", used by {', '.join(used[media.id])}") if media.id in used else ""
        stored = media.created_at.isoformat() if media.created_at else "unknown"
        lines.append(f"{media.id}  {media.name!r}, {media.size} bytes, stored {stored}{users}")
    more = len(selected) - _SHOWN_IN_LOG
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)
