"""Command line: ``python -m airflow_provider_media.sandbox``."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from airflow_provider_media.sandbox.settings import (
    DEFAULT_API_KEY,
    DEFAULT_MAX_BYTES,
    Collation,
    Envelope,
    IdStyle,
    NameStyle,
    SandboxSettings,
    TypeStyle,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted or terminated."""
    parser = add_options(argparse.ArgumentParser(prog="python -m airflow_provider_media.sandbox"))
    serve(parser, parser.parse_args(arguments))


def serve(parser: argparse.ArgumentParser, values: argparse.Namespace) -> None:
    """Serve until interrupted or terminated."""
    settings = settings_of(parser, values)
    try:
        from airflow_provider_media.sandbox.library import LibraryBusyError
        from airflow_provider_media.sandbox.server import Sandbox
    except ModuleNotFoundError as error:
        sys.exit(
            f"The media sandbox requires the module {error.name!r}. Install it with the extra: "
            "airflow-provider-media[sandbox]."
        )

    for number in (signal.SIGINT, signal.SIGTERM):
        # After its graceful shutdown, uvicorn raises the signal again for the previous handler.
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        sandbox = Sandbox(settings)
    except (OSError, LibraryBusyError) as error:
        sys.exit(f"The media sandbox cannot start: {error}")

    def announce() -> None:
        key_note = "the default API key" if settings.api_key == DEFAULT_API_KEY else "the API key that was given"
        sys.stdout.write(
            f"Media sandbox ready at {sandbox.base_url} (library page: {sandbox.base_url}/; X-Api-Key: {key_note})\n"
        )
        sys.stdout.flush()

    sandbox.run(announce)


def settings_of(parser: argparse.ArgumentParser, values: argparse.Namespace) -> SandboxSettings:
    """Return the settings of the options."""
    if (values.tls_certificate is None) != (values.tls_key is None):
        parser.error("--tls-certificate and --tls-key must be given together")
    names = {field.name for field in fields(SandboxSettings)}
    return SandboxSettings(**{name: value for name, value in vars(values).items() if name in names})


def add_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options of the sandbox, and return the parser."""
    parser.description = "Local Media API server on 127.0.0.1, with a web page that shows its library."
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    add = parser.add_argument
    count, seconds = _number(int, 1), _number(float, 0)
    add("--port", type=_number(int, 0, 65_535), default=8099, help="port to listen on; 0 for any free port")
    add("--api-key", type=_api_key, default=DEFAULT_API_KEY, help="accepted value of X-Api-Key")
    add("--data-dir", type=Path, default=Path(".sandbox"), help="folder that stores the library between runs")
    add("--requests-per-minute", type=count, metavar="N", help="return 429 above this number of requests per minute")
    add("--burst-per-second", type=count, metavar="N", help="return 429 above this number of requests per second")
    add(
        "--id-style",
        choices=get_args(IdStyle),
        default="number",
        help="format of ids: 17, or med_7f3a2b1c4d5e under mediaId, or others",
    )
    add("--envelope", choices=get_args(Envelope), default="content", help="key of a page's items")
    add("--no-totals", dest="totals", action="store_false", help="omit the total number of files from pages")
    add("--names", choices=get_args(NameStyle), default="kept", help="how the library changes names")
    add(
        "--types",
        choices=get_args(TypeStyle),
        default="plain",
        help="format of types: image/png, image/x-png, IMAGE, or others",
    )
    add("--reencodes", action="store_true", help="change the bytes of stored files")
    add("--processing-seconds", type=seconds, default=0, metavar="S", help="time until a new file has a size")
    add("--list-lag-seconds", type=seconds, default=0, metavar="S", help="age of the lists that are returned")
    add("--get-lag-seconds", type=seconds, default=0, metavar="S", help="time until a new file is found by its id")
    add("--brief-lists", action="store_true", help="omit description, folder, date and dimensions from lists")
    add("--wrapped", action="store_true", help='return single files as {"data": {...}}')
    add("--collation", choices=get_args(Collation), default="binary", help="order of sortBy=name")
    add("--compressed-errors", action="store_true", help="compress error responses with gzip")
    add("--interim-responses", action="store_true", help="send 100, 102 and 103 before each response")
    add("--max-bytes", type=count, default=DEFAULT_MAX_BYTES, metavar="N", help="return 413 for larger files")
    add("--tls-certificate", type=Path, metavar="FILE", help="serve HTTPS with this certificate (PEM)")
    add("--tls-key", type=Path, metavar="FILE", help="private key of the certificate (PEM)")
    return parser


def _number(kind: type[int | float], minimum: int, maximum: int | None = None) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not minimum <= value < float("inf") or (maximum is not None and value > maximum):
            span = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise argparse.ArgumentTypeError(f"must be {span}")
        return value

    return number


def _api_key(text: str) -> str:
    if not (text and text.isascii() and text.isprintable() and text == text.strip()):
        raise argparse.ArgumentTypeError("must be printable ASCII without spaces around it")
    return text


if __name__ == "__main__":
    main()
