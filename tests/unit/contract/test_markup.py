"""What HTML a report may hold."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithm_operator.contract.markup import clean


@pytest.mark.parametrize(
    ("html", "cleaned"),
    [
        ("<p>Grey <b>matter</b></p>", "<p>Grey <b>matter</b></p>"),
        ('<td align="right" class="x" style="color:red" id="a">1</td>', "1"),
        ("<script>alert(1)</script>a", "a"),
        ("<style>*{display:none}</style>a", "a"),
        ('<img src="https://example.org/x.png">', ""),
        ("<svg onload=alert(1)><circle/></svg>", ""),
        ('<a href="javascript:alert(1)">x</a>', '<a rel="noopener noreferrer">x</a>'),
        ('<a href="data:text/html,x">x</a>', '<a rel="noopener noreferrer">x</a>'),
        ('<a href=" java\nscript:alert(1)">x</a>', '<a rel="noopener noreferrer">x</a>'),
        ('<a href="/etc/passwd">x</a>', '<a rel="noopener noreferrer">x</a>'),
        ('<a href="//example.org/">x</a>', '<a rel="noopener noreferrer">x</a>'),
        (
            '<a href="https://example.org/">x</a>',
            '<a href="https://example.org/" rel="noopener noreferrer">x</a>',
        ),
        ('<p onclick="alert(1)">x</p>', "<p>x</p>"),
        ('<iframe src="x"></iframe><form action="x"><input></form>', ""),
        ('<meta http-equiv="refresh" content="0"><base href="//x/"><link href="x">', ""),
        ("<!-- x -->a", "a"),
    ],
    ids=[
        "bold",
        "attributes of a cell",
        "script",
        "style",
        "picture",
        "SVG",
        "javascript:",
        "data:",
        "a broken javascript:",
        "a path",
        "no scheme",
        "https:",
        "a handler",
        "a form",
        "a head",
        "a comment",
    ],
)
def test_the_allow_list(html: str, cleaned: str) -> None:
    assert clean(html) == cleaned


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["<", ">", "script", "svg", " onload=x", "/", "'", '"', "<p>", "<a href=", "javascript:", "<math>",
             "<mtext>", "<!--", "-->", "<table>", "<td>", "&lt;", "<style>", "</style>", "\x00", "x"]
        )
    ).map("".join)
)  # fmt: skip
def test_nothing_else_comes_out(html: str) -> None:
    cleaned = clean(html)
    assert clean(cleaned) == cleaned
    tags = re.findall(r"<\s*/?\s*([a-z0-9]+)", cleaned, re.I)
    assert set(tags) <= {"p", "a", "table", "td", "tbody", "tr"}
    assert not re.search(r"<[^>]*\son[a-z]+=", cleaned, re.I)
    assert not re.search(r"<[^>]*(src|href=\"(?!https?://|mailto:))", cleaned, re.I)
