"""What the README shows to copy works as it stands there, on every Airflow that the package runs on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"


def test_the_dag_to_copy_uploads_looks_and_hands_on_the_id(
    platform: Any, run_dag: Any, load_dag: Any, media_folder: Path, tmp_path: Path
) -> None:
    (source,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.DOTALL | re.MULTILINE)
    file = tmp_path / "copied.py"
    file.write_text(source.replace("/data/banner.jpg", str(media_folder / "banner.jpg")))

    run = run_dag(load_dag(file, "summer_banner"))

    assert run.states == {"upload": "success", "still_there": "success", "send": "success"}
    (stored,) = platform.items()
    assert (stored["name"], stored["id"]) == ("banner-2026-07-01", run.xcom("upload", "id"))
