"""results.json through the Algorithm's template: Jinja, then Markdown, then the allow-list. For the sandbox alone.

The template is its Algorithm's author's, the values are whatever the algorithm wrote: they are text, and make neither
Markdown nor HTML.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

from algorithm_operator.api.text import shown
from algorithm_operator.contract.markup import clean
from algorithm_operator.contract.report import MAX_HTML_BYTES

MAX_JSON_CHARACTERS = 64 * 1024
"""Of results.json as it is, where there is no template."""
_MARKUP = re.compile(r"[!-/:-@\[-`{-~\t\r\n]")


class TooLongError(ValueError):
    """The template wrote more than a report takes."""


def rendered(data: bytes, template: str | None) -> str:
    """The HTML fragment of results.json.

    :raises TooLongError: it has more than MAX_HTML_BYTES.
    :raises jinja2.TemplateError: the template does not fit these results.
    """
    results = json.loads(data)
    if template is None:
        return as_json(results)
    return clean(_markdown(_filled(template, results)))


def as_json(value: Any) -> str:
    """JSON as a block of text, bounded; the same allow-list lets it through."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    cut = len(text) > MAX_JSON_CHARACTERS
    lines = text[:MAX_JSON_CHARACTERS].split("\n")
    body = html.escape("\n".join(shown(line, MAX_JSON_CHARACTERS) for line in lines))
    more = "<p>Only its beginning is shown.</p>" if cut else ""
    return clean(f"<pre><code>{body}</code></pre>{more}")


def _filled(template: str, results: Any) -> str:
    """What the template makes of the results, piece by piece: one that never ends is stopped at the limit."""
    # Most jobs have no template, and Jinja takes longer to import than their results to be shown.
    from algorithm_operator.contract.template import environment

    jinja = environment()
    jinja.finalize = _plain
    pieces: list[str] = []
    size = 0
    for piece in jinja.from_string(template).generate(results=results):
        size += len(piece.encode("utf-8", "backslashreplace"))
        if size > MAX_HTML_BYTES:
            raise TooLongError(f"it writes more than {MAX_HTML_BYTES} bytes")
        pieces.append(piece)
    return "".join(pieces)


def _plain(value: Any) -> Any:
    """A value on its way into the text: whatever could be Markdown or HTML becomes an entity, which is only text."""
    from markupsafe import Markup

    if hasattr(value, "__html__"):  # a template's own, such as a macro's text
        return value
    lines = str(value).split("\n")
    text = "\n".join(shown(line, MAX_HTML_BYTES) for line in lines)
    return Markup(_MARKUP.sub(lambda found: f"&#{ord(found[0])};", text))  # noqa: S704


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    tokens = markdown.parse(text)
    for token in tokens:
        # A style attribute is none of the allowed ones; the old attribute says the same.
        if token.type in ("th_open", "td_open") and (style := token.attrs.pop("style", None)):
            token.attrs["align"] = str(style).removeprefix("text-align:")
    return str(markdown.renderer.render(tokens, markdown.options, {}))
