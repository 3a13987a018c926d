"""The command line ``airflow-media``: check a folder, probe a platform, run the sandbox.

Modules are imported by the command that needs them, so that ``--help`` loads neither Airflow nor an HTTP library.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._sync.plan import SyncPlan
    from airflow_provider_media.probe import ProbeReport

API_KEY_VARIABLE = "MEDIA_API_KEY"
"""The environment variable of the API key for ``--url``."""

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    from airflow_provider_media import __version__
    from airflow_provider_media.sandbox import __main__ as sandbox

    parser = argparse.ArgumentParser(
        prog="airflow-media", description="Tools for a messaging platform's media library."
    )
    parser.add_argument("--version", action="version", version=f"airflow-provider-media {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_check(commands)
    _add_probe(commands)
    sandbox_parser = sandbox.add_options(commands.add_parser("sandbox", help="run a local Media API server"))
    values = parser.parse_args(arguments)
    if values.command == "sandbox":
        sandbox.serve(sandbox_parser, values)
        return OK
    from airflow_provider_media.exceptions import MediaConfigurationError, MediaError

    log, warnings = logging.getLogger("airflow_provider_media"), _Warnings()
    log.addHandler(warnings)
    log.propagate = False  # Airflow may log to the standard output
    try:
        return {"check": _check, "probe": _probe}[values.command](values, warnings)
    except MediaError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE if isinstance(error, MediaConfigurationError) else FAILED
    finally:
        log.propagate = True
        log.removeHandler(warnings)


def _add_check(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="check a folder's files before an upload",
        description="Report the files that the operators would refuse, or upload with a warning. Needs no API key or"
        " database. Exit code 1 if a file is refused, 2 for an invalid argument.",
    )
    add = parser.add_argument
    add("folder", metavar="DIR", help="the folder to check")
    add("--channels", default="", metavar="NAMES", help="whatsapp, rcs: comma-separated")
    add("--pattern", default="**/*", help="pattern of relative paths (default: %(default)s)")
    add("--exclude", action="append", default=[], metavar="PATTERN", help="skip these files; may be repeated")
    add("--check-integrity", action="store_true", help="refuse truncated and corrupt files also without channels")
    add("--strict", action="store_true", help="exit with 1 also for warnings")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a comment on a pull request")


def _add_probe(commands: Any) -> None:
    parser = commands.add_parser(
        "probe",
        help="measure how a platform behaves",
        description="Upload tiny files, compare what the platform returns, delete them again, and print the"
        " connection's extras that fit. Deletes only files that it uploaded itself.",
    )
    add = parser.add_argument
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--conn-id", default="media_default", help="the Airflow connection (default: %(default)s)")
    where.add_argument("--url", help=f"the base address; the API key is read from ${API_KEY_VARIABLE}")
    add("--folder-id", metavar="ID", help="upload into this folder of the library")
    add("--leave-files", action="store_true", help="do not delete the uploaded files")
    add("--max-wait", type=_seconds, default=60.0, metavar="S", help="until a file must be visible (default: 60)")
    add("--json", action="store_true", help="print JSON")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be greater than 0")
    return seconds


def _check(values: argparse.Namespace, warnings: _Warnings) -> int:
    from pathlib import Path

    from airflow_provider_media._api.values import escape_controls, format_size, plural

    if "://" not in values.folder and not Path(values.folder).is_dir():
        sys.stderr.write(f"There is no folder {values.folder!r}.\n")
        return USAGE
    steps = _check_folder(values, warnings).to_dict()["steps"]
    for step in steps:
        step["error"] = step["reason"] if step["action"] == "refuse" else None
    refused, warned = (sum(bool(step[key]) for step in steps) for key in ("error", "warnings"))
    if values.json:
        shown = ("path", "name", "mime_type", "size", "error", "warnings")
        counts = {"files": len(steps), "refused": refused, "warnings": warned}
        _print_json({"counts": counts, "files": [{name: step[name] for name in shown} for step in steps]})
    elif values.markdown:
        from airflow_provider_media.reports import approval_body

        sys.stdout.write(approval_body(step if step["error"] else step | {"action": None} for step in steps) + "\n")
    else:
        rows = []
        for step in steps:
            result = "refused" if step["error"] else "warning" if step["warnings"] else "ok"
            reasons = ([step["error"]] if step["error"] else []) + step["warnings"]
            size = "" if step["size"] is None else format_size(step["size"])
            rows.append((escape_controls(step["path"]), size, result, "\n".join(map(escape_controls, reasons))))
        _print_table(("File", "Size", "Result", "Reason"), rows)
        sys.stdout.write(f"{plural(len(steps), 'file')}: {refused} refused, {warned} with warnings\n")
    return FAILED if refused or (warned and values.strict) else OK


def _check_folder(values: argparse.Namespace, warnings: _Warnings) -> SyncPlan:
    """Return the plan of a sync to an empty library, with logged warnings among those of each file."""
    from dataclasses import replace

    from airflow_provider_media._channels.rules import channels_of
    from airflow_provider_media._sync.compare import SyncOptions, prepare_file
    from airflow_provider_media._sync.plan import make_plan
    from airflow_provider_media._sync.scan import find_files

    options = SyncOptions(
        source=values.folder,
        source_label=values.folder,
        pattern=values.pattern,
        exclude=tuple(values.exclude),
        channels=channels_of(values.channels.replace(",", " ").split()),
        check_integrity=values.check_integrity,
    )
    warnings.collected = []
    files = []
    for found in find_files(options.source, options.pattern, options.exclude, written=options.source_label):
        file = prepare_file(found, options, {})
        files.append(replace(file, warnings=(*file.warnings, *warnings.collected)))
        warnings.collected.clear()
    return make_plan(files, {}, if_changed=options.if_changed)


class _Warnings(logging.Handler):
    """Collects the provider's warnings, or prints them to the standard error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.collected: list[str] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.collected is None:
            sys.stderr.write(f"{record.getMessage()}\n")
        else:
            self.collected.append(record.getMessage())


def _probe(values: argparse.Namespace, _: _Warnings) -> int:
    from dataclasses import asdict

    from airflow_provider_media.probe import Probe

    settings = _settings(values)
    if not settings.allow_delete and not values.leave_files:
        sys.stderr.write(
            "The connection does not allow deletions (extra 'allow_delete': false), so the probe's files would stay in"
            " the library. To accept that, add --leave-files. Nothing was uploaded.\n"
        )
        return USAGE
    probe = Probe(
        settings,
        leave_files=values.leave_files,
        folder_id=values.folder_id,
        max_wait=values.max_wait,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # raises KeyboardInterrupt
    try:
        report = probe.run()
    except KeyboardInterrupt:  # during the cleanup
        report = probe.report
        report.error = "interrupted"
    if values.json:
        _print_json(asdict(report))
    else:
        _print_report(report, settings.base_url)
    if report.error == "interrupted":
        return INTERRUPTED
    return FAILED if report.error or (report.remaining and not values.leave_files) else OK


def _settings(values: argparse.Namespace) -> Settings:
    from airflow_provider_media._api.settings import Secret, read_settings
    from airflow_provider_media.exceptions import MediaConfigurationError

    if values.url:
        key = Secret(os.environ.get(API_KEY_VARIABLE, ""))
        if not key.reveal().strip():
            raise MediaConfigurationError(f"Set the environment variable {API_KEY_VARIABLE} to the API key.")
        return read_settings(host=values.url, password=key)
    from airflow.models.connection import Connection  # this process is not a task
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    from airflow_provider_media._airflow.connection import read_connection

    try:
        connection = Secret(Connection.get_connection_from_secrets(values.conn_id))
    except AirflowNotFoundException as error:
        raise MediaConfigurationError(f"{error}. Use --conn-id, or --url and {API_KEY_VARIABLE}.") from None
    return read_connection(connection, values.conn_id)


def _print_report(report: ProbeReport, base_url: str) -> None:
    sys.stdout.write(f"Media API at {base_url}\n")
    _print_table(("Property", "Found", "Note"), [(one.topic, one.found, one.note) for one in report.findings])
    if report.extras:
        sys.stdout.write(f"Extras that fit: {json.dumps(report.extras)}\n")
    elif not report.error:
        sys.stdout.write("Extras that fit: the defaults\n")
    for media_id, reason in report.remaining.items():
        sys.stdout.write(f"Not deleted: {media_id} ({reason})\n")
    if report.error:
        sys.stderr.write(f"The probe ended early: {report.error}\n")


def _print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*titles)
    for row in rows:
        table.add_row(*map(Text, row))  # Text, because names may contain rich's markup
    Console(file=sys.stdout).print(table)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
