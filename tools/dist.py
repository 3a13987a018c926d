"""Build the wheel and the source archive, check them, and run an example from the installed wheel: ``make dist``.

Builds both twice from the last commit, to check that the builds are reproducible, and stores them in ``dist/``. The
wheel contains a software bill of materials. The repository's address is an argument, because it is not known here.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from dist_checks import PACKAGE, DistError, check_long_description, check_sdist, check_wheel, read_project, read_version
from sbom import add_sbom

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
UV = ROOT / ".venv" / "bootstrap" / "bin" / "uv"
AIRFLOWS = {"airflow3.txt": sys.executable, "airflow2.txt": sys.executable, "airflow3.4.txt": "3.13"}
"""The constraints files, each with its Python."""


def main() -> None:
    """Build, check, install, run; exit with 1 at the first failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="the repository's address, for the package's links; default: no links")
    parser.add_argument("--every-airflow", action="store_true", help="run the example on 2.11, 3.3 and 3.4")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="media-dist-") as folder:
            _make(Path(folder), arguments.url, list(AIRFLOWS) if arguments.every_airflow else ["airflow3.txt"])
    except DistError as error:
        sys.exit(f"make dist failed: {error}")
    print(f"Done in {time.monotonic() - started:.0f} s; the archives are in {DIST.relative_to(ROOT)}/.")


def _make(folder: Path, url: str | None, constraints: list[str]) -> None:
    source = folder / "source"
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(source, filter="data")
    if url:
        _add_links(source, url.rstrip("/"))
    wheel, sdist = _build(source, folder / "first")
    rebuilt = _build(source, folder / "second")
    for one, other in zip((wheel, sdist), rebuilt, strict=True):
        if one.read_bytes() != other.read_bytes():
            raise DistError(f"building {one.name} twice gives different bytes.")
    _print("built twice with identical bytes", wheel, sdist)
    check_wheel(wheel, source)
    check_sdist(sdist, wheel, source)
    check_long_description(source)
    _run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    _print("contents, metadata and long description are valid")
    for name in constraints:
        _run_example(wheel, source, folder / name, name)
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    for path in (wheel, sdist):
        shutil.copy(path, DIST)
        print(f"      {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size:,} B")


def _build(source: Path, target: Path) -> tuple[Path, Path]:
    """Build the source archive, and the wheel from it, with the commit's time as the time of all files."""
    command = ["git", "log", "-1", "--format=%ct"]
    commit_time = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    _run(UV, "build", "--quiet", "--out-dir", target, source, SOURCE_DATE_EPOCH=commit_time.stdout.strip())
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    add_sbom(wheel, read_project(source), read_version(source))
    return wheel, sdist


def _add_links(source: Path, url: str) -> None:
    links = {
        "Repository": url,
        "Documentation": f"{url}/blob/main/docs/index.md",
        "Changelog": f"{url}/blob/main/CHANGELOG.md",
        "Issues": f"{url}/issues",
    }
    with (source / "pyproject.toml").open("a") as file:
        file.write("\n[project.urls]\n" + "".join(f'{label} = "{link}"\n' for label, link in links.items()))


def _run_example(wheel: Path, source: Path, folder: Path, constraints: str) -> None:
    """Install the wheel into an empty environment, and run the campaign there against its sandbox.

    :param constraints: the name of a constraints file.
    """
    home = folder / "away"  # without the package's source
    for part in ("tools", "example_dags"):
        shutil.copytree(source / part, home / part)
    environment = folder / "environment"
    python = environment / "bin" / "python"
    _run(UV, "venv", "--quiet", "--python", AIRFLOWS[constraints], environment)
    pinned = source / "constraints" / constraints
    _run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", pinned, f"{wheel}[sandbox]")
    code = f"import {PACKAGE}; print({PACKAGE}.__file__)"
    origin = subprocess.run([python, "-c", code], cwd=home, check=True, capture_output=True, text=True).stdout
    if not Path(origin).is_relative_to(environment):
        raise DistError(f"the installed package is {origin.strip()}, not the wheel's.")
    _check_registration(python, folder)
    version = _run(python, "-c", "import airflow; print(airflow.__version__)", cwd=folder).split()[-1]
    _print(f"installed with Airflow {version}, which lists provider, connection type and plugin")
    _run(python, "tools/demo.py", cwd=home)
    _print("ran the campaign with the installed wheel")


def _check_registration(python: Path, folder: Path) -> None:
    """Check that Airflow's commands list the provider, the connection type and the plugin.

    :raises DistError: one is not listed.
    """
    for command, key, name in (
        (("providers", "list"), "package_name", "airflow-provider-media"),
        (("providers", "hooks"), "connection_type", "media"),
        (("plugins",), "name", "media_library"),
    ):
        home = folder / "airflow-home"
        output = _run(python, "-m", "airflow", *command, "--output", "json", cwd=folder, AIRFLOW_HOME=str(home))
        rows: list[dict[str, Any]] = json.loads(output[output.index("[{") :])
        if name not in [row[key] for row in rows]:
            raise DistError(f"airflow {' '.join(command)} does not list {name}.")


def _run(*command: str | Path, cwd: Path = ROOT, **more: str) -> str:
    """Run a command and return its output.

    :raises DistError: the command failed; the message contains its output.
    """
    own = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(command, cwd=cwd, env=own | more, check=False, capture_output=True, text=True)
    if done.returncode:
        raise DistError(f"{Path(command[0]).name} {command[1]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _print(step: str, *paths: Path) -> None:
    names = ", ".join(path.name for path in paths)
    print(f"-- {step}{f': {names}' if names else ''}", flush=True)


if __name__ == "__main__":
    main()
