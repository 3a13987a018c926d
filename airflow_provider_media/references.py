"""What still uses a file, known without asking the campaign system: a list that the campaigns' own tasks keep.

The Media API cannot tell which campaigns and templates refer to a file (its reference says so under *delete*). So
whoever deletes must know by other means, and a list that is missing, empty, broken or too old is no knowledge at all:
with any of these, nothing is deleted.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_media.exceptions import MediaConfigurationError, MediaInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_media.models import Media

_CLOCKS_MAY_DIFFER = timedelta(minutes=5)


class ListedReferences:
    """Tell what uses a file from a list in an Airflow Variable or in a file; for ``references=`` of the operators.

    The list is a JSON object: ``{"updated_at": "2026-07-01T08:00:00+00:00", "media": {"17": ["summer campaign"]}}``.
    :meth:`write` keeps it. It is read anew whenever something is about to be deleted.

    :param variable: the key of the Airflow Variable that holds the list.
    :param path: or the file that holds it: a path, or an object store's URI.
    :param max_age: how old the list may be, as a ``timedelta``; older, it is not believed.
    :raises MediaConfigurationError: not exactly one of ``variable`` and ``path`` is given.
    """

    def __init__(
        self, *, variable: str | None = None, path: Any = None, max_age: timedelta = timedelta(days=1)
    ) -> None:
        """Keep where the list is; nothing is read yet."""
        if (variable is None) == (path is None):
            raise MediaConfigurationError("Give ListedReferences either variable or path: where the list is.")
        if not isinstance(max_age, timedelta) or max_age <= timedelta(0):
            raise MediaConfigurationError(f"max_age must be a timedelta above 0, not {max_age!r}.")
        self.variable = variable
        self.path = path
        self.max_age = max_age

    def __call__(self, media: Media) -> list[str]:
        """Tell who uses a file.

        :raises MediaInUseError: the list cannot be believed.
        """
        return self.snapshot()(media)

    def snapshot(self) -> Callable[[Media], list[str]]:
        """Read the list once, for all questions of one deletion.

        :raises MediaInUseError: the list cannot be believed.
        """
        users = self._read()
        return lambda media: users.get(str(media.id), [])

    def write(self, users: Mapping[int, Iterable[str]] | Mapping[str, Iterable[str]]) -> None:
        """Replace the list, whole: a reader sees the old one or the new one.

        One task writes it, which knows all users; of two that write at once, the last one wins.

        :param users: by media id, the names of what uses it; at least one.
        :raises MediaConfigurationError: it is empty: an empty list is never believed.
        """
        if not users:
            raise MediaConfigurationError("An empty list of references is never believed, so it is not written.")
        listed = {str(media_id): [str(name) for name in names] for media_id, names in users.items()}
        document = {"updated_at": datetime.now(UTC).isoformat(), "media": listed}
        if self.variable is not None:
            from airflow.providers.common.compat.sdk import Variable

            Variable.set(self.variable, json.dumps(document))
            return
        from airflow_provider_media.hooks.media import _as_path
        from airflow_provider_media.operators._manifest import ManifestFile

        ManifestFile(_as_path(self.path)).write(document)

    def __repr__(self) -> str:
        """Name the list."""
        return f"ListedReferences({self._label})"

    @property
    def _label(self) -> str:
        return f"the Variable {self.variable!r}" if self.variable is not None else f"the file {self.path}"

    def _read(self) -> dict[str, list[str]]:
        text = self._text()
        try:
            listed = json.loads(text)
            updated_at = datetime.fromisoformat(listed["updated_at"])
            users = {
                str(media_id): [str(name) for name in ([names] if isinstance(names, str) else names)]
                for media_id, names in listed["media"].items()
            }
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise self._unbelievable("cannot be understood", type(error).__name__) from error
        if not users:
            raise self._unbelievable("is empty")
        if updated_at.utcoffset() is None:
            raise self._unbelievable("has a time without a time zone")
        age = datetime.now(UTC) - updated_at
        if age > self.max_age:
            raise self._unbelievable(f"is {age} old, more than {self.max_age}")
        if age < -_CLOCKS_MAY_DIFFER:
            raise self._unbelievable("comes from the future")
        # Listed, it is used, even where nobody is named.
        return {
            media_id: names or [f"a campaign that {self._label} does not name"] for media_id, names in users.items()
        }

    def _text(self) -> str:
        text: str | None
        try:
            if self.variable is not None:
                from airflow.providers.common.compat.sdk import Variable

                text = Variable.get(self.variable)
            else:
                text = _read_text(self.path)
        except Exception as error:  # whatever keeps it from being read, it is not known what is used
            raise self._unbelievable("cannot be read", str(error).partition("\n")[0]) from error
        if not (text or "").strip():
            raise self._unbelievable("is empty")
        return str(text)

    def _unbelievable(self, reason: str, detail: str = "") -> MediaInUseError:
        return MediaInUseError(
            f"It is not known what is still used, because {self._label} {reason}{f' ({detail})' if detail else ''}:"
            " write it anew (ListedReferences.write), then clear this task. Nothing was deleted."
        )


def _read_text(path: Any) -> str:
    from pathlib import Path

    from airflow_provider_media.hooks.media import _as_path

    found = _as_path(path)
    content: bytes = (Path(found) if isinstance(found, str) else found).read_bytes()
    return content.decode()
