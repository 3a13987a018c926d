"""Render the templates of operators and the sensor so that strings stay strings, and paths are rendered."""

from __future__ import annotations

import copy
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_media._airflow.arguments import ExactName

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

_MAX_MAP_INDEX_LENGTH = 250
"""Of Airflow's column."""


def name_map_index(context: Context, name: str | None, file: Any) -> None:
    """Name a mapped task instance in Airflow's UI, unless the DAG has a ``map_index_template``."""
    map_index = getattr(context.get("ti"), "map_index", None)
    if not isinstance(map_index, int) or map_index < 0 or context.get("map_index_template") is not None:
        return
    path = urlsplit(str(file)).path if "://" in str(file) else str(file)  # without a URL's query, which may be secret
    # By a variable, because the name is not a template.
    context["media_name"] = (name or PurePosixPath(path).name)[:_MAX_MAP_INDEX_LENGTH]  # type: ignore[typeddict-unknown-key]
    context["map_index_template"] = "{{ media_name }}"


class MediaTemplates:
    """Mixin for operators, before Airflow's base class."""

    returns_media = False
    """Whether ``output["name"]`` is the name of a file in the library."""

    def __getstate__(self) -> dict[str, Any]:
        """Exclude the logger that Airflow 3 caches, because it cannot be pickled."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {name: value for name, value in state.items() if name != "_cached_logger"}

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render a value by Airflow's rules, and local paths; mark names from the output of an upload as literal."""
        if isinstance(content, PurePath) and not hasattr(type(content), "fs"):
            return type(content)(str(self.render_template(str(content), context, jinja_env, seen_oids)))
        rendered = super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]
        return _exact(rendered) if _is_name_of_media(content) else rendered

    def _render(self, template: jinja2.Template, context: Context, dag: Any = None) -> Any:
        """Render a template; with native rendering, do not convert strings such as "2026_07" or "1e5" to numbers.

        A single expression keeps its type.
        """
        from jinja2 import Undefined
        from jinja2.nativetypes import NativeEnvironment

        env = template.environment
        if not isinstance(env, NativeEnvironment):
            return super()._render(template, context, dag)  # type: ignore[misc]
        variables = copy.copy(context)  # as Airflow does, so that variables are resolved on demand
        variables.update({name: value for name, value in template.globals.items() if name not in variables})  # type: ignore[typeddict-item]
        try:
            nodes = list(template.root_render_func(env.context_class(env, variables, template.name, template.blocks)))  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - Jinja raises it again, with the template's line
            env.handle_exception()
        if len(nodes) == 1 and not isinstance(nodes[0], (str, Undefined)):
            return nodes[0]
        return "".join(map(str, nodes))


def _is_name_of_media(content: Any) -> bool:
    """Return whether a value is ``output["name"]`` of a task that returns a file of the library."""
    operator = getattr(content, "operator", None)
    if operator is None or getattr(content, "key", None) != "name":
        return False
    return bool(getattr(getattr(operator, "operator_class", type(operator)), "returns_media", False))


def _exact(rendered: Any) -> Any:
    if rendered is None:
        return None
    return ExactName(rendered) if isinstance(rendered, str) else [_exact(one) for one in rendered]
