"""What must hold of the wheel and the source archive: ``tools/dist.py`` asks."""

from __future__ import annotations

import re
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from typing import TYPE_CHECKING, Any

from packaging.metadata import parse_email
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "airflow_provider_media"

_NEEDED = ("py.typed", "sandbox/openapi.yaml", "sandbox/templates/", "plugins/page/")
_BESIDE_THE_PACKAGE = {"LICENSE", "PACKAGE.md", "pyproject.toml"}
_GENERATED = ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
_OF_THE_FORMATS = {"metadata_version", "import_names"}
_RELATIVE_LINK = re.compile(r"\]\((?!https?://|#)([^)]+)\)|<(?:img|a)\b[^>]*?(?:src|href)=[\"'](?!https?://)([^\"']+)")
_CODE = re.compile(r"^```\w+\n.*?^```", re.DOTALL | re.MULTILINE)


class DistError(Exception):
    """An archive is not as it should be; the sentence says how."""


def check_wheel(wheel: Path, source: Path) -> None:
    """Compare a wheel with the package's files, and what it says of itself with ``pyproject.toml``.

    :raises DistError: something is missing, too much or different.
    """
    project = _project(source)
    about = f"{PACKAGE}-{_version(source)}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    generated = {
        name: found.get(f"{about}/{name}", b"") for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
    }
    wanted = _package_files(source)
    wanted[f"{about}/licenses/LICENSE"] = (source / "LICENSE").read_bytes()
    _compare_files(wheel.name, found, wanted | {f"{about}/{name}": content for name, content in generated.items()})
    if missing := [name for name in _NEEDED if not any(file.startswith(f"{PACKAGE}/{name}") for file in found)]:
        raise DistError(f"the package has no {', '.join(missing)}.")
    _compare_values(wheel.name, _read_metadata(generated["METADATA"]), _wanted_metadata(project, source))
    _compare_values(wheel.name, _read_entry_points(generated["entry_points.txt"]), project["entry-points"])


def check_sdist(sdist: Path, wheel: Path, source: Path) -> None:
    """Compare a source archive with the package's files, and what it says of itself with what the wheel says.

    :raises DistError: something is missing, too much or different.
    """
    root = f"{PACKAGE}-{_version(source)}"
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        if others := [member.name for member in members if not member.isreg()]:
            raise DistError(f"{sdist.name} should hold files only, not {', '.join(others)}.")
        found = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    with zipfile.ZipFile(wheel) as built:
        metadata = built.read(f"{root}.dist-info/METADATA")
    wanted = _package_files(source) | {name: (source / name).read_bytes() for name in _BESIDE_THE_PACKAGE}
    wanted["PKG-INFO"] = metadata
    _compare_files(sdist.name, found, {f"{root}/{name}": content for name, content in wanted.items()})


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


def _project(source: Path) -> dict[str, Any]:
    return dict(tomllib.loads((source / "pyproject.toml").read_text())["project"])


def _version(source: Path) -> str:
    """Read what ``dynamic = ["version"]`` stands for."""
    (version,) = re.findall(r'^__version__ = "(.+)"', (source / PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    return str(version)


def _wanted_metadata(project: dict[str, Any], source: Path) -> dict[str, Any]:
    requirements = set(map(Requirement, project["dependencies"]))
    for extra, needed in project["optional-dependencies"].items():
        requirements |= {Requirement(f'{requirement} ; extra == "{extra}"') for requirement in needed}
    return {
        "name": project["name"],
        "version": _version(source),
        "summary": project["description"],
        "description": (source / project["readme"]).read_text().strip(),
        "description_content_type": "text/markdown",
        "keywords": set(project["keywords"]),
        "classifiers": set(project["classifiers"]),
        "license_expression": project["license"],
        "license_files": set(project["license-files"]),
        "requires_python": project["requires-python"],
        "requires_dist": requirements,
        "provides_extra": set(project["optional-dependencies"]),
    }


def _read_metadata(content: bytes) -> dict[str, Any]:
    raw, not_understood = parse_email(content)
    found: dict[str, Any] = {**raw, **not_understood}
    for name in _OF_THE_FORMATS:
        found.pop(name, None)
    found["description"] = found.get("description", "").strip()
    found["requires_dist"] = set(map(Requirement, found.get("requires_dist", ())))
    return {name: set(value) if isinstance(value, list) else value for name, value in found.items()}


def _read_entry_points(content: bytes) -> dict[str, dict[str, str]]:
    parser = ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read_string(content.decode())
    return {group: dict(parser[group]) for group in parser.sections()}


def _package_files(source: Path) -> dict[str, bytes]:
    files = [path for path in (source / PACKAGE).rglob("*") if path.is_file()]
    return {path.relative_to(source).as_posix(): path.read_bytes() for path in files}


def _compare_files(archive: str, found: dict[str, bytes], wanted: dict[str, bytes]) -> None:
    changed = {name for name in found.keys() & wanted.keys() if found[name] != wanted[name]}
    for what, names in {
        "lacks": wanted.keys() - found.keys(),
        "should not hold": found.keys() - wanted.keys(),
        "has another content of": changed,
    }.items():
        if names:
            raise DistError(f"{archive} {what}: {', '.join(sorted(names))}.")


def _compare_values(archive: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in sorted(found.keys() | wanted.keys()):
        has, says = found.get(name), wanted.get(name)
        if has != says:
            raise DistError(
                f"{archive}: {name} has {_different(has, says)}, where pyproject.toml says {_different(says, has)}."
            )


def _different(value: Any, other: Any) -> str:
    """Show a value; of a set, what the other one lacks."""
    if isinstance(value, set) and isinstance(other, set):
        return ", ".join(sorted(map(str, value - other))) or "nothing"
    return str(value)
