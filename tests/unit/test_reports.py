"""``approval_body`` renders Markdown that names and URLs cannot change."""

from __future__ import annotations

from typing import Any

import pytest
from markdown_it import MarkdownIt

from airflow_provider_media._channels.rules import MediaInfo, validate
from airflow_provider_media.models import Media, UploadResult
from airflow_provider_media.reports import approval_body

MEDIA = Media(id=17, name="banner", mime_type="image/png", size=81_700, url="https://cdn.example/17.png")


def entry(path: str, **values: Any) -> dict[str, Any]:
    return {"path": path, "id": 1, "name": path, "mime_type": "image/png", "size": 1000, "url": None, **values}


def render(markdown: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


@pytest.mark.parametrize(
    "value", [MEDIA, MEDIA.to_dict(), [MEDIA], UploadResult(media=MEDIA, created=True), {"banner": MEDIA.to_dict()}]
)
def test_media_are_rendered_with_preview_and_size(value: Any) -> None:
    assert approval_body(value) == (
        "**1 file, 81.7 kB**\n\n"
        "| Preview | File | Type | Size | Findings |\n| --- | --- | --- | --- | --- |\n"
        "| [![preview](<https://cdn.example/17.png>)](<https://cdn.example/17.png>) | `banner`, id `17` |"
        " `image/png` | 81.7 kB |  |"
    )


def test_findings_come_first_and_are_counted() -> None:
    manifest = {
        "a.png": entry("a.png"),
        "b.png": entry("b.png", warnings=["RCS: 9x9 fits no card; recommended: 1440x720 (standalone card)"]),
    }
    body = approval_body(manifest)
    assert body.startswith("**2 files, 2.0 kB**; 1 with findings")
    assert body.index("`b.png`") < body.index("`a.png`")
    assert "RCS: 9x9 fits no card; recommended: 1440x720 (standalone card)" in render(body)


def test_plan_of_a_dry_run_shows_refused_files() -> None:
    steps = [
        {"action": "refuse", "path": "a.gif", "name": "a", "reason": "GIF; WhatsApp accepts PNG", "size": None},
        {"action": "create", "path": "b.png", "name": "b", "reason": "not in the library", "size": 5, "warnings": []},
    ]
    body = approval_body({"counts": {}, "steps": steps})
    assert body.startswith("**2 files, 5 bytes**; 1 refused\n")
    assert "refused: GIF; WhatsApp accepts PNG" in render(body)
    assert "as `b`" in body


@pytest.mark.parametrize(
    "name",
    [
        "a | b | c",
        "`code` ``more``",
        "``` ",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://evil.example/a.png)",
        "[x](javascript:alert(1))",
        "line\nbreak\r\n| x | y |",
        "\\`a\\|",
        "@everyone #1 https://evil.example",
        "{{ ti }}",
        "\x1b[31mred\u202eabc",
        " ",
    ],
)
def test_names_and_findings_cannot_change_the_layout(name: str) -> None:
    body = approval_body({"x": entry(name, name=name, warnings=[name])})
    html = render(body)
    assert len(body.splitlines()) == 5
    assert html.count("<tr>") == 2
    assert html.count("<td>") == 5
    for tag in ("<script", "<img", "<a ", "<em", "<strong>2"):
        assert tag not in html
    assert html.count("<code>") == 3
    assert "<br>" not in body


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html;base64,AAAA",
        "file:///etc/passwd",
        "//cdn.example/a.png",
        "https://user:secret@cdn.example/a.png",
        "https://[::1",
        {"href": "https://cdn.example"},
        "",
    ],
)
def test_other_urls_are_omitted(url: Any) -> None:
    html = render(approval_body(entry("a", url=url)))
    assert "href" not in html
    assert "src" not in html


@pytest.mark.parametrize("url", ["https://cdn.example/a b>(c)|\"'\n.png", "https://cdn.example/`a`*b*?x=<y>&z=|"])
def test_urls_cannot_change_the_layout(url: str) -> None:
    html = render(approval_body(entry("a", url=url)))
    assert html.count("<img") == html.count("<a ") == 1
    assert html.count("<td>") == 5


def test_chats_get_links_instead_of_previews_and_videos_always() -> None:
    assert "![" not in approval_body(MEDIA, previews=False)
    video = entry("a.mp4", mime_type="video/mp4", url="https://cdn.example/a.mp4")
    assert "[open](<https://cdn.example/a.mp4>)" in approval_body(video)


def test_long_lists_are_cut() -> None:
    body = approval_body([entry(f"{number}.png") for number in range(60)])
    assert body.startswith("**60 files, 60.0 kB**")
    assert body.endswith("\n\n10 more files are not shown.")
    assert approval_body({}) == "**0 files, 0 bytes**"


def test_rows_of_the_slack_sample_fit_a_block() -> None:
    name = "summer-week-2026-07-01/cards/cold-brew-large.png"
    warnings = validate(MediaInfo(mime_type="image/png", size=100_000, width=1000, height=400), ("rcs",)).warnings
    url = f"https://media.example.com/files/1000/{name}"
    manifest = {str(number): entry(name[23:], name=name, url=url, warnings=warnings) for number in range(60)}
    assert 8_000 < len(approval_body(manifest, previews=False, max_rows=20)) < 12_000


@pytest.mark.parametrize("value", [None, "manifest", 17, b"x"])
def test_other_values_are_type_errors(value: Any) -> None:
    with pytest.raises(TypeError, match="requires media or a manifest"):
        approval_body(value)
