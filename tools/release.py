"""Set the version, date the changelog, commit and tag: ``make release VERSION=X.Y.Z``. Pushes nothing."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Release the version of the command line; exit with 1 if the repository is not ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="X.Y.Z, the unreleased version of the changelog")
    version = parser.parse_args().version
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        parser.error(f"VERSION must be X.Y.Z, not {version!r}")
    if _git("status", "--porcelain"):
        sys.exit("Commit or stash your changes first.")
    release(ROOT, version)
    _git("commit", "--all", "--message", f"Release {version}")
    _git("tag", "--annotate", f"v{version}", "--message", f"Release {version}")
    print(f"Tagged v{version}. Run make dist, then: git push --follow-tags")


def release(root: Path, version: str) -> None:
    """Write the version into the package, and today's date into the changelog.

    :param root: the repository.
    :param version: the new version.
    """
    package, changelog = root / "airflow_provider_media" / "__init__.py", root / "CHANGELOG.md"
    heading = f"## {version} (unreleased)"
    log = changelog.read_text()
    if f"\n{heading}\n" not in log:
        sys.exit(f"CHANGELOG.md has no heading {heading!r}.")
    changelog.write_text(log.replace(heading, f"## {version} ({datetime.now(UTC).date()})"))
    code = package.read_text()
    package.write_text(re.sub(r'^__version__ = ".*"$', f'__version__ = "{version}"', code, flags=re.MULTILINE))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
