"""Add the site of ``make docs`` to a folder with the sites of all versions: ``make docs-publish TARGET=folder``.

Writes ``versions.json``, which each site shows as a list, and an ``index.html`` that redirects to the newest release.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from packaging.version import InvalidVersion, Version

SITE = Path(__file__).parent.parent / "build" / "site"


def main() -> None:
    """Publish ``build/site``; exit with 1 if it does not exist."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="the folder to publish to")
    target = parser.parse_args().target
    if not SITE.exists():
        sys.exit("build/site does not exist. Run make docs first.")
    version = publish(SITE, target)
    print(f"Published the documentation of {version} in {target}")


def publish(site: Path, target: Path) -> str:
    """Copy a site to the folder of its version, and update the list of versions and the redirect.

    :param site: a site that Sphinx built; it contains its version.
    :param target: the folder with one folder for each version; created if missing.
    :return: the site's version.
    """
    options = (site / "_static" / "documentation_options.js").read_text(encoding="utf-8")
    version: str = re.findall(r"VERSION: '(.+?)'", options)[0]
    shutil.rmtree(target / version, ignore_errors=True)
    shutil.copytree(site, target / version)
    versions = sorted((Version(folder.name) for folder in target.iterdir() if _is_version(folder)), reverse=True)
    listed = [{"version": str(each), "prerelease": each.is_prerelease} for each in versions]
    (target / "versions.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    newest = max(versions, key=lambda each: (not each.is_prerelease, each))
    page = (site / "index.html").read_text(encoding="utf-8")
    (target / "index.html").write_text(page.replace("docs/index.html", f"{newest}/docs/index.html"), encoding="utf-8")
    return version


def _is_version(folder: Path) -> bool:
    try:
        return folder.is_dir() and str(Version(folder.name)) == folder.name
    except InvalidVersion:
        return False


if __name__ == "__main__":
    main()
