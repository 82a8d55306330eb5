"""The Jinja template of a report, as far as it can be judged without rendering it. Pure."""

from __future__ import annotations

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from algorithm_operator.api.text import quoted, shown

_LOADING = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as reports have it: sandboxed, no loader, values escaped, what is missing is an error and not a blank."""
    return ImmutableSandboxedEnvironment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def template_problem(text: str) -> str | None:
    """Why `text` is no template that a report can be made with, or None. It is parsed, never compiled or rendered."""
    try:
        return _problem(environment(), text)
    except (RecursionError, ValueError):  # nested too deeply, or a number without end
        return "it is no Jinja template that can be read"


def _problem(jinja: ImmutableSandboxedEnvironment, text: str) -> str | None:
    try:
        tree = jinja.parse(text)
    except TemplateSyntaxError as error:
        return f"it is no Jinja template: line {error.lineno}: {shown(error.message or '', 200)}"
    for node in tree.find_all(_LOADING):
        return f"line {node.lineno}: a report has no other templates to include, import or extend"
    for filter_ in tree.find_all(nodes.Filter):
        if filter_.name not in jinja.filters:
            return f"line {filter_.lineno}: there is no filter {quoted(filter_.name, 64)}"
    for test in tree.find_all(nodes.Test):
        if test.name not in jinja.tests:
            return f"line {test.lineno}: there is no test {quoted(test.name, 64)}"
    return None
