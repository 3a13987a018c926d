"""Build the documentation as a site: ``make docs``.

The site is built from the repository's own files, so that a git host shows the same pages with working links. This file
adds what a git host cannot show: the order of the pages, and the reference from the docstrings.
"""

from __future__ import annotations

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
:caption: Get started

/README
tutorial
connection
from-http-operator
```

```{toctree}
:hidden:
:caption: How-to guides

operators/upload
sync
channels
operators/get
operators/list
waiting
events
assets
operators/delete
cleanup
hook
airflow-ui
scale
testing
REST
```

```{toctree}
:hidden:
:caption: Explanation

uploads
architecture
decisions/index
```

```{toctree}
:hidden:
:caption: Reference

reference/index
errors
/benchmarks/README
versions
upgrading
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


def _add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the tables of contents, which a git host would show as code."""
    if page == root_doc:
        named = {"index", *_CONTENTS.split()}
        rest = sorted(page.stem for page in Path(__file__).parent.glob("*.md") if page.stem not in named)
        source[0] += _CONTENTS.replace("REST\n", "".join(f"{stem}\n" for stem in rest))
    elif page == "docs/decisions/index":
        source[0] += _DECISIONS


def setup(app: Sphinx) -> None:
    """Register the tables of contents."""
    app.connect("source-read", _add_contents)
