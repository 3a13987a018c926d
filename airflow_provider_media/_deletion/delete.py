"""Delete in three steps: look what is to be deleted, ask whether it may be, delete."""

from __future__ import annotations

import inspect
import logging
import pkgutil
from array import array
from collections.abc import Collection, Iterator, Mapping
from io import IOBase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_provider_media.exceptions import MediaConfigurationError, MediaInUseError, MediaNotFoundError
from airflow_provider_media.references import ListedReferences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._deletion.checkpoint import DeletionCheckpoint
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

    References = Callable[[Media], Iterable[str]] | str

log = logging.getLogger(__name__)

_NO_STRINGS = (bytes, bytearray, memoryview, array, range)
"""Collections that never hold strings, so that also an empty one is a mistake."""

_MAX_SHOWN = 100
"""Characters of a wrong value in an error."""


def find_references(found: Iterable[Media], references: References | None) -> dict[int | str, list[str]]:
    """Ask what still uses each file; return those that anything uses, with their users.

    :param references: a callable or its dotted path; None if nobody is asked.
    :raises MediaInUseError: the callable returned something else than strings, so it is unknown what is used.
    :raises MediaConfigurationError: the dotted path leads nowhere, or what it leads to cannot be called.
    """
    if references is None:
        return {}
    ask = _resolve(references)
    if isinstance(ask, ListedReferences):
        ask = ask.snapshot()  # read once for all these questions
    users = {media.id: _parse_users(ask(media), media) for media in found}
    return {media_id: names for media_id, names in users.items() if names}


def _parse_users(returned: Any, media: Media) -> list[str]:
    """Return what the callable returned as a list; a single string is one user.

    Unknown is never empty: only an empty list, or an iterator without items, says that nothing uses the file.

    :raises MediaInUseError: it returned something else.
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
            returned.close()  # or Python warns that it was never awaited
        raise MediaInUseError(
            f"It is unknown what uses media {media.id}: references returned {_shorten(returned)}{hint}. Let it return a"
            " list of strings, empty if nothing uses the file. Nothing was deleted."
        )
    return list(users)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _resolve(references: References) -> Callable[[Media], Iterable[str]]:
    found: Any = references
    if isinstance(references, str):
        try:
            found = pkgutil.resolve_name(references)
        except (ImportError, AttributeError, ValueError) as error:
            raise MediaConfigurationError(f"references={references!r} cannot be imported: {error}.") from error
    if not callable(found):
        raise MediaConfigurationError(
            f"references={references!r} must be a callable or the dotted path of one, not {type(found).__name__}."
        )
    asker: Callable[[Media], Iterable[str]] = found
    return asker


def refuse_if_used(found: Iterable[Media], references: References | None) -> None:
    """Return when nothing uses any of the files.

    :raises MediaInUseError: naming files and users.
    """
    used = find_references(found, references)
    if used:
        raise MediaInUseError(format_references(used) + " Nothing was deleted.")


def format_references(used: dict[int | str, list[str]]) -> str:
    """Name the files that are used, and who uses them."""
    from airflow_provider_media._upload.source import escape_controls

    named = "; ".join(f"media {key} by {', '.join(users)}" for key, users in used.items())
    return f"Still used: {escape_controls(named)}."


def delete_all(
    hook: MediaHook,
    media_ids: list[int | str],
    *,
    if_missing: str,
    references: References | None,
    on_reference: str,
    state: TaskState[DeletionCheckpoint],
) -> dict[str, list[int | str]]:
    """Delete the files that may be deleted; tell which were deleted, missing and skipped.

    :param state: keeps what earlier attempts deleted, or started to: what is missing now was deleted by them.
    :raises MediaNotFoundError: an id is missing (``if_missing="fail"``); before anything is deleted.
    :raises MediaInUseError: a file is used (``on_reference="fail"``); before anything is deleted.
    """
    outcome: dict[str, list[int | str]] = {"deleted": [], "missing": [], "skipped": []}
    found: dict[str, Media] = {}
    if if_missing == "fail" or references is not None:
        found, outcome["missing"] = _look_up(hook, media_ids)
        begun = {str(media_id) for media_id in started_before(state)}
        outcome["deleted"] = [media_id for media_id in outcome["missing"] if str(media_id) in begun]
        outcome["missing"] = [media_id for media_id in outcome["missing"] if str(media_id) not in begun]
        if outcome["missing"] and if_missing == "fail":
            raise MediaNotFoundError(
                f"The library has no media {', '.join(map(str, outcome['missing']))}; nothing more was deleted.",
                status=404,
            )
    used = find_references(found.values(), references)
    if used and on_reference == "fail":
        raise MediaInUseError(format_references(used) + " Nothing was deleted.")
    if used:
        log.warning("Not deleted. %s", format_references(used))
    outcome["skipped"] = list(used)
    left_alone = {str(media_id) for ids in outcome.values() for media_id in ids}
    # A file with two ids may be given by the one that its Media does not have as its id.
    left_alone |= {given for given, media in found.items() if media.id in used}
    left = [media_id for media_id in media_ids if str(media_id) not in left_alone]
    # Asking takes time; without it, the files were read just now.
    seen = found if references is not None else {}
    outcome["deleted"], missing = delete_each(hook, left, state=state, deleted=outcome["deleted"], seen=seen)
    outcome["missing"] += missing
    log.info("Deleted %(deleted)s, missing %(missing)s, skipped as still used %(skipped)s", outcome)
    return outcome


def delete_each(
    hook: MediaHook,
    media_ids: Sequence[int | str],
    *,
    state: TaskState[DeletionCheckpoint],
    deleted: Iterable[int | str],
    seen: Mapping[str, Media] = MappingProxyType({}),
) -> tuple[list[int | str], list[int | str]]:
    """Delete one after another; return what was deleted, and what was gone already.

    :param state: keeps each before it is deleted, and all when that is done.
    :param deleted: what earlier tries of the task deleted.
    :param seen: by id as given, the files as they were selected: each is read again right before its batch is deleted.
    """
    from airflow_provider_media._api.deletion import MAX_BATCH, still_there
    from airflow_provider_media._deletion.checkpoint import DeletionCheckpoint

    done, missing = list(deleted), list[int | str]()
    begun = {str(media_id): media_id for media_id in started_before(state)}
    for start in range(0, len(media_ids), MAX_BATCH):
        batch = media_ids[start : start + MAX_BATCH]
        before = [seen[str(media_id)] for media_id in batch if str(media_id) in seen]
        there = {str(media.id) for media in hook.run_flow(still_there(before))} if before else set()
        for media_id in batch:
            was_begun = str(media_id) in begun
            if str(media_id) in seen and str(seen[str(media_id)].id) not in there:
                (done if was_begun else missing).append(media_id)
                continue
            begun[str(media_id)] = media_id
            state.save(DeletionCheckpoint(ids=tuple(begun.values())))
            try:
                hook.delete(media_id)
            except MediaNotFoundError:
                # Gone since it was read, or ignored on request; or the request of a try that was cut off did its work.
                (done if was_begun else missing).append(media_id)
            else:
                done.append(media_id)
    state.save(DeletionCheckpoint(ids=tuple(done), is_done=True))
    return done, missing


def deletion_state(context: Context, task_id: str, hook: MediaHook, **about: Any) -> TaskState[DeletionCheckpoint]:
    """Return where a deletion keeps its checkpoint.

    :param about: what tells it from other deletions of the same task, connection and base address.
    """
    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._deletion.checkpoint import DeletionCheckpoint

    state = TaskState(context, DeletionCheckpoint, task_id=task_id)
    state.identify(lambda: {"base_url": hook.settings.base_url, "conn_id": hook.media_conn_id, **about})
    return state


def started_before(state: TaskState[DeletionCheckpoint]) -> tuple[int | str, ...]:
    """Return the ids that earlier attempts deleted, or started to."""
    checkpoint = state.load()
    return checkpoint.ids if checkpoint else ()


def _look_up(hook: MediaHook, media_ids: list[int | str]) -> tuple[dict[str, Media], list[int | str]]:
    """Get each file's metadata; return it by the given id, and the ids that the library does not have."""
    found: dict[str, Media] = {}
    missing: list[int | str] = []
    for media_id in media_ids:
        try:
            found[str(media_id)] = hook.get_media(media_id)
        except MediaNotFoundError:
            missing.append(media_id)
    return found, missing
