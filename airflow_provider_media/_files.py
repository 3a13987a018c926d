"""Small text files, on a local disk or in an object store."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any


def read_text(path: Any) -> str:
    """Return what a file holds.

    :param path: a path, or the path of an object store.
    """
    text: str = _local_or_stored(path).read_bytes().decode()
    return text


def write_text(path: Any, text: str) -> None:
    """Write a file; whoever reads it meanwhile sees the old one or the new one, on a local disk and in S3.

    :param path: a path, or the path of an object store.
    """
    target = _local_or_stored(path)
    if not isinstance(target, Path):
        target.write_bytes(text.encode())
        return
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - of a descriptor
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _local_or_stored(path: Any) -> Any:
    if isinstance(path, (str, os.PathLike)) and not hasattr(path, "fs"):
        return Path(path)
    return Path(path.path) if getattr(path, "protocol", None) in {"file", "local"} else path
