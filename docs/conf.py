"""Build the documentation as a site: ``make docs``.

The site is built from the repository's own files, so that a git host shows the same pages with working links. This file
adds what a git host cannot show: the order of the pages, the reference from the docstrings, the code of the examples.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.ext import intersphinx

import airflow_provider_media

if TYPE_CHECKING:
    from docutils.nodes import TextElement, reference
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "airflow-provider-media"
version = release = airflow_provider_media.__version__
copyright = "the maintainers of airflow-provider-media"  # noqa: A001 - Sphinx's name
html_title = f"{project} {version}"

root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**", "benchmarks/README.md"]
exclude_patterns = [
    "docs/site",
    "docs/inventory-airflow.txt",
    "**/.*",
    "build",
    "dist",
    "**/__pycache__",
    "**/node_modules",
]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx"]

myst_heading_anchors = 4

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
# Otherwise the sentinel default of an optional argument is shown as an object's address.
autodoc_preserve_defaults = True
add_module_names = False

# Stored, because the site is built offline.
intersphinx_mapping = {"airflow": ("https://airflow.apache.org/docs/task-sdk/stable/", "docs/inventory-airflow.txt")}
nitpicky = True
nitpick_ignore_regex = [
    ("py:(class|obj|data|exc)", r"(?!airflow_provider_media).*"),
    ("py:.*", r"airflow_provider_media\._.*"),
]

# Otherwise logs are colored as Python.
highlight_language = "none"

html_theme = "furo"
pygments_dark_style = "a11y-dark"
html_extra_path = ["site"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("copy.js", {"defer": "defer"}), ("versions.js", {"defer": "defer"})]
templates_path = ["_templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "versions.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_copy_source = False
html_show_sphinx = False

_CONTENTS = """
```{toctree}
:hidden:
:caption: Start

/README
tutorial
```

```{toctree}
:hidden:
:caption: How-to guides

guides/campaign
guides/upload
guides/sync
guides/channels
guides/images
guides/approval
guides/get
guides/list
guides/waiting
guides/events
guides/assets
guides/delete
guides/cleanup
guides/hook
guides/many-files
guides/airflow-ui
guides/testing
guides/command-line
guides/recipes
guides/from-http-operator
guides/managed-airflow
guides/on-call
guides/examples
guides/*
```

```{toctree}
:hidden:
:caption: Explanation

explanation/uploads
explanation/waiting
explanation/scale
/benchmarks/README
explanation/architecture
explanation/decisions/index
explanation/*
```

```{toctree}
:hidden:
:caption: Reference

reference/index
reference/operators
reference/sensors
reference/hooks
reference/values
reference/exceptions
reference/testing
reference/connection
reference/configuration
reference/errors
reference/sandbox
reference/platform
reference/versions
reference/upgrading
/CHANGELOG
reference/faq
reference/glossary
reference/security
/SECURITY
/CONTRIBUTING
reference/*
```
"""
_DECISIONS = """
```{toctree}
:hidden:
:glob:

0*
```
"""

_MEMBERS = {
    "hooks": ":members:\n   :exclude-members: get_connection_form_widgets, get_ui_field_behaviour, conn_name_attr,"
    " default_conn_name, conn_type, hook_name, run_flow",
    "values": ":members:",
    "exceptions": ":members:",
    "testing": ":members:",
}
"""Options of the classes on the pages of the reference; the others show the arguments only."""


def _add_to_page(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append what a git host would show as code."""
    folder, _, name = page.removeprefix("docs/").partition("/")
    if page == root_doc:
        source[0] += _complete_contents()
    elif page == "docs/explanation/decisions/index":
        source[0] += _DECISIONS
    elif page == "docs/guides/examples":
        shown = "```{literalinclude} \\1\n:language: python\n```"
        source[0] = re.sub(r"^\[\w+\.py\]\((\S+)\)$", shown, source[0], flags=re.MULTILINE)
    elif folder == "reference":
        # A comment below a heading names the class or module; the paragraph is for git hosts only.
        shown = f"```{{eval-rst}}\n.. \\1:: \\2\n   {_MEMBERS.get(name, '')}\n```"
        source[0] = re.sub(r"^<!-- (auto\w+) (\S+) -->$", shown, source[0], flags=re.MULTILINE)
        source[0] = re.sub(r"^On a git host, .*?\n\n", "", source[0], flags=re.DOTALL | re.MULTILINE)


def _complete_contents() -> str:
    """Replace ``folder/*`` by the pages of the folder that are not named; leave out pages that do not exist."""
    here = Path(__file__).parent
    listed = set(_CONTENTS.split())
    lines = []
    for line in _CONTENTS.splitlines():
        folder, _, name = line.partition("/")
        if name == "*":
            pages = [f"{folder}/{page.stem}" for page in sorted((here / folder).glob("*.md"))]
            lines += [page for page in pages if page not in listed]
        elif not folder or not name or (here / f"{line}.md").exists():
            lines.append(line)
    return "\n".join(lines) + "\n"


def _has_table(obj: Any) -> bool:
    """Return whether the arguments of a class are shown as a table: operators, sensors and triggers."""
    is_trigger = getattr(obj, "__module__", "").startswith("airflow_provider_media.triggers")
    return isinstance(obj, type) and (is_trigger or hasattr(obj, "template_fields"))


def _hide_signature(_app: Sphinx, _what: str, _name: str, obj: Any, *_: Any) -> tuple[str, str] | None:
    """Leave out the signature of a class whose arguments are in a table."""
    return ("", "") if _has_table(obj) else None


def _tabulate_arguments(_app: Sphinx, _what: str, _name: str, obj: Any, _options: Any, lines: list[str]) -> None:
    """Show the arguments as a table, with their defaults."""
    if not _has_table(obj):
        return
    parameters = inspect.signature(obj.__init__).parameters
    table = [".. list-table::", "   :header-rows: 1", "   :widths: 18 67 15", ""]
    documented = re.findall(r"^:param (\w+): (.*?)(?=^:|\Z)", "\n".join([*lines, ""]), re.DOTALL | re.MULTILINE)
    for row in (("argument", "meaning", "default"), *(_row(parameters[name], text) for name, text in documented)):
        table += ["   * - " + row[0], *("     - " + cell for cell in row[1:])]
    first = next((number for number, line in enumerate(lines) if line.startswith(":param ")), len(lines))
    rest = re.sub(r"^:param \w+: .*?(?=^:|\Z)", "", "\n".join([*lines[first:], ""]), flags=re.DOTALL | re.MULTILINE)
    lines[first:] = [*table, "", *rest.splitlines()]


def _row(parameter: inspect.Parameter, meaning: str) -> tuple[str, str, str]:
    default = repr(parameter.default)  # autodoc keeps its source text
    try:
        is_shown = ast.literal_eval(default) not in (None, ())
    except (SyntaxError, ValueError):
        is_shown = False  # the sentinel of an optional argument, or a setting of Airflow
    shown = "required" if parameter.default is parameter.empty else f"``{default}``" if is_shown else ""
    return f"``{parameter.name}``", " ".join(meaning.split()), shown


def _link_airflow(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: TextElement) -> reference | None:
    """Link a class of Airflow by its name in ``airflow.sdk``, from wherever a signature imports it."""
    name = node.get("reftarget", "").rpartition(".")[2]
    if node.get("refdomain") != "py" or f"airflow.sdk.{name}" not in intersphinx.InventoryAdapter(
        env
    ).main_inventory.get("py:class", {}):
        return None
    node["reftarget"], node["reftype"] = f"airflow.sdk.{name}", "class"
    return intersphinx.missing_reference(app, env, node, content)


def setup(app: Sphinx) -> None:
    """Register the additions."""
    app.connect("source-read", _add_to_page)
    app.connect("autodoc-process-signature", _hide_signature)
    app.connect("autodoc-process-docstring", _tabulate_arguments)
    app.connect("missing-reference", _link_airflow)
