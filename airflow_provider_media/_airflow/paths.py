"""Read and write small text files, on a local disk or in an object store."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_text(path: Any) -> str:
    """Return the content of a file.

    :raises OSError: it cannot be read.
    """
    target = _local_or_stored(path)
    check_regular(target)
    text: str = target.read_bytes().decode()
    return text


def check_regular(path: Any) -> None:
    """Reject a pipe or a device, because reading may block, and writing would replace it by a file.

    :raises OSError: the path is local, and is neither a file nor a folder.
    """
    if isinstance(path, Path) and path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))


def write_text(path: Any, text: str) -> None:
    """Write a file atomically, on a local disk and in S3.

    Symbolic links are followed. An existing file keeps its mode and group, and its owner if the process has the
    permission; a new file gets the mode of the umask.
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
            os.fsync(descriptor)  # so that a crash does not leave an empty file
            with suppress(FileNotFoundError):
                _keep_access(descriptor, target.stat())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def resolve_target(path: Path) -> Path:
    """Follow the symbolic links of a local path; the file need not exist.

    :raises OSError: the links form a loop.
    """
    try:
        return path.resolve()
    except RuntimeError as error:  # Python 3.11 and 3.12 raise this for a loop
        raise OSError(str(error)) from error


def _keep_access(descriptor: int, old: os.stat_result) -> None:
    """Set the group, owner and mode of the old file, as far as permitted."""
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(PermissionError):
            os.fchown(descriptor, owner, group)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))  # last, because changing the owner clears bits


def _local_or_stored(path: Any) -> Any:
    if isinstance(path, (str, os.PathLike)) and not hasattr(path, "fs"):
        return Path(path)
    return Path(path.path) if getattr(path, "protocol", None) in {"file", "local"} else path
