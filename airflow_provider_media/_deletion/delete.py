"""Delete in three steps: get the files, check their references, delete them; back them up before, if requested."""

from __future__ import annotations

import inspect
import logging
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from io import IOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote

from airflow_provider_media._airflow.arguments import parse_callable
from airflow_provider_media._airflow.task_state import TaskState
from airflow_provider_media._api.deletion import get_unchanged
from airflow_provider_media._api.values import escape_controls, parse_flag, parse_ids, redact_url, show
from airflow_provider_media.exceptions import MediaConfigurationError, MediaInUseError, MediaNotFoundError
from airflow_provider_media.references import ListedReferences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

    References = Callable[[Media], Iterable[str]] | str
    BackUp = Callable[[Iterable[Media]], None]

log = logging.getLogger(__name__)

_NO_STRINGS = (bytes, bytearray, memoryview, array, range)
"""Collections that cannot contain strings, so that even an empty one is a mistake."""

_MAX_NAME_CHARS = 150


def find_references(found: Iterable[Media], references: References | None) -> dict[int | str, list[str]]:
    """Return the files that are in use, by id, each with its users."""
    if references is None:
        return {}
    find_users = parse_callable("references", references)
    if isinstance(find_users, type):
        name = find_users.__name__
        raise MediaConfigurationError(f"references is the class {name}, not an instance: use {name}(...).")
    if isinstance(find_users, ListedReferences):
        find_users = find_users.snapshot()  # reads the lists once for all files
    users = {media.id: _parse_users(find_users(media), media) for media in found}
    return {media_id: names for media_id, names in users.items() if names}


def _parse_users(returned: Any, media: Media) -> list[str]:
    """Parse the return value of the callable; a string is one user.

    Unknown is never empty: only an empty collection or iterator means that nothing uses the file.
    """
    users = [returned] if isinstance(returned, str) else returned
    is_readable = isinstance(users, (Collection, Iterator)) and not isinstance(users, (Mapping, *_NO_STRINGS, IOBase))
    if is_readable:
        users = list(users)
    if not is_readable or not all(isinstance(user, str) and user.strip() for user in users):
        hint = ""
        if inspect.isawaitable(returned) or inspect.isasyncgen(returned):
            hint = " (references must not be an async function)"
        if inspect.iscoroutine(returned):
            returned.close()  # avoids Python's warning that it was never awaited
        raise MediaInUseError(
            f"Could not check what uses media {media.id}: references returned {show(returned)}{hint}. Return a list"
            " of strings, empty if nothing uses the file. Nothing was deleted."
        )
    return list(users)


def refuse_if_used(found: Iterable[Media], references: References | None) -> None:
    """Raise if any of the files is in use."""
    if used := find_references(found, references):
        raise in_use_error(used)


def in_use_error(used: dict[int | str, list[str]]) -> MediaInUseError:
    """Return the error that prevents a deletion."""
    return MediaInUseError(f"{format_references(used)} Nothing was deleted.")


def format_references(used: dict[int | str, list[str]]) -> str:
    """Return a sentence with the files in use and their users."""
    named = "; ".join(f"media {key} by {', '.join(users)}" for key, users in used.items())
    return f"Still in use: {escape_controls(named)}."


def delete_all(
    hook: MediaHook,
    media_ids: list[int | str],
    *,
    if_missing: str,
    references: References | None,
    on_reference: str,
    state: TaskState[DeletionCheckpoint],
    back_up: BackUp | None = None,
) -> dict[str, list[int | str]]:
    """Check references, then delete the files; return the ids that were deleted, missing and skipped.

    :param state: the ids whose deletion earlier attempts started; a missing file among them counts as deleted.
    """
    deleted, missing = list[int | str](), list[int | str]()
    found: dict[str, Media] = {}
    if if_missing == "fail" or references is not None:
        started = set(map(str, previously_started(state)))
        for media_id in media_ids:
            try:
                found[str(media_id)] = hook.get_media(media_id)
            except MediaNotFoundError:
                (deleted if str(media_id) in started else missing).append(media_id)
        if missing and if_missing == "fail":
            raise MediaNotFoundError(
                f"The library has no media {', '.join(map(str, missing))}; nothing more was deleted.", status=404
            )
    used = find_references(found.values(), references)
    if used and on_reference == "fail":
        raise in_use_error(used)
    if used:
        log.warning("Skipped. %s", format_references(used))
    # A file with two ids may be given by its alternate id.
    excluded = {str(media_id) for ids in (deleted, missing, used) for media_id in ids}
    excluded |= {given for given, media in found.items() if media.id in used}
    remaining = [media_id for media_id in media_ids if str(media_id) not in excluded]
    # Only the references check takes long enough for the files to change.
    seen = found if references is not None else {}
    deleted, gone = delete_each(hook, remaining, state=state, deleted=deleted, seen=seen, back_up=back_up)
    outcome = {"deleted": deleted, "missing": missing + gone, "skipped": list(used)}
    log.info("Deleted %(deleted)s, missing %(missing)s, skipped because still in use %(skipped)s", outcome)
    return outcome


def delete_each(
    hook: MediaHook,
    media_ids: Sequence[int | str],
    *,
    state: TaskState[DeletionCheckpoint],
    deleted: Iterable[int | str],
    seen: Mapping[str, Media],
    back_up: BackUp | None,
) -> tuple[list[int | str], list[int | str]]:
    """Delete files one by one; return the deleted and the missing ids.

    :param state: stores each id before its deletion, and all of them at the end.
    :param deleted: the ids that earlier attempts of the task deleted.
    :param seen: the files as they were selected, by the given id; each is read again right before its deletion.
    """
    done, missing = list(deleted), list[int | str]()
    before = previously_started(state)
    started = set(map(str, before))
    if media_ids:
        state.save(DeletionCheckpoint(ids=before))
    for media_id in media_ids:
        # A missing file was deleted by another task, or by an interrupted attempt of this one.
        if_missing = done if str(media_id) in started else missing
        selected = seen.get(str(media_id))
        now = hook.run_flow(get_unchanged(selected)) if selected else None
        if selected and now is None:
            if_missing.append(media_id)
            continue
        try:
            if back_up:
                back_up([now or hook.get_media(media_id)])
            if str(media_id) not in started:
                state.append(media_id)
            hook.delete(media_id)
        except MediaNotFoundError:
            if_missing.append(media_id)
        else:
            done.append(media_id)
    state.save(DeletionCheckpoint(ids=tuple(done), is_done=True))
    return done, missing


def deletion_state(context: Context, task_id: str, hook: MediaHook, **about: Any) -> TaskState[DeletionCheckpoint]:
    """Return the task state for the checkpoint of a deletion."""
    state = TaskState(context, DeletionCheckpoint, task_id=task_id)
    state.identify(lambda: {"base_url": hook.settings.base_url, "conn_id": hook.media_conn_id, **about})
    return state


def previously_started(state: TaskState[DeletionCheckpoint]) -> tuple[int | str, ...]:
    """Return the ids whose deletion earlier attempts started."""
    return (state.load() or DeletionCheckpoint()).ids


def new_backup(hook: MediaHook, folder: Any) -> BackUp | None:
    """Return a function that writes files to a folder, each once, as ``<id>-<name>``; None without a folder."""
    from airflow_provider_media.hooks._base import as_path

    if folder is None:
        return None
    given = as_path(folder)
    target_folder = Path(given) if isinstance(given, str) else given
    if not hasattr(target_folder, "mkdir"):
        raise MediaConfigurationError(f"backup_to cannot be written: {redact_url(str(given))!r}.")
    written: set[str] = set()

    def back_up(found: Iterable[Media]) -> None:
        for media in found:
            if str(media.id) not in written:
                name = quote(media.name or "file", safe=" ()")[-_MAX_NAME_CHARS:]
                target = target_folder / f"{quote(str(media.id), safe='')}-{name}"
                hook.download(media, target, must_not_replace=True)
                written.add(str(media.id))
                log.info("Backed up media %r to %r", media.id, redact_url(str(target)))

    return back_up


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionCheckpoint:
    """The progress of a deletion."""

    KIND: ClassVar[str] = "media_deleted"
    GROWING: ClassVar[str] = "ids"

    ids: tuple[int | str, ...] = ()
    is_done: bool = False

    @property
    def outlives_clearing(self) -> bool:
        """Whether the deletion was interrupted, so that a missing file may be one that it deleted."""
        return not self.is_done

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {"ids": list(self.ids), "is_done": self.is_done}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output."""
        return cls(ids=parse_ids(values["ids"]), is_done=parse_flag(values["is_done"]))
