"""How the documentation becomes a site: ``make docs``.

The site's source is the repository itself, so that its pages are read on any git host as they are here, links between
them included. What a git host cannot show stands here: the order of the pages, and the reference from the docstrings.
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
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**", "benchmarks/README.md"]
exclude_patterns = ["docs/site", "**/.*", "build", "dist", "**/__pycache__", "**/node_modules"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_heading_anchors = 4

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
# The mark of a mapped argument's default would be an object's address.
autodoc_preserve_defaults = True
add_module_names = False

nitpicky = True
# Types of other projects: a site that is built without a network has none of their inventories.
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
:caption: Begin

/README
tutorial
connection
from-http-operator
```

```{toctree}
:hidden:
:caption: How to

operators/upload
uploads
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
:caption: Look up

reference/index
errors
/benchmarks/README
versions
upgrading
/CHANGELOG
/CONTRIBUTING
```
"""


def _add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Write the order of the pages below the first one, where a git host need not show it."""
    if page == root_doc:
        named = {"index", *_CONTENTS.split()}
        rest = sorted(page.stem for page in Path(__file__).parent.glob("*.md") if page.stem not in named)
        source[0] += _CONTENTS.replace("REST\n", "".join(f"{stem}\n" for stem in rest))


def setup(app: Sphinx) -> None:
    """Have the contents added."""
    app.connect("source-read", _add_contents)
