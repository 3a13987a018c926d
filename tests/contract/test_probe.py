"""``airflow-media probe`` against the sandbox: its findings, and that it deletes its own files only."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import pytest

from airflow_provider_media import probe as probe_module
from airflow_provider_media.cli import API_KEY_VARIABLE, main
from airflow_provider_media.probe import Probe
from airflow_provider_media.sandbox.__main__ import add_options, settings_of
from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import Collation, Envelope, IdStyle, NameStyle, SandboxSettings, TypeStyle
from airflow_provider_media.testing import MediaSandbox
from tests.helpers.doc_samples import ROOT, samples_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.helpers.doc_samples import Sample

PAGE = ROOT / "docs" / "guides" / "command-line.md"
TEST = "tests/contract/test_probe.py::test_output_is_the_documented_one"
COMMAND = "$ airflow-media sandbox"
DOCUMENTED = [pytest.param(one, id=one.text.partition("\n")[0]) for one in samples_of(PAGE) if one.tested_by == TEST]

OTHERS = [b"\x89PNG\r\n\x1a\nof others", b"GIF89aof others"]


def settings_by(options: str) -> SandboxSettings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return replace(settings_of(parser, parser.parse_args(options.split())), port=0, data_dir=None)


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Probe a sandbox; return the exit code and the output."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_PROXY", "*")

    def run(sandbox: Any, *options: str) -> tuple[int, str]:
        monkeypatch.setenv(API_KEY_VARIABLE, sandbox.api_key)
        code = main(["probe", "--url", sandbox.base_url, "--max-wait", "3", *options])
        output = capsys.readouterr()
        return code, output.out + output.err

    return run


def normalized(output: str) -> str:
    """Replace what differs between runs by strings of equal length."""
    output = re.sub(r"http://127.0.0.1:\d+", "http://127.0.0.1:8099", output)
    output = re.sub(r"\bmed_[0-9a-f]{12}", "med_7f3a2b1c4d5e", output)
    output = re.sub(r"'[0-9a-f]{12}(?=[ -])", "'3f9a1c5d7e2b", output)
    output = re.sub(r"'[0-9a-f]{12}'", "'3f9a1c5d7e2b'", output)
    return re.sub(r"after \d\.\d s", "after 0.5 s", output)


def settings_of_sample(sample: Sample) -> SandboxSettings:
    return settings_by(sample.text.partition("\n")[0].removeprefix(COMMAND))


def test_documentation_covers_every_dialect() -> None:
    documented = [settings_of_sample(parameter.values[0]) for parameter in DOCUMENTED]
    assert len(documented) == 8
    switches = ("totals", "reencodes", "brief_lists", "wrapped", "compressed_errors", "interim_responses")
    choices = {
        "id_style": IdStyle, "envelope": Envelope, "names": NameStyle, "types": TypeStyle, "collation": Collation
    }  # fmt: skip
    values: dict[str, Any] = {name: get_args(choice) for name, choice in choices.items()}
    for field, expected in (values | dict.fromkeys(switches, (True, False))).items():
        assert {getattr(settings, field) for settings in documented} == set(expected), field


@pytest.mark.parametrize("sample", DOCUMENTED)
def test_output_is_the_documented_one(sample: Sample, probe: Any) -> None:
    _, _, expected = sample.code.partition("$ airflow-media probe --url http://127.0.0.1:8099\n")
    with run_in_thread(settings_of_sample(sample)) as running:
        sandbox = MediaSandbox(running)
        for number, content in enumerate(OTHERS):
            sandbox.store(content, f"other {number}")
        before = sandbox.names()
        code, output = probe(running)
        assert (code, sandbox.names()) == (0, before)
    if "-lag-seconds" in sample.text:  # on a busy machine, the first poll may come after the lag
        output = output.replace("immediately", "after 0.5 s")
    assert normalized(output) == expected


def test_no_deletion_permission_requires_leave_files(media_sandbox: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", media_sandbox.connection(allow_delete=False))
    assert main(["probe"]) == 2
    assert "--leave-files" in capsys.readouterr().err
    assert media_sandbox.calls() == []
    assert main(["probe", "--leave-files", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert sorted(report["remaining"]) == sorted(str(media.id) for media in media_sandbox.library())
    assert len(report["remaining"]) == 4


def test_unknown_connection_and_missing_key_are_usage_errors(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    assert main(["probe", "--url", "http://127.0.0.1:1"]) == 2
    assert API_KEY_VARIABLE in capsys.readouterr().err


def test_rejected_key_fails_with_the_cause(media_sandbox: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, "another-key")
    assert main(["probe", "--url", media_sandbox.base_url]) == 1
    assert "401" in capsys.readouterr().err


@pytest.mark.parametrize("skip", [1, 3])
def test_upload_with_lost_response_is_found_and_deleted(skip: int, media_sandbox: Any, probe: Any) -> None:
    media_sandbox.store(OTHERS[0], "other")
    media_sandbox.fail("store_then_drop", "POST", skip=skip)
    code, output = probe(media_sandbox)
    assert code == 1
    assert "ended early" in output
    assert media_sandbox.names() == ["other"]


def test_failing_lists_do_not_prevent_the_cleanup(media_sandbox: Any, probe: Any) -> None:
    media_sandbox.answer(403, "GET", skip=4)
    code, _ = probe(media_sandbox)
    assert code == 1
    assert media_sandbox.names() == []


def test_file_of_others_is_not_deleted_for_a_wrong_id(media_sandbox: Any, probe: Any) -> None:
    other = media_sandbox.store(OTHERS[0], "other")
    body = {"id": other.id, "name": "note.txt", "mimeType": "text/plain", "size": 5}
    media_sandbox.answer(201, "POST", body=body)
    code, output = probe(media_sandbox)
    assert code == 1
    assert f"Not deleted: {other.id} (its name 'other' does not start with" in output
    assert media_sandbox.names() == ["other"]


def test_interrupted_probe_deletes_its_files(media_sandbox: Any, probe: Any, monkeypatch: Any) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Probe, "_measure_order", interrupt)
    code, output = probe(media_sandbox)
    assert code == 130
    assert media_sandbox.count("POST") == 5
    assert media_sandbox.names() == []
    assert "interrupted" in output


def test_interrupted_cleanup_names_the_remaining_files(media_sandbox: Any, probe: Any, monkeypatch: Any) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(probe_module, "build_delete", interrupt)
    code, output = probe(media_sandbox)
    assert code == 130
    assert output.count("Not deleted: ") == len(media_sandbox.names()) == 4


def test_slow_platform_gets_a_longer_settling_time(media_sandbox: Any, probe: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(Probe, "_measure_visibility", lambda self, _: setattr(self, "_slowest", 20.5))
    _, output = probe(media_sandbox, "--json")
    assert json.loads(output)["extras"] == {"settle_seconds": 62}
