"""The plan of a sync: what becomes of each file of a folder.

The plan is a value, computed from two lists without I/O, so that a dry run and a real run have the same one.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.flows import oldest_first
from airflow_provider_media._api.values import escape_controls, format_ids, format_size
from airflow_provider_media._upload.spec import (
    fingerprint_in,
    format_unknown_folders,
    name_digest,
    name_digest_in,
    with_unknown_folder,
)
from airflow_provider_media.exceptions import MediaConflictError, MediaFileError, MediaInUseError, MediaResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_media._sync.manifest import Receipt
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.exceptions import MediaError
    from airflow_provider_media.models import Media

MAX_WORKERS = 16
"""The number of connections that a session keeps open."""

IF_CHANGED = ("replace", "upload", "fail")

ACTIONS = ("create", "replace", "keep", "refuse")
"""``create``: upload; ``replace``: upload (unless a previous attempt did), verify, delete the old versions;
``keep``: do nothing; ``refuse``: fail before anything is uploaded."""

_MAX_SHOWN = 500
_MAX_OTHERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A file of the folder, after its checks."""

    path: str
    name: str
    upload: UploadSpec | None = None
    fingerprint: str | None = None
    receipt: Receipt | None = None
    problem: str | None = None
    error_class: type[MediaError] = MediaFileError
    rejected_by: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int | None:
        """The size in bytes; None of a refused file."""
        return self.upload.source.size if self.upload else None

    @property
    def mime_type(self) -> str | None:
        """The MIME type; None of a refused file."""
        return self.upload.mime_type if self.upload else None

    def could_match(self, media: Media) -> bool:
        """Return whether a file of the library has its name, or is the one of its receipt."""
        return self.upload is not None and (self.upload.could_match(media) or self._has_receipt_of(media))

    def is_same(self, media: Media) -> bool:
        """Return whether a file of the library is this one; an unknown size is not the same."""
        if self.upload is None:
            return False
        if self.receipt and self._has_receipt_of(media) and self.receipt.is_same(self.upload):
            return True
        return self.upload.matches(media) and self.fingerprint in {None, fingerprint_in(media.description)}

    def _has_receipt_of(self, media: Media) -> bool:
        return self.upload is not None and self.receipt is not None and self.receipt.is_of(self.upload, media)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """The planned action for one file, and its result after the execution.

    :param action: one of :data:`ACTIONS`; after a failure, ``failed``.
    :param media: the file of the library that is kept, or that this or a previous attempt uploaded.
    :param old: the files of the library to delete after the new one is verified.
    :param error_class: of a refused file.
    :param error: of a failed file.
    """

    action: str
    file: LocalFile
    reason: str
    media: Media | None = None
    old: tuple[Media, ...] = ()
    error_class: type[MediaError] | None = None
    error: MediaError | None = None

    @property
    def summary(self) -> str:
        """The reason; for a file to upload, followed or replaced by the summaries of its warnings."""
        warnings = "; ".join(warning.partition(";")[0] for warning in self.file.warnings)
        if not warnings or self.action == "keep":
            return self.reason
        return warnings if self.action == "create" and not self.old else f"{self.reason}; {warnings}"

    def to_dict(self) -> dict[str, Any]:
        """Return a dict of JSON values."""
        return {
            "action": self.action,
            "path": self.file.path,
            "name": self.file.name,
            "reason": self.reason,
            "size": self.file.size,
            "mime_type": self.file.mime_type,
            "id": self.media.id if self.media else None,
            "old_ids": [media.id for media in self.old],
            "warnings": list(self.file.warnings),
        }

    def manifest_entry(self) -> dict[str, Any] | None:
        """Return the manifest's entry of a file in the library; None of a failed one."""
        upload, media = self.file.upload, self.media
        if upload is None or media is None:
            return None
        sent = {"name": upload.name, "size": upload.source.size}
        stored = {"name": media.name, "size": media.size or None}
        return {
            "path": self.file.path,
            "id": media.id,
            "name": upload.name,
            "url": media.url,
            "mime_type": upload.mime_type,
            "size": upload.source.size,
            "action": self.action,
            "warnings": list(self.file.warnings),
            **({"sha256": upload.fingerprint} if upload.fingerprint else {}),
            **({"stored": stored} if stored != sent else {}),
        }


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """All steps of a sync, in the order of the files' paths."""

    steps: tuple[PlanStep, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The number of files by action."""
        counted = Counter(step.action for step in self.steps)
        return {action: counted[action] for action in ACTIONS}

    @property
    def refused(self) -> tuple[PlanStep, ...]:
        """The steps that cannot be executed."""
        return tuple(step for step in self.steps if step.action == "refuse")

    def to_dict(self) -> dict[str, Any]:
        """Return a dict of JSON values."""
        return {"counts": self.counts, "steps": [step.to_dict() for step in self.steps]}

    def table(self, *actions: str) -> str:
        """Return the steps with these actions as a table for the log, at most ``_MAX_SHOWN``."""
        of_actions = [step for action in actions for step in self.steps if step.action == action]
        rest = Counter(step.action for step in of_actions[_MAX_SHOWN:])
        rows = [(step.action, step.file.path, step.summary) for step in of_actions[:_MAX_SHOWN]]
        return "\n".join([*([as_table(rows)] if rows else []), *(f"{action}: {n} more" for action, n in rest.items())])


def as_table(rows: Sequence[tuple[str, ...]], *, max_rows: int | None = None, hint: str = "") -> str:
    """Align strings in columns, one line per row; escape control characters and line breaks."""
    escaped = [tuple(map(escape_controls, row)) for row in rows[:max_rows]]
    widths = [max(map(len, column)) for column in zip(*escaped, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in escaped]
    more = len(rows) - len(escaped)
    return "\n".join([*lines, f"and {more} more{hint}"] if more else lines)


def group_by_name(files: Iterable[LocalFile], library: Iterable[Media]) -> dict[str, list[Media]]:
    """Return by name the files of the library that may be a file of the folder, oldest first.

    With fingerprints, these include files without a description in the list, if they have the same size.
    """
    digests = {name_digest(file.name): file.name for file in files}
    names = set(digests.values())
    by_receipt = {str(file.receipt.media_id): file.name for file in files if file.receipt}
    of_size: dict[int, list[str]] = defaultdict(list)
    for file in files:
        if file.upload and file.upload.fingerprint:
            of_size[file.upload.source.size].append(file.name)
    found: dict[str, list[Media]] = defaultdict(list)
    for media in library:
        digest = name_digest_in(media.description)
        name = media.name if digest is None else digests.get(digest)
        candidates: Iterable[str] = {one for one in (name, by_receipt.get(str(media.id))) if one in names}
        if not candidates and media.description is None and media.size:
            candidates = of_size.get(media.size, ())
        for candidate in candidates:
            found[candidate].append(media)
    return {name: oldest_first(several) for name, several in found.items()}


def make_plan(
    files: Sequence[LocalFile],
    existing: Mapping[str, list[Media]],
    *,
    if_changed: str,
    sent_before: Callable[[Media], bool] = lambda _: False,
) -> SyncPlan:
    """Decide for each file what becomes of it.

    :param sent_before: whether a previous attempt of the task may have uploaded a file of the library. If so, it may
        not have deleted the old versions yet.
    """
    paths: dict[str, list[str]] = defaultdict(list)
    for file in files:
        paths[_normalized(file.name)].append(file.path)
    checked = [_refuse_shared_name(file, paths[_normalized(file.name)]) for file in files]
    return SyncPlan(tuple(_plan_step(file, existing.get(file.name, []), if_changed, sent_before) for file in checked))


def _normalized(name: str) -> str:
    """Return a name as a platform stores it that trims blanks and composes letters (Unicode's NFC)."""
    return unicodedata.normalize("NFC", name).strip()


def _refuse_shared_name(file: LocalFile, paths: list[str]) -> LocalFile:
    """Mark a file as refused if others would have its name."""
    if file.problem is not None or len(paths) == 1:
        return file
    others = [path for path in paths if path != file.path]
    more = f" and {len(others) - _MAX_OTHERS} more" if len(others) > _MAX_OTHERS else ""
    problem = f"would share the name {file.name!r} with {', '.join(others[:_MAX_OTHERS])}{more}; change name_template"
    if not others:
        problem = f"{len(paths)} files have this path in different Unicode forms (NFC and NFD); keep one"
    return replace(file, problem=problem, error_class=MediaConflictError)


def _plan_step(
    file: LocalFile, of_name: list[Media], if_changed: str, sent_before: Callable[[Media], bool]
) -> PlanStep:
    upload = file.upload
    if file.problem is not None or upload is None:
        reason, refused = file.problem or "it cannot be read", replace(file, upload=None, warnings=())
        return PlanStep(action="refuse", file=refused, reason=reason, error_class=file.error_class)
    step = PlanStep(action="create", file=file, reason="not in the library")
    # A file known to be in the folder comes before one whose folder is unknown.
    existing = sorted(filter(file.could_match, of_name), key=upload.has_unknown_folder)
    if not existing:
        return step
    if same := next((media for media in existing if file.is_same(media)), None):
        old = [media for media in existing if not (sent_before(media) or file.is_same(media))]
        if old and if_changed == "replace" and sent_before(same):
            reason = f"uploaded by a previous attempt as {same.id}; still to delete: {format_ids(old)}"
            return _plan_replacement(replace(step, reason=reason, media=same), old, upload)
        by = "same size and type" if upload.matches(same) else "stored by an earlier sync"
        if upload.fingerprint and fingerprint_in(same.description):
            by = "same content"
        return replace(step, action="keep", reason=f"in the library as {same.id}: {by}", media=same)
    if converted := next(filter(upload.is_rejected_conversion, existing), None):
        reason = (
            f"the platform converted it to {format_size(converted.size)}"
            f" ({format_size(upload.source.size)} uploaded) as"
            f" {converted.id}; set the connection's extra 'accept_converted' to true to accept that"
        )
        return replace(step, action="refuse", reason=reason, error_class=MediaResponseError)
    return _plan_changed(step, existing, upload, if_changed)


def _plan_changed(step: PlanStep, existing: list[Media], upload: UploadSpec, if_changed: str) -> PlanStep:
    noun, verb = ("id", "differs") if len(existing) == 1 else ("ids", "differ")
    differs = f"{noun} {format_ids(existing)} {verb}{_difference(existing[-1], upload)}"
    if if_changed == "fail":
        reason = f"{differs}; if_changed='fail' allows no other version"
        return replace(step, action="refuse", reason=reason, error_class=MediaConflictError)
    if if_changed == "upload":
        return replace(step, reason=f"{differs}; kept beside it")
    return _plan_replacement(replace(step, reason=f"{differs}; deleted after the upload"), existing, upload)


def _plan_replacement(step: PlanStep, old: list[Media], upload: UploadSpec) -> PlanStep:
    """Delete the old files after the upload, unless one of them may be in another folder."""
    unknown = with_unknown_folder(upload, old)
    if unknown:
        reason = f"{format_unknown_folders(unknown)} Or choose if_changed='upload'"
        return replace(step, action="refuse", reason=reason, media=None, error_class=MediaConflictError)
    return replace(step, action="replace", old=tuple(old))


def _difference(old: Media, upload: UploadSpec) -> str:
    size = upload.source.size
    if old.size is None:
        return ", as far as the API shows"
    if old.size == size:
        return ""
    shown, here = format_size(old.size), format_size(size)
    return f" ({shown}, here {here})" if shown != here else f" ({old.size:,} bytes, here {size:,})"


def keep_used(plan: SyncPlan, used: Mapping[int | str, list[str]], *, on_reference: str) -> SyncPlan:
    """Return the plan without deletions of files that are still used."""

    def without_used(step: PlanStep) -> PlanStep:
        in_use = [media.id for media in step.old if media.id in used]
        if not in_use:
            return step
        users = "; ".join(f"media {media_id} is used by {', '.join(used[media_id])}" for media_id in in_use)
        if on_reference == "fail":
            reason = f"cannot be replaced: {users}"
            return replace(step, action="refuse", reason=reason, old=(), error_class=MediaInUseError)
        unused = tuple(media for media in step.old if media.id not in used)
        action = "replace" if unused else "keep" if step.media else "create"
        return replace(step, action=action, reason=f"{step.reason}; kept: {users}", old=unused)

    return SyncPlan(tuple(map(without_used, plan.steps)))
