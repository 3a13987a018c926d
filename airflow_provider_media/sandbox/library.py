"""The library on disk: metadata in SQLite and the files beside it."""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
import threading
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

SORT_COLUMNS = {"id": "id", "name": "name", "mimeType": "mime_type", "size": "size", "createdAt": "created_at"}
"""The columns of the API's ``sortBy`` values."""

_MAX_INTEGER = 2**63 - 1  # SQLite's

# AUTOINCREMENT, because a plain key would reuse the newest file's id after its deletion.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS media (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    text_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT,
    folder_id INTEGER,
    mime_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    width INTEGER,
    height INTEGER,
    created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deleted AS SELECT *, created_at AS deleted_at FROM media LIMIT 0;
"""

_COLUMNS = "id, text_id, name, description, folder_id, mime_type, size, width, height, created_at"

_AS_OF = f"""(
    SELECT {_COLUMNS} FROM media WHERE created_at <= :as_of
    UNION ALL SELECT {_COLUMNS} FROM deleted WHERE created_at <= :as_of AND deleted_at > :as_of
)"""  # noqa: S608 (fixed names)
"""The library at a given time."""


def time_ago(seconds: float) -> str:
    """Return the time this many seconds ago, in a format that sorts in chronological order."""
    time = datetime.now(UTC) - timedelta(seconds=seconds)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


class LibraryBusyError(Exception):
    """Another sandbox uses this data folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMedia:
    """One row of the library. Each file has both kinds of id; the dialect selects one."""

    id: int
    text_id: str
    name: str
    description: str | None
    folder_id: int | None
    mime_type: str
    size: int
    width: int | None
    height: int | None
    created_at: str


class Library:
    """The stored files. All methods are blocking and thread-safe.

    :param folder: created if missing; only one sandbox can open it at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._files = folder / "files"
        self._incoming = folder / "incoming"
        for needed in (self._files, self._incoming):
            needed.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(folder / "library.sqlite3", timeout=0, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.create_collation("accents", _compare_names)
        try:
            with self._database:
                self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            self._database.close()
            raise LibraryBusyError(f"Cannot use the data folder {folder}: {error} (another sandbox?).") from error
        for leftover in self._incoming.iterdir():  # incomplete uploads of a killed sandbox
            leftover.unlink()

    def close(self) -> None:
        """Close the data folder."""
        with self._lock:
            self._database.close()

    @contextmanager
    def incoming_file(self) -> Iterator[Path]:
        """Yield an empty file on the library's disk; it is deleted afterwards unless it was stored."""
        with tempfile.NamedTemporaryFile(dir=self._incoming, delete=False) as file:
            path = Path(file.name)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def store(self, path: Path, *, mime_type: str, **fields: str | int | None) -> StoredMedia:
        """Store a file by renaming it, so that no reader sees an incomplete file.

        :param fields: ``name``, ``description`` and ``folder_id``.
        """
        width, height = _pixels(path, mime_type)
        values = {"text_id": f"med_{secrets.token_hex(6)}", "mime_type": mime_type, **fields}
        values |= {"size": path.stat().st_size, "width": width, "height": height, "created_at": time_ago(0)}
        insert = f"INSERT INTO media ({', '.join(values)}) VALUES (:{', :'.join(values)}) RETURNING *"  # noqa: S608 (fixed names)
        with self._lock, self._database:
            media = StoredMedia(**self._database.execute(insert, values).fetchone())
            path.rename(self.path_of(media))
        return media

    def find(self, media_id: int | str) -> StoredMedia | None:
        """Find a file by its numeric or string id."""
        column = "id" if isinstance(media_id, int) else "text_id"
        with self._lock:
            query = f"SELECT * FROM media WHERE {column} = ?"  # noqa: S608 (one of two fixed names)
            row = self._database.execute(query, (media_id,)).fetchone()
        return StoredMedia(**row) if row else None

    def delete(self, media: StoredMedia) -> bool:
        """Delete one file; return False if it was already deleted."""
        with self._lock, self._database:
            self._database.execute("INSERT INTO deleted SELECT *, ? FROM media WHERE id = ?", (time_ago(0), media.id))
            deleted = self._database.execute("DELETE FROM media WHERE id = ?", (media.id,)).rowcount == 1
        self.path_of(media).unlink(missing_ok=True)
        return deleted

    def page(
        self, *, offset: int, limit: int, order_by: str, descending: bool, as_of: str | None = None
    ) -> tuple[list[StoredMedia], int]:
        """List part of the library; equal values are ordered by id, so that pages do not overlap.

        :returns: the files, and the number of files in the library.
        """
        direction = "DESC" if descending else "ASC"
        source = "media" if as_of is None else _AS_OF
        query = f"SELECT {_COLUMNS} FROM {source} ORDER BY {order_by} {direction}, id {direction}"  # noqa: S608 (fixed names)
        values = {"as_of": as_of, "limit": limit, "offset": min(offset, _MAX_INTEGER)}
        with self._lock:
            rows = self._database.execute(query + " LIMIT :limit OFFSET :offset", values).fetchall()
            (count,) = self._database.execute(f"SELECT COUNT(*) FROM {source}", values).fetchone()  # noqa: S608 (fixed names)
        return [StoredMedia(**row) for row in rows], count

    def path_of(self, media: StoredMedia) -> Path:
        """Return the path of the file's bytes."""
        return self._files / str(media.id)


def _compare_names(left: str, right: str) -> int:
    """Compare names without case and accents; return a negative number, 0 or a positive number."""
    first, second = (
        "".join(letter for letter in unicodedata.normalize("NFD", name).casefold() if not unicodedata.combining(letter))
        for name in (left, right)
    )
    return (first > second) - (first < second)


def _pixels(path: Path, mime_type: str) -> tuple[int | None, int | None]:
    """Return an image's width and height; (None, None) for a video or a corrupt image."""
    if not mime_type.startswith("image/"):
        return None, None
    try:
        with Image.open(path, formats=("JPEG", "PNG", "GIF")) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # the errors of Pillow's readers
        return None, None
