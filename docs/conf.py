"""Build the documentation as a site: ``make docs``.

The site is built from the repository's own files, so that a git host shows the same pages with working links. This file
adds what a git host cannot show: the order of the pages, and the reference from the docstrings.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import airflow_provider_media

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "airflow-provider-media"
version = release = airflow_provider_media.__version__
copyright = "the maintainers of airflow-provider-media"  # noqa: A001 - Sphinx's name
html_title = f"{project} {version}"

root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**", "benchmarks/README.md"]
exclude_patterns = ["docs/site", "**/.*", "build", "dist", "**/__pycache__", "**/node_modules"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_heading_anchors = 4

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
# Otherwise the sentinel default of an optional argument is shown as an object's address.
autodoc_preserve_defaults = True
add_module_names = False

nitpicky = True
# Types of other projects: the site is built offline, without their inventories.
nitpick_ignore_regex = [
    ("py:(class|obj|data|exc)", r"(?!airflow_provider_media).*"),
    ("py:.*", r"airflow_provider_media\._.*"),
]

html_theme = "furo"
html_extra_path = ["site"]
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

guides/upload
guides/sync
guides/channels
guides/get
guides/list
guides/waiting
guides/events
guides/assets
guides/delete
guides/cleanup
guides/hook
guides/airflow-ui
guides/testing
guides/from-http-operator
guides/*
```

```{toctree}
:hidden:
:caption: Explanation

explanation/uploads
explanation/scale
explanation/architecture
explanation/*
explanation/decisions/index
/benchmarks/README
```

```{toctree}
:hidden:
:caption: Reference

reference/index
reference/connection
reference/errors
reference/*
/CHANGELOG
/CONTRIBUTING
/SECURITY
```
"""
_DECISIONS = """
```{toctree}
:hidden:
:glob:

0*
```
"""


def _other_pages(folder: re.Match[str]) -> str:
    """Return the pages of a folder that the table of contents does not name."""
    pages = (f"{folder[1]}/{page.stem}" for page in sorted(Path(__file__).parent.joinpath(folder[1]).glob("*.md")))
    return "\n".join(page for page in pages if page not in _CONTENTS.split())


def _add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the tables of contents, which a git host would show as code."""
    if page == root_doc:
        source[0] += re.sub(r"^(\w+)/\*$", _other_pages, _CONTENTS, flags=re.MULTILINE)
    elif page == "docs/explanation/decisions/index":
        source[0] += _DECISIONS


def setup(app: Sphinx) -> None:
    """Register the tables of contents."""
    app.connect("source-read", _add_contents)
