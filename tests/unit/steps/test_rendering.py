"""results.json through templates: the values are text, whatever they hold."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from jinja2.exceptions import SecurityError

from algorithm_operator.contract.report import MAX_HTML_BYTES
from algorithm_operator.steps.rendering import MAX_JSON_CHARACTERS, TooLongError, rendered


class Seen(HTMLParser):
    """The tags and the text of a fragment."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def made(results: Any, template: str | None) -> str:
    return rendered(json.dumps(results).encode(), template)


def test_markdown_with_a_table() -> None:
    html = made(
        {"rows": [["CSF", 281.4], ["GM", 883.25]]},
        "## Volumes\n\n|Tissue|mL|\n|---|--:|\n{% for name, ml in results.rows %}|{{ name }}|{{ ml | round(1) }}|\n"
        "{% endfor %}\n**Done**, see <sub>[here](https://example.org/)</sub>",
    )
    assert "<h2>Volumes</h2>" in html
    assert '<td align="right">883.2</td>' in html
    assert "<strong>Done</strong>" in html
    assert '<a href="https://example.org/" rel="noopener noreferrer">here</a>' in html


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        "</p></div><svg onload=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](https://example.org/x.png)",
        "{{ 7*7 }}{% for x in y %}",
        "**bold** `code` | a | b |",
        "line\n\n# heading\n\n---\n- item\n1. one\n> quote\n===",
        "https://example.org",
        "&lt;b&gt; &#60;b&#62;",
        "\\*",
    ],
)
def test_a_value_makes_no_markup(value: str) -> None:
    seen = Seen(made({"name": value}, "Name: {{ results.name }}."))
    assert seen.tags == ["p"]
    assert " ".join(seen.text.split()) == " ".join(f"Name: {value}.".split())
    block = Seen(made({"name": value}, "<div>{{ results.name }}</div>"))
    assert block.tags == ["div"]


@settings(deadline=None)
@given(st.text(), st.sampled_from(["{{ results.x }}", "*a* {{ results.x }}", "<b>{{ results.x }}</b>"]))
def test_no_value_makes_markup(value: str, template: str) -> None:
    tags = Seen(made({"x": value}, f"Name: {template}.")).tags
    assert tags == Seen(made({"x": "plain"}, f"Name: {template}.")).tags


def test_what_steers_a_terminal_or_the_direction_of_text_is_escaped() -> None:
    html = made({"x": "a\u202eb\x1b[2J"}, "{{ results.x }}")
    assert "\u202e" not in html
    assert "\\u202eb\\x1b[2J" in Seen(html).text


def test_a_link_of_a_value_is_a_link_only_to_where_links_go() -> None:
    template = "[more]({{ results.url }})"
    assert 'href="https://example.org/a"' in made({"url": "https://example.org/a"}, template)
    assert "href" not in made({"url": "javascript:alert(1)"}, template)
    assert "href" not in made({"url": "data:text/html,x"}, template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ results.missing }}",
        "{{ results.a.b.c }}",
        "{{ results | shell }}",
        "{{ results.pop('a') }}",
    ],
)
def test_a_template_that_does_not_fit(template: str) -> None:
    with pytest.raises((TemplateError, SecurityError)):
        made({"a": {}}, template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ results.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ ('%s' % results)['__class__'] }}",
        "{{ results['__class__'] }}",
        '{{ "{0.__class__}".format(results) }}',
    ],
)
def test_the_sandbox_holds(template: str) -> None:
    with pytest.raises(TemplateError):
        made({"a": 1}, template)


def test_too_much() -> None:
    with pytest.raises(TooLongError):
        made({}, "{% for x in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}")
    assert len(made({"a": "x" * 1000}, "{{ results.a }}")) < MAX_HTML_BYTES


def test_without_a_template_the_json_as_it_is() -> None:
    html = made({"a": "</code><script>x</script>\u202e", "b": [1]}, None)
    seen = Seen(html)
    assert seen.tags == ["pre", "code"]
    assert '"b": [' in seen.text
    assert "\u202e" not in html
    long = Seen(made(["x" * 100] * 2000, None))
    assert len(long.text) < MAX_JSON_CHARACTERS + 100
    assert "Only its beginning is shown." in long.text
