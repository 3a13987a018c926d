"""The operator that deletes files that are no longer needed."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    NotGiven,
    parse_choice,
    parse_name,
    parse_optional,
    parse_path,
    parse_token,
    takes_literally,
)
from airflow_provider_media._api.values import (
    escape_controls,
    format_size,
    parse_bool,
    parse_int,
    plural,
    refuse_none,
    show,
)
from airflow_provider_media._deletion.delete import (
    delete_each,
    deletion_state,
    find_references,
    in_use_error,
    new_backup,
    previously_started,
)
from airflow_provider_media._deletion.selection import Selection, find_candidates, find_hidden_ids, select
from airflow_provider_media.exceptions import MediaConfigurationError
from airflow_provider_media.operators._base import MediaOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._deletion.delete import References
    from airflow_provider_media.exceptions import MediaError
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_SHOWN_IN_LOG = 200


class MediaCleanupOperator(MediaOperator):
    """Delete the files that match all criteria and are not in use; a dry run by default.

    A file whose folder or creation date is unknown is never selected by it. If the list omits them, the operator gets
    up to 1,000 files by their ids, the oldest first. Without criteria the task fails, unless ``select_all=True``.

    Returns ``{"dry_run": bool, "deleted": [ids], "missing": [ids], "refused": {id: [users]}, "error": None}``: the
    files that were deleted (in a dry run: would be), that no longer existed, and that are in use. If the task would
    fail, a dry run returns the message as ``error``, and ``deleted`` is empty.

    :param name: only files whose name matches; ``*``, ``?`` and ``[...]`` are wildcards. (templated)
    :param wildcards: whether ``*``, ``?`` and ``[...]`` in ``name`` are wildcards; true by default. A name from
        ``upload.output["name"]`` is always literal. (templated)
    :param mime_type: only files of this type; may have wildcards (``image/*``). (templated)
    :param folder_id: only files known to be in this folder. (templated)
    :param older_than: only files known to be at least this old: a ``timedelta``, or seconds. (templated)
    :param keep_last: keep this number of the newest files of each name, regardless of age. If the order is unknown (ids
        are not numbers, and no creation dates), all files of the name are kept. (templated)
    :param select_all: select the whole library if there are no criteria. (templated)
    :param max_deletions: fail before anything is deleted if more files are selected. (templated)
    :param references: a callable (or the dotted path of one) that returns what still uses a file, as strings; see
        :class:`airflow_provider_media.references.ListedReferences`.
    :param on_reference: ``fail`` (default) deletes nothing if any file is in use; ``skip`` skips files in use.
        (templated)
    :param dry_run: delete nothing; true by default. (templated)
    :param backup_to: a folder, local or of an object store. Before its deletion, each file is written there as
        ``<id>-<name>``; a file that cannot be written is not deleted. (templated)
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaInUseError: a selected file is still used.
    :raises MediaConfigurationError: an argument is invalid, too many files are selected, or the connection has
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
        "backup_to",
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
        backup_to: Any = NOT_GIVEN,
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
        self.backup_to = backup_to
        self.is_dry_run = dry_run  # dry_run is a method of Airflow's operators
        self._written = {"name": name, "mime_type": mime_type}

    def execute(self, context: Context) -> dict[str, Any]:
        """Select files, check references, then delete."""
        selection = self._selection()
        on_reference = parse_choice("on_reference", self.on_reference, ("fail", "skip"))
        max_deletions = parse_int("max_deletions", self.max_deletions)
        is_dry_run = parse_bool("dry_run", self.is_dry_run)
        back_up = new_backup(self.hook, parse_optional(parse_path, "backup_to", self.backup_to))
        self.hook.check_may_delete()
        state = deletion_state(context, self.task_id, self.hook, selection=repr(selection))
        candidates = self.hook.run_flow(find_candidates(selection))
        selected = select(candidates, selection, now=datetime.now(UTC))
        used = find_references(selected, self.references)
        free = [media for media in selected if media.id not in used]
        if self.references is not None and len(free) <= max_deletions:
            # The references may name a file by an id that the list lacks.
            used |= find_references(self.hook.run_flow(find_hidden_ids(free)), self.references)
            free = [media for media in free if media.id not in used]
        log.info("Selected %d of %s%s", len(free), plural(len(candidates), "matching file"), _lines(selected, used))
        unknown = sum(map(selection.needs_details_for, candidates))
        if unknown:
            log.warning("Skipped %s: the API returned no creation date or folder", plural(unknown, "file"))
        files = plural(len(free), "file")
        refusal: MediaError | None = None
        if len(free) > max_deletions:
            refusal = MediaConfigurationError(
                f"{files} selected, more than max_deletions={max_deletions}. Narrow the selection or raise the limit;"
                " nothing was deleted."
            )
        elif used and on_reference == "fail":
            refusal = in_use_error(used)
        outcome: dict[str, Any] = {
            "dry_run": is_dry_run,
            "deleted": [] if refusal else [media.id for media in free],
            "missing": [],
            "refused": {str(media_id): users for media_id, users in used.items()},
            "error": str(refusal) if refusal else None,
        }
        if is_dry_run:
            effect = f"the task would fail: {refusal}" if refusal else f"{files} would be deleted."
            log.warning("Dry run: nothing was deleted. With dry_run=False, %s", effect)
            return outcome
        if refusal:
            raise refusal
        still_there = {str(media.id) for media in candidates}
        outcome["deleted"], outcome["missing"] = delete_each(
            self.hook,
            [media.id for media in free],
            state=state,
            deleted=[media_id for media_id in previously_started(state) if str(media_id) not in still_there],
            seen={str(media.id): media for media in free},
            back_up=back_up,
        )
        return outcome

    def _selection(self) -> Selection:
        name = parse_optional(parse_name, "name", self.name)
        is_name_exact = takes_literally(name, wildcards=parse_bool("wildcards", self.wildcards))
        if not is_name_exact:
            self._refuse_rendered_pattern("name", self.name)
        self._refuse_rendered_pattern("mime_type", self.mime_type)
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
                "No filter given: this would select every file. Set name, mime_type, folder_id, older_than or"
                " keep_last, or select_all=True; nothing was deleted."
            )
        return selection

    def _refuse_rendered_pattern(self, field: str, value: Any) -> None:
        """Raise for a pattern that selects nearly everything because a template rendered to an empty string."""
        is_rendered = isinstance(value, str) and value != self._written[field]
        if is_rendered and any(wildcard in value for wildcard in "*?[") and not any(map(str.isalnum, value)):
            raise MediaConfigurationError(
                f"{field} rendered to {value!r}. Did a Jinja template or an upstream task return nothing? If you mean"
                f" this pattern, write it without a template: {field}={value!r}."
            )


def _parse_duration(field: str, value: Any) -> timedelta:
    refuse_none(field, value)
    try:
        duration = value if isinstance(value, timedelta) else timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError):
        duration = timedelta(0)
    if isinstance(value, bool) or duration <= timedelta(0):
        raise MediaConfigurationError(f"{field} must be a timedelta or a number of seconds above 0, not {show(value)}.")
    return duration


def _lines(selected: Sequence[Media], used: dict[int | str, list[str]]) -> str:
    lines = []
    for media in selected[:_SHOWN_IN_LOG]:
        users = escape_controls(f", used by {', '.join(used[media.id])}") if media.id in used else ""
        stored = media.created_at.isoformat() if media.created_at else "unknown"
        lines.append(f"{media.id!r}  {media.name!r}, {format_size(media.size)}, stored {stored}{users}")
    more = len(selected) - _SHOWN_IN_LOG
    return "".join(f"\n{line}" for line in ([*lines, f"and {more} more"] if more > 0 else lines))
