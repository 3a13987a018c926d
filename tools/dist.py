"""Build the wheel and the source archive, check them, and run an example from the installed wheel: ``make dist``.

Both are built from the last commit, twice: the same commit gives the same bytes. They end up in ``dist/``.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
UV = ROOT / ".venv" / "bootstrap" / "bin" / "uv"
PACKAGE = "airflow_provider_media"

_NEEDED = ("py.typed", "sandbox/openapi.yaml", "sandbox/templates/")
_BESIDE_THE_PACKAGE = {"LICENSE", "PACKAGE.md", "PKG-INFO", "pyproject.toml"}
_ABOUT_THE_WHEEL = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
_RELATIVE_LINK = re.compile(r"\]\((?!https?://|#)([^)]+)\)|<(?:img|a)\b[^>]*?(?:src|href)=[\"'](?!https?://)([^\"']+)")
_CODE = re.compile(r"^```\w+\n.*?^```", re.DOTALL | re.MULTILINE)


class DistError(Exception):
    """An archive is not as it should be; the sentence says how."""


def main() -> None:
    """Build, check, install, run; exit with 1 at the first thing that is wrong."""
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="media-dist-") as folder:
            _make(Path(folder))
    except DistError as error:
        sys.exit(f"make dist failed: {error}")
    print(f"Done in {time.monotonic() - started:.0f} s; the archives are in {DIST.relative_to(ROOT)}/.")


def _make(folder: Path) -> None:
    source = folder / "source"
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(source, filter="data")
    wheel, sdist = _build(source, folder / "first")
    again = _build(source, folder / "second")
    for one, other in zip((wheel, sdist), again, strict=True):
        if one.read_bytes() != other.read_bytes():
            raise DistError(f"building {one.name} twice gives different bytes.")
    _say("built twice, the same bytes", wheel, sdist)
    check_wheel(wheel, source)
    check_sdist(sdist, source)
    check_long_description(source)
    _run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    _say("contents, metadata and long description are in order")
    _run_example(wheel, source, folder)
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    for path in (wheel, sdist):
        shutil.copy(path, DIST)
        print(f"      {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size:,} B")


def _build(source: Path, target: Path) -> tuple[Path, Path]:
    """Build the source archive, and from that the wheel; each file bears the commit's time."""
    moment = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    _run(UV, "build", "--quiet", "--out-dir", target, source, SOURCE_DATE_EPOCH=moment.stdout.strip())
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, sdist


def check_wheel(wheel: Path, source: Path) -> None:
    """Compare a wheel with the package's files, and read its metadata.

    :raises DistError: something is missing or too much.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (about,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        metadata = BytesParser().parsebytes(archive.read(f"{about}/METADATA"))
        entry_points = archive.read(f"{about}/entry_points.txt").decode()
    files = _package_files(source)
    _compare(wheel.name, names, files | {f"{about}/{name}" for name in _ABOUT_THE_WHEEL})
    if missing := [name for name in _NEEDED if not any(file.startswith(f"{PACKAGE}/{name}") for file in files)]:
        raise DistError(f"the package has no {', '.join(missing)}.")
    (version,) = re.findall(r'^__version__ = "(.+)"', (source / PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    for key, wanted in {
        "Name": "airflow-provider-media",
        "Version": version,
        "License-Expression": "Apache-2.0",
        "Requires-Python": ">=3.11",
        "Description-Content-Type": "text/markdown",
    }.items():
        if metadata[key] != wanted:
            raise DistError(f"{wheel.name}: {key} is {metadata[key]!r}, not {wanted!r}.")
    if "[apache_airflow_provider]" not in entry_points:
        raise DistError(f"{wheel.name}: Airflow would not find the provider: its entry point is missing.")


def check_sdist(sdist: Path, source: Path) -> None:
    """Compare a source archive with the package's files.

    :raises DistError: something is missing or too much.
    """
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    _compare(sdist.name, names, _package_files(source) | _BESIDE_THE_PACKAGE)


def check_long_description(source: Path) -> None:
    """See that nothing in it leads to a file, and that its code is the README's, which the tests run.

    :raises DistError: a link is relative, or code stands in it only.
    """
    text, readme = ((source / name).read_text() for name in ("PACKAGE.md", "README.md"))
    if links := ["".join(found) for found in _RELATIVE_LINK.findall(text)]:
        raise DistError(f"PACKAGE.md leads to {', '.join(links)}, which a package index does not have.")
    known = {line.strip() for block in _CODE.findall(readme) for line in block.splitlines()}
    if unknown := [line for block in _CODE.findall(text) for line in block.splitlines() if line.strip() not in known]:
        raise DistError(f"PACKAGE.md has code that the README does not have: {unknown[0].strip()}")


def _package_files(source: Path) -> set[str]:
    return {path.relative_to(source).as_posix() for path in (source / PACKAGE).rglob("*") if path.is_file()}


def _compare(name: str, found: set[str], wanted: set[str]) -> None:
    for what, files in {"lacks": wanted - found, "should not hold": found - wanted}.items():
        if files:
            raise DistError(f"{name} {what}: {', '.join(sorted(files))}.")


def _run_example(wheel: Path, source: Path, folder: Path) -> None:
    """Install the wheel where nothing else is, and run the campaign there against the sandbox that is in it."""
    home = folder / "away"  # without the package's source
    for part in ("tools", "example_dags"):
        shutil.copytree(source / part, home / part)
    environment = folder / "environment"
    python = environment / "bin" / "python"
    _run(UV, "venv", "--quiet", "--python", sys.executable, environment)
    constraints = source / "constraints" / "airflow3.txt"
    _run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", constraints, f"{wheel}[sandbox]")
    code = f"import {PACKAGE}; print({PACKAGE}.__file__)"
    origin = subprocess.run([python, "-c", code], cwd=home, check=True, capture_output=True, text=True).stdout
    if not Path(origin).is_relative_to(environment):
        raise DistError(f"the installed package is not that of the wheel, but {origin.strip()}.")
    _say("installed into a clean environment; the campaign runs from there")
    _run(python, "tools/demo.py", cwd=home)


def _run(*command: str | Path, cwd: Path = ROOT, **more: str) -> None:
    """Run a command; show what it said when it fails.

    :raises DistError: it failed.
    """
    own = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(command, cwd=cwd, env=own | more, check=False, capture_output=True, text=True)
    if done.returncode:
        raise DistError(f"{Path(command[0]).name} {command[1]} did not succeed:\n{done.stdout}{done.stderr}")


def _say(what: str, *paths: Path) -> None:
    print(f"-- {what}{_named(paths)}", flush=True)


def _named(paths: Iterable[Path]) -> str:
    names = ", ".join(path.name for path in paths)
    return f": {names}" if names else ""


if __name__ == "__main__":
    main()
