"""The HTML that a report may hold: an allow-list of tags and attributes, nothing that loads, runs or covers. Pure."""

from __future__ import annotations

import nh3

_TEXT = {
    "abbr", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "kbd", "li", "mark", "ol", "p", "pre", "s", "samp", "small", "span", "strong", "sub", "sup", "u", "ul",
}  # fmt: skip
_TABLES = {"caption", "table", "tbody", "td", "tfoot", "th", "thead", "tr"}
_LINKS = ("https://", "http://", "mailto:")
_CELL = {"align", "colspan", "rowspan"}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "ol": {"start"},
    "td": _CELL,
    "th": _CELL | {"scope"},
}


def clean(html: str) -> str:
    """`html` with all else taken out. No pictures, styles, ids or classes; links to http, https and mailto alone."""
    return nh3.clean(
        html,
        tags=_TEXT | _TABLES | {"a"},
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        link_rel="noopener noreferrer",
        strip_comments=True,
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """A relative link is none: it would lead to files of whoever looks at the page."""
    return value if name != "href" or value.lower().startswith(_LINKS) else None
