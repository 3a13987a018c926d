"""Markdown about media, for people who decide: an approval, a chat message, a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow_provider_media._api.values import format_size, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["approval_body"]

MAX_ROWS = 50
_URL_SAFE = "%/:?#[]@!$&'*+,;=~-._"
"""Characters of URLs that Markdown does not interpret within ``<...>``; others are percent-encoded."""


def approval_body(media: Any, *, previews: bool = True, max_rows: int = MAX_ROWS) -> str:
    """Return Markdown about files: a table with previews, names, ids, types, sizes and findings.

    It has no HTML, because Airflow's UI skips it. Names cannot change the layout, because they are code spans. Only
    ``http`` and ``https`` URLs become previews and links, others are omitted.

    :param media: what a task returned: a sync's manifest, the plan of its dry run, a media (also as a dict), or a list
        of media.
    :param previews: whether images are shown; otherwise only links, for chats that show none.
    :param max_rows: max number of rows; files with findings come first.
    :raises TypeError: it is something else.
    """
    entries = list(_entries(media))
    findings = [_findings(entry) for entry in entries]
    order = sorted(range(len(entries)), key=lambda index: not findings[index])
    shown = [_row(entries[index], findings[index], previews=previews) for index in order[:max_rows]]
    lines = [_summary(entries, findings)]
    if shown:
        lines += ["", "| Preview | File | Type | Size | Findings |", "| --- | --- | --- | --- | --- |", *shown]
    if len(entries) > max_rows:
        lines += ["", f"{len(entries) - max_rows} more files are not shown."]
    return "\n".join(lines)


def _entries(media: Any) -> Iterator[Mapping[str, Any]]:
    if hasattr(media, "to_dict"):
        media = media.to_dict()
    elif hasattr(media, "media"):  # an UploadResult
        media = media.media.to_dict()
    if not isinstance(media, (Mapping, Iterable)) or isinstance(media, (str, bytes)):
        raise TypeError(f"approval_body requires media or a manifest, not {type(media).__name__}.")
    if not isinstance(media, Mapping):
        for one in media:
            yield from _entries(one)
    elif isinstance(media.get("steps"), list):
        yield from media["steps"]
    elif media and all(isinstance(entry, Mapping) for entry in media.values()):
        yield from media.values()
    elif media:
        yield media


def _findings(entry: Mapping[str, Any]) -> list[str]:
    warnings = [str(warning) for warning in entry.get("warnings") or ()]
    return [f"refused: {entry.get('reason')}", *warnings] if entry.get("action") == "refuse" else warnings


def _summary(entries: list[Mapping[str, Any]], findings: list[list[str]]) -> str:
    size = sum(entry["size"] for entry in entries if isinstance(entry.get("size"), int))
    refused = sum(entry.get("action") == "refuse" for entry in entries)
    found = sum(map(bool, findings)) - refused
    parts = [f"**{plural(len(entries), 'file')}, {format_size(size)}**"]
    counts = {"refused": refused, "with findings": found}
    return "; ".join([*parts, *(f"{count} {what}" for what, count in counts.items() if count)])


def _row(entry: Mapping[str, Any], findings: list[str], *, previews: bool) -> str:
    url, mime_type = _url(entry.get("url")), str(entry.get("mime_type") or "")
    label = str(entry.get("path") or entry.get("name") or "")
    preview = ""
    if url:
        is_image = mime_type.startswith("image/") and previews
        preview = f"[![preview](<{url}>)](<{url}>)" if is_image else f"[open](<{url}>)"
    name = entry.get("name")
    cells = [
        preview,
        ", ".join(
            [
                _code(label),
                *([f"as {_code(str(name))}"] if name and name != label else []),
                *([f"id {_code(str(entry['id']))}"] if entry.get("id") is not None else []),
                *([_code(str(entry["action"]))] if entry.get("action") else []),
            ]
        ),
        _code(mime_type),
        format_size(entry["size"]) if isinstance(entry.get("size"), int) else "",
        ". ".join(_escape(finding) for finding in findings),
    ]
    return f"| {' | '.join(cells)} |"


def _url(value: Any) -> str | None:
    """Return an ``http`` or ``https`` URL without credentials, safe within ``<...>``; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value)
        hostname = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not hostname or "@" in parts.netloc:
        return None
    return quote(value, safe=_URL_SAFE)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _code(text: str) -> str:
    """Return a code span, in which neither Markdown nor mentions are interpreted; only a table's ``|`` is escaped."""
    if not text:
        return ""
    line = _one_line(text).replace("|", r"\|")
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{space}{line}{space}{fence}"


def _escape(text: str) -> str:
    """Return text in which no Markdown, HTML or link is interpreted."""
    line = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~:@])", r"\\\1", line)
