"""Small text files, on a local disk or in an object store."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_text(path: Any) -> str:
    """Return what a file holds.

    :param path: a path, or the path of an object store.
    :raises OSError: it cannot be read.
    """
    target = _local_or_stored(path)
    check_regular(target)
    text: str = target.read_bytes().decode()
    return text


def check_regular(path: Any) -> None:
    """Refuse a pipe or a device, which may block for ever, and would be replaced by a file when it is written.

    :raises OSError: the path is local, and leads to something else than a file or a folder.
    """
    if isinstance(path, Path) and path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))


def write_text(path: Any, text: str) -> None:
    """Write a file; a reader sees the old content or the new one, on a local disk and in S3.

    A symbolic link stays one: the file that it leads to is written. Of a file that is there, the mode and the group are
    kept, and the owner where this process may; a new file gets what the umask leaves.

    :param path: a path, or the path of an object store.
    """
    target = _local_or_stored(path)
    if not isinstance(target, Path):
        target.write_bytes(text.encode())
        return
    target = resolve_target(target)
    check_regular(target)
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - of a descriptor
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)  # so that not even a crash leaves an empty file under the name
            with suppress(FileNotFoundError):
                _keep_access(descriptor, target.stat())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def resolve_target(path: Path) -> Path:
    """Return the path of the file that a local path leads to through symbolic links; the file need not be there.

    :raises OSError: the links form a circle.
    """
    try:
        return path.resolve()
    except RuntimeError as error:  # Python 3.11 and 3.12 raise this for a circle
        raise OSError(str(error)) from error


def _keep_access(descriptor: int, old: os.stat_result) -> None:
    """Give a new file the group, the owner and the mode of the old one, as far as the process may."""
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(PermissionError):
            os.fchown(descriptor, owner, group)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))  # last, because a change of the owner takes bits away


def _local_or_stored(path: Any) -> Any:
    if isinstance(path, (str, os.PathLike)) and not hasattr(path, "fs"):
        return Path(path)
    return Path(path.path) if getattr(path, "protocol", None) in {"file", "local"} else path
