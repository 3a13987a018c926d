"""Add a software bill of materials to a wheel (PEP 770), for ``tools/dist.py``."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from pathlib import Path


def add_sbom(wheel: Path, project: dict[str, Any], version: str) -> None:
    """Write the SBOM into the wheel's ``.dist-info/sboms`` and its record. The result has the same bytes each time.

    :param project: the table ``project`` of ``pyproject.toml``.
    """
    with zipfile.ZipFile(wheel) as archive:
        files = {member: archive.read(member) for member in archive.infolist()}
    record = next(member for member in files if member.filename.endswith(".dist-info/RECORD"))
    content = json.dumps(make_sbom(project, version), indent=2).encode() + b"\n"
    name = sbom_name(project, version)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    files[record] = f"{name},sha256={digest},{len(content)}\n".encode() + files[record]
    added = zipfile.ZipInfo(name, record.date_time)
    added.external_attr, added.compress_type = record.external_attr, record.compress_type
    with zipfile.ZipFile(wheel, "w") as archive:
        for member, data in [*files.items(), (added, content)]:
            archive.writestr(member, data)


def sbom_name(project: dict[str, Any], version: str) -> str:
    """Return the SBOM's path in the wheel."""
    return f"{project['name'].replace('-', '_')}-{version}.dist-info/sboms/{project['name']}.cdx.json"


def make_sbom(project: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the SBOM in CycloneDX: the package, which bundles nothing, and the packages that it requires."""
    root = f"pkg:pypi/{project['name']}@{version}"
    requirements = sorted(map(Requirement, project["dependencies"]), key=lambda requirement: requirement.name)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": root,
                "name": project["name"],
                "version": version,
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
                "purl": root,
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": _purl(requirement),
                "name": requirement.name,
                "purl": _purl(requirement),
                "properties": [{"name": "python:requirement", "value": str(requirement)}],
            }
            for requirement in requirements
        ],
        "dependencies": [{"ref": root, "dependsOn": [_purl(requirement) for requirement in requirements]}],
    }


def _purl(requirement: Requirement) -> str:
    return f"pkg:pypi/{canonicalize_name(requirement.name)}"
