"""What a sync is going to do, as a value: each file of a folder beside what the library has under its name.

The plan is made from two lists and asks nobody anything, so that a dry run and a real run make the same one.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.flows import oldest_first
from airflow_provider_media._api.formatting import format_ids
from airflow_provider_media._upload.existing import format_unknown_folders, with_unknown_folder
from airflow_provider_media._upload.fingerprint import fingerprint_in, name_digest, name_digest_in
from airflow_provider_media._upload.source import escape_controls
from airflow_provider_media.exceptions import MediaConflictError, MediaFileError, MediaInUseError, MediaResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_media._sync.receipts import Receipt
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.exceptions import MediaError
    from airflow_provider_media.models import Media

IF_CHANGED = ("replace", "upload", "fail")

ACTIONS = ("create", "replace", "keep", "refuse")
"""``create``: send; ``replace``: send (unless an earlier try did), make sure, delete the old; ``keep``: do nothing;
``refuse``: the task fails before anything is sent."""

_MAX_SHOWN = 500
_MAX_KEPT_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """One file of the folder, checked.

    :param path: its path in the folder.
    :param name: its name in the library.
    :param upload: what would be sent, or None when it cannot be.
    :param fingerprint: the SHA-256 of its content, where that decides what is the same.
    :param receipt: what an earlier sync noted of it.
    :param problem: why it cannot be sent.
    :param kind: what kind of problem that is.
    :param warnings: what its channels recommend otherwise.
    """

    path: str
    name: str
    upload: UploadSpec | None = None
    fingerprint: str | None = None
    receipt: Receipt | None = None
    problem: str | None = None
    kind: type[MediaError] = MediaFileError
    warnings: tuple[str, ...] = ()

    def could_match(self, media: Media) -> bool:
        """Whether a file of the library bears its name, or is the one that an earlier sync noted."""
        return self.upload is not None and (self.upload.could_match(media) or self._is_noted(media))

    def is_same(self, media: Media) -> bool:
        """Whether the library has this very file; what the API does not tell is not the same."""
        if self.upload is None:
            return False
        if self.receipt and self._is_noted(media) and self.receipt.is_same(self.upload):
            return True
        return self.upload.matches(media) and self.fingerprint in {None, fingerprint_in(media.description)}

    def _is_noted(self, media: Media) -> bool:
        return self.upload is not None and self.receipt is not None and self.receipt.is_of(self.upload, media)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """What is to become of one file.

    :param action: one of :data:`ACTIONS`.
    :param path: its path in the folder.
    :param name: its name in the library.
    :param reason: why, in words.
    :param size: in bytes; None when the file cannot be read.
    :param mime_type: found from its bytes.
    :param there: the file of the library that is kept, or that an earlier try sent.
    :param old: the files of the library that are deleted when the new one is surely there.
    :param refused: what kind of problem speaks against it, where it is refused.
    :param warnings: what its channels recommend otherwise.
    """

    action: str
    path: str
    name: str
    reason: str
    size: int | None = None
    mime_type: str | None = None
    there: Media | None = None
    old: tuple[Media, ...] = ()
    refused: type[MediaError] | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "action": self.action,
            "path": self.path,
            "name": self.name,
            "reason": self.reason,
            "size": self.size,
            "mime_type": self.mime_type,
            "id": self.there.id if self.there else None,
            "old_ids": [media.id for media in self.old],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What became of one file.

    :param step: what was planned.
    :param action: what was done: ``create``, ``replace``, ``keep`` or ``failed``.
    :param media: the file in the library.
    :param error: why it failed.
    :param replaced: the ids of the older files that were deleted.
    """

    step: PlanStep
    action: str
    media: Media | None = None
    error: MediaError | None = None
    replaced: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """All steps of a sync, in the order of the files' paths.

    :param steps: one for each file.
    """

    steps: tuple[PlanStep, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many files there are of each action."""
        counted = Counter(step.action for step in self.steps)
        return {action: counted[action] for action in ACTIONS}

    @property
    def refused(self) -> tuple[PlanStep, ...]:
        """The steps that cannot be done."""
        return tuple(step for step in self.steps if step.action == "refuse")

    @property
    def to_send(self) -> tuple[PlanStep, ...]:
        """The steps that change the library."""
        return tuple(step for step in self.steps if step.action in ("create", "replace"))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"counts": self.counts, "steps": [step.to_dict() for step in self.steps]}

    def table(self) -> str:
        """Write it down for a log: all that changes something, and the first of what is kept."""
        shown: list[PlanStep] = []
        left_out = []
        for action in ("refuse", "replace", "create", "keep"):
            steps = [step for step in self.steps if step.action == action]
            room = _MAX_KEPT_SHOWN if action == "keep" else max(0, _MAX_SHOWN - len(shown))
            shown += steps[:room]
            if len(steps) > room:
                left_out.append(f"\n{action}: {len(steps) - room} more")
        return as_table([(step.action, step.path, step.reason) for step in shown]) + "".join(left_out)


def as_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Put texts into columns, one line a row; control characters and line breaks are escaped."""
    escaped = [tuple(map(escape_controls, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*escaped, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in escaped
    )


def namesakes_of(prepared: Iterable[LocalFile], library: Iterable[Media]) -> dict[str, list[Media]]:
    """Find, by name, the files of the library that bear the name of a file of the folder, oldest first.

    With fingerprints, files whose description is not in the list may do so too, if they have the size.
    """
    proofs = {name_digest(file.name): file.name for file in prepared}
    names = set(proofs.values())
    of_size: dict[int, list[str]] = defaultdict(list)
    noted = {str(file.receipt.media_id): file.name for file in prepared if file.receipt}
    for file in prepared:
        if file.upload and file.upload.fingerprint:
            of_size[file.upload.source.size].append(file.name)
    found: dict[str, list[Media]] = defaultdict(list)
    for media in library:
        proof = name_digest_in(media.description)
        name = media.name if proof is None else proofs.get(proof)
        names_of_media = {name for name in (name, noted.get(str(media.id))) if name in names}
        for one in names_of_media:
            found[one].append(media)
        if names_of_media:
            continue
        if media.description is None and media.size:
            for candidate in of_size.get(media.size, ()):
                found[candidate].append(media)
    return {name: oldest_first(several) for name, several in found.items()}


def make_plan(
    prepared: Sequence[LocalFile],
    namesakes: Mapping[str, list[Media]],
    *,
    if_changed: str,
    sent_before: Callable[[Media], bool] = lambda _: False,
) -> SyncPlan:
    """Decide for each file what is to become of it.

    :param prepared: the folder's files.
    :param namesakes: what the library has under each name, oldest first; size and type as far as the API tells them.
    :param if_changed: what to do where the library has something else under the name: ``replace``, ``upload`` or
        ``fail``.
    :param sent_before: whether an earlier try of the same task can have sent a file of the library: if so, it may have
        had no time to delete the old ones.
    """
    same_name: dict[str, list[str]] = defaultdict(list)
    for file in prepared:
        same_name[_trimmed(file.name)].append(file.path)
    return SyncPlan(
        tuple(
            _step(_alone(file, same_name[_trimmed(file.name)]), namesakes.get(file.name, []), if_changed, sent_before)
            for file in prepared
        )
    )


def _trimmed(name: str) -> str:
    """Return what is left of a name where a platform trims blanks and composes letters (Unicode's NFC)."""
    return unicodedata.normalize("NFC", name).strip()


def _alone(file: LocalFile, same_name: list[str]) -> LocalFile:
    """Refuse a file whose name another one would get as well."""
    if file.problem is not None or len(same_name) == 1:
        return file
    others = [path for path in same_name if path != file.path]
    if not others:
        problem = (
            f"{len(same_name)} files have this path, written in different forms of Unicode (NFC and NFD): keep one"
        )
        return replace(file, problem=problem, kind=MediaConflictError)
    named = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")  # noqa: PLR2004
    problem = f"{named} would get the same name {file.name!r}: let name_template tell them apart"
    return replace(file, problem=problem, kind=MediaConflictError)


def _step(
    file: LocalFile, bearing_the_name: list[Media], if_changed: str, sent_before: Callable[[Media], bool]
) -> PlanStep:
    upload = file.upload
    if file.problem is not None or upload is None:
        reason = file.problem or "it cannot be read"
        return PlanStep(action="refuse", path=file.path, name=file.name, reason=reason, refused=file.kind)
    step = PlanStep(
        action="create",
        path=file.path,
        name=file.name,
        reason="the library does not have it",
        size=upload.source.size,
        mime_type=upload.mime_type,
        warnings=file.warnings,
    )
    # One that is surely in the folder comes before one that may be.
    namesakes = sorted(filter(file.could_match, bearing_the_name), key=upload.has_unknown_folder)
    if not namesakes:
        return step
    same = next((media for media in namesakes if file.is_same(media)), None)
    if same:
        left = [media for media in namesakes if not (sent_before(media) or file.is_same(media))]
        if left and if_changed == "replace" and sent_before(same):
            reason = f"an earlier try sent it as {same.id}; still to delete: {format_ids(left)}"
            return _replacing(replace(step, reason=reason, there=same), tuple(left), upload)
        is_proved = upload.fingerprint and fingerprint_in(same.description)
        by = "content" if is_proved else "size and type" if upload.matches(same) else "file as an earlier sync noted"
        return replace(step, action="keep", reason=f"the library has it as {same.id}: same {by}", there=same)
    if refused := next(filter(upload.is_rejected_conversion, namesakes), None):
        reason = (
            f"the library has it as {refused.id}, converted to {refused.size} bytes (sent: {upload.source.size}): set"
            " the connection's extra 'accept_converted' to true to accept that"
        )
        return replace(step, action="refuse", reason=reason, refused=MediaResponseError)
    return _changed(step, tuple(namesakes), upload, if_changed)


def _changed(step: PlanStep, namesakes: tuple[Media, ...], upload: UploadSpec, if_changed: str) -> PlanStep:
    differs = (
        f"{format_ids(namesakes)} {'differs' if len(namesakes) == 1 else 'differ'}{_difference(namesakes[-1], upload)}"
    )
    if if_changed == "fail":
        reason = f"{differs}, and if_changed='fail' wants no other version there"
        return replace(step, action="refuse", reason=reason, refused=MediaConflictError)
    if if_changed == "upload":
        return replace(step, reason=f"{differs}; kept beside it")
    return _replacing(replace(step, reason=f"{differs}; deleted when this one is there"), namesakes, upload)


def _replacing(step: PlanStep, old: tuple[Media, ...], upload: UploadSpec) -> PlanStep:
    """Delete the old files for the new one, unless one of them may be another folder's."""
    unknown = with_unknown_folder(upload, old)
    if unknown:
        reason = f"{format_unknown_folders(unknown)} Or choose if_changed='upload'"
        return replace(step, action="refuse", reason=reason, there=None, refused=MediaConflictError)
    return replace(step, action="replace", old=old)


def _difference(old: Media, upload: UploadSpec) -> str:
    if old.size is not None and old.size != upload.source.size:
        return f" ({old.size} bytes, here {upload.source.size})"
    return "" if old.size is not None else " as far as the API tells"


def keep_used(plan: SyncPlan, used: Mapping[int | str, list[str]], *, on_reference: str) -> SyncPlan:
    """Change the plan so that nothing is deleted which something still uses.

    :param used: by id, who uses it.
    :param on_reference: ``fail``: what would delete it is refused; ``skip``: it is kept beside the new version.
    """
    return SyncPlan(tuple(_without_used(step, used, on_reference) for step in plan.steps))


def _without_used(step: PlanStep, used: Mapping[int | str, list[str]], on_reference: str) -> PlanStep:
    in_use = {media.id: used[media.id] for media in step.old if media.id in used}
    if not in_use:
        return step
    users = "; ".join(f"{media_id} is used by {', '.join(names)}" for media_id, names in in_use.items())
    if on_reference == "fail":
        reason = f"{users}, so it cannot be replaced"
        return replace(step, action="refuse", reason=reason, old=(), refused=MediaInUseError)
    unused = tuple(media for media in step.old if media.id not in in_use)
    action = "replace" if unused else "keep" if step.there else "create"
    return replace(step, action=action, reason=f"{step.reason}; kept: {users}", old=unused)
