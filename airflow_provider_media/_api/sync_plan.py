"""What a sync is going to do, as a value: each file of a folder beside what the library has under its name.

The plan is made from two lists and asks nobody anything, so that a dry run and a real run make the same one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.flows import id_number, oldest_first
from airflow_provider_media._api.fingerprint import fingerprint_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_media._api.upload import Upload
    from airflow_provider_media.models import Media

IF_CHANGED = ("replace", "upload", "fail")

ACTIONS = ("create", "replace", "keep", "refuse")
"""``create``: send; ``replace``: send (unless an earlier try did), make sure, delete the old; ``keep``: nothing is to be
done; ``refuse``: nothing is done, and the task fails."""

_SHOWN_UNCHANGED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One file of the folder, checked.

    :param path: its path in the folder.
    :param name: its name in the library.
    :param upload: what would be sent, or None when it cannot be.
    :param fingerprint: the SHA-256 of its content, where that decides what is the same.
    :param problem: why it cannot be sent.
    :param warnings: what its channels recommend otherwise.
    """

    path: str
    name: str
    upload: Upload | None = None
    fingerprint: str | None = None
    problem: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to become of one file.

    :param action: one of :data:`ACTIONS`.
    :param path: its path in the folder.
    :param name: its name in the library.
    :param reason: why, in words.
    :param size: in bytes; None when the file cannot be read.
    :param mime_type: found from its bytes.
    :param there: the file of the library that is kept, or that an earlier try sent.
    :param old: the files of the library that are deleted when the new one is surely there.
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


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """All steps of a sync, in the order of the files' paths.

    :param steps: one for each file.
    """

    steps: tuple[Step, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many files there are of each action."""
        counted = Counter(step.action for step in self.steps)
        return {action: counted[action] for action in ACTIONS}

    @property
    def refused(self) -> tuple[Step, ...]:
        """The steps that cannot be done."""
        return tuple(step for step in self.steps if step.action == "refuse")

    @property
    def to_send(self) -> tuple[Step, ...]:
        """The steps that change the library."""
        return tuple(step for step in self.steps if step.action in ("create", "replace"))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"counts": self.counts, "steps": [step.to_dict() for step in self.steps]}

    def table(self) -> str:
        """Write it down for a log: all that changes something, and the first of what is kept."""
        kept = [step for step in self.steps if step.action == "keep"]
        changing = [step for step in self.steps if step.action != "keep"]
        rows = [(step.action, step.path, step.reason) for step in (*changing, *kept[:_SHOWN_UNCHANGED])]
        more = len(kept) - _SHOWN_UNCHANGED
        return as_table(rows) + (f"\nkeep     and {more} more, unchanged" if more > 0 else "")


def as_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Put texts into columns, one line a row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def namesakes_of(prepared: Iterable[Prepared], library: Iterable[Media]) -> dict[str, list[Media]]:
    """Find, by name, the files of the library that bear the name of a file of the folder, oldest first."""
    wanted = {file.name for file in prepared}
    found: dict[str, list[Media]] = defaultdict(list)
    for media in library:
        if media.name in wanted:
            found[media.name].append(media)
    return {name: oldest_first(several) for name, several in found.items()}


def make_plan(
    prepared: Sequence[Prepared], namesakes: Mapping[str, list[Media]], *, if_changed: str, resumed: bool = False
) -> SyncPlan:
    """Decide for each file what is to become of it.

    :param prepared: the folder's files.
    :param namesakes: what the library has under each name, oldest first; size and type as far as the API tells them.
    :param if_changed: what to do where the library has something else under the name: ``replace``, ``upload`` or
        ``fail``.
    :param resumed: whether an earlier try of the same task was cut off: it may have sent a file and not deleted the old
        ones yet.
    """
    times = Counter(file.name for file in prepared)
    steps = []
    for file in prepared:
        if file.problem is None and times[file.name] > 1:
            others = ", ".join(other.path for other in prepared if other.name == file.name and other is not file)
            file = replace(file, problem=f"{others} would get the same name {file.name!r} in the library")
        steps.append(_step(file, namesakes.get(file.name, []), if_changed=if_changed, resumed=resumed))
    return SyncPlan(tuple(steps))


def _step(file: Prepared, bearing_the_name: list[Media], *, if_changed: str, resumed: bool) -> Step:
    upload = file.upload
    if file.problem is not None or upload is None:
        return Step(action="refuse", path=file.path, name=file.name, reason=file.problem or "it cannot be read")
    step = Step(
        action="create",
        path=file.path,
        name=file.name,
        reason="the library does not have it",
        size=upload.source.size,
        mime_type=upload.mime_type,
        warnings=file.warnings,
    )
    namesakes = [media for media in bearing_the_name if upload.may_be(media)]
    if not namesakes:
        return step
    same = next((media for media in namesakes if _is_same(file, upload, media)), None)
    if same:
        left = _left_behind(same, namesakes, upload) if resumed and if_changed == "replace" else ()
        if left:
            reason = f"an earlier try sent it as {same.id}; still to delete: {_ids(left)}"
            return replace(step, action="replace", reason=reason, there=same, old=left)
        by = "content" if file.fingerprint else "size and type"
        return replace(step, action="keep", reason=f"the library has it as {same.id}: same {by}", there=same)
    return _changed(step, tuple(namesakes), upload, if_changed)


def _changed(step: Step, namesakes: tuple[Media, ...], upload: Upload, if_changed: str) -> Step:
    differs = f"{_ids(namesakes)} {'differs' if len(namesakes) == 1 else 'differ'}{_difference(namesakes[-1], upload)}"
    if if_changed == "fail":
        return replace(step, action="refuse", reason=f"{differs}, and if_changed='fail' wants no other version there")
    if if_changed == "upload":
        return replace(step, reason=f"{differs}; kept beside it")
    return replace(step, action="replace", reason=f"{differs}; deleted when this one is there", old=namesakes)


def _difference(old: Media, upload: Upload) -> str:
    if old.size is not None and old.size != upload.source.size:
        return f" ({old.size} bytes, here {upload.source.size})"
    return "" if old.size is not None else " as far as the API tells"


def _is_same(file: Prepared, upload: Upload, media: Media) -> bool:
    """Whether the library has this very file; what the API does not tell is not the same."""
    return upload.equals(media) and file.fingerprint in {None, fingerprint_in(media.description)}


def _left_behind(same: Media, namesakes: list[Media], upload: Upload) -> tuple[Media, ...]:
    """Find the older versions that a try which was cut off after sending had no time to delete."""
    newest = id_number(same.id)
    older = []
    for media in namesakes:
        number = id_number(media.id)
        if newest is not None and number is not None and number < newest and not upload.equals(media):
            older.append(media)
    return tuple(older)


def _ids(found: Iterable[Media]) -> str:
    return ", ".join(str(media.id) for media in found)


def keep_used(plan: SyncPlan, used: Mapping[int | str, list[str]], *, on_reference: str) -> SyncPlan:
    """Change the plan so that nothing is deleted which something still uses.

    :param used: by id, who uses it.
    :param on_reference: ``fail``: what would delete it is refused; ``skip``: the new version is sent beside it.
    """
    return SyncPlan(tuple(_without_used(step, used, on_reference) for step in plan.steps))


def _without_used(step: Step, used: Mapping[int | str, list[str]], on_reference: str) -> Step:
    in_use = {media.id: used[media.id] for media in step.old if media.id in used}
    if not in_use:
        return step
    users = "; ".join(f"media {media_id} is used by {', '.join(names)}" for media_id, names in in_use.items())
    if on_reference == "fail":
        return replace(step, action="refuse", reason=f"{users}: it cannot be replaced", old=())
    if step.there:
        return replace(step, action="keep", reason=f"{users}: both are kept", old=())
    return replace(step, action="create", reason=f"{users}: it is sent beside it", old=())
