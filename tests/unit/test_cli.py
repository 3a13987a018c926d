"""``airflow-media check`` and the command line itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.cli import main
from tests.helpers.doc_samples import MEDIA, ROOT, samples_of

if TYPE_CHECKING:
    from pathlib import Path

TEST = "tests/unit/test_cli.py::test_check_prints_the_documented_table"


@pytest.fixture
def creatives(tmp_path: Path, monkeypatch: Any) -> Path:
    """A folder with good and bad files, below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / "creatives"
    folder.mkdir()
    shutil.copy(MEDIA / "banner.jpg", folder)
    shutil.copy(MEDIA / "card-tonic.png", folder / "card-tonic.jpg")
    (folder / "notes.txt").write_text("not an image")
    (folder / "anim.gif").write_bytes(b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;")
    return folder


@pytest.mark.usefixtures("creatives")
def test_check_prints_the_documented_table(capsys: Any) -> None:
    (sample,) = (one for one in samples_of(ROOT / "docs" / "guides" / "command-line.md") if one.tested_by == TEST)
    command, _, expected = sample.code.partition("\n")
    assert main(command.split()[2:]) == 1
    assert capsys.readouterr().out == expected


def test_check_prints_json(creatives: Path, capsys: Any) -> None:
    assert main(["check", str(creatives), "--channels", "rcs", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"files": 4, "refused": 1, "warnings": 2}
    files = {file["path"]: file for file in report["files"]}
    assert files["banner.jpg"]["error"] is None
    assert files["banner.jpg"]["mime_type"] == "image/jpeg"
    assert "its extension does not match its content" in files["card-tonic.jpg"]["warnings"][-1]


def test_check_prints_markdown(creatives: Path, capsys: Any) -> None:
    assert main(["check", str(creatives), "--markdown"]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("**4 files, ")
    assert "| `banner.jpg` |" in printed


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--pattern", "banner.*"], 0),
        (["--exclude", "notes.txt"], 0),
        (["--exclude", "notes.txt", "--strict"], 1),
        (["--channels", "fax"], 2),
        (["--pattern", "*.mov"], 1),
    ],
)
def test_exit_codes_of_check(options: list[str], code: int, creatives: Path, capsys: Any) -> None:
    assert main(["check", str(creatives), *options]) == code
    assert any(capsys.readouterr())


def test_check_of_a_missing_folder_is_a_usage_error(creatives: Path, capsys: Any) -> None:
    assert main(["check", str(creatives / "none")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_check_refuses_two_files_of_one_name(creatives: Path, capsys: Any) -> None:
    shutil.copy(creatives / "banner.jpg", creatives / "e\u0301.jpg")
    shutil.copy(creatives / "banner.jpg", creatives / "\u00e9.jpg")
    assert main(["check", str(creatives), "--exclude", "notes.txt"]) == 1
    assert "2 files have this path" in capsys.readouterr().out


def test_names_cannot_forge_lines_or_markup(creatives: Path, capsys: Any) -> None:
    shutil.copy(creatives / "banner.jpg", creatives / "[red]a\x1b[2J\nb.jpg")
    assert main(["check", str(creatives), "--exclude", "notes.txt"]) == 0
    assert "[red]a\\x1b[2J\\nb.jpg" in capsys.readouterr().out


def test_help_loads_neither_airflow_nor_http_libraries() -> None:
    code = (
        "import sys; from airflow_provider_media.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted(name.partition('.')[0] for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
    )
    assert "check" in done.stdout
    assert "probe" in done.stdout
    for heavy in ("airflow", "requests", "rich", "starlette", "uvicorn", "sqlite3"):
        assert f"'{heavy}'" not in done.stdout


def test_sandbox_command_has_the_options_of_the_sandbox(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", "--help"])
    assert ended.value.code == 0
    assert "--list-lag-seconds" in capsys.readouterr().out


def test_sandbox_without_its_extra_names_the_extra(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "airflow_provider_media.sandbox.library", None)
    monkeypatch.setitem(sys.modules, "airflow_provider_media.sandbox.server", None)
    with pytest.raises(SystemExit, match=r"with the extra: airflow-provider-media\[sandbox\]"):
        main(["sandbox"])
