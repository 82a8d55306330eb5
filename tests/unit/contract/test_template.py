"""Templates of reports, judged before any job: parsed and never rendered."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithm_operator.contract.template import template_problem


@pytest.mark.parametrize(
    "text",
    [
        "Volume: {{ results.ml }} mL",
        "{% for each in results.items %}- {{ each }}\n{% endfor %}",
        "{% if results.x is defined %}{{ results.x | round(1) }}{% endif %}",
        "{% macro row(x) %}{{ x }}{% endmacro %}{{ row(results.a) }}",
        "{{ 10 ** (10 ** 10) }}",
        "",
    ],
)
def test_templates(text: str) -> None:
    assert template_problem(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a\n{{ results.", "it is no Jinja template: line 2: "),
        ("{% for x in %}", "it is no Jinja template: line 1: "),
        ("{% include 'x' %}", "line 1: a report has no other templates"),
        ("\n{% import 'x' as y %}", "line 2: a report has no other templates"),
        ("{% extends 'x' %}", "line 1: a report has no other templates"),
        ("{{ results | shell }}", 'line 1: there is no filter "shell"'),
        ("{{ results is evil }}", 'line 1: there is no test "evil"'),
        ("{{ " + "(" * 5000, "it is no Jinja template"),
        ("{{ " + "9" * 5000 + " }}", "it is no Jinja template that can be read"),
        ("{{ a" + ".a" * 8000 + " }}", "it is no Jinja template that can be read"),
        ("{{ a" + "|e" * 8000 + " }}", "it is no Jinja template that can be read"),
        ("{% \x1b[31m %}", "it is no Jinja template: line 1: "),
    ],
    ids=[
        "broken",
        "a broken tag",
        "include",
        "import",
        "extends",
        "no filter",
        "no test",
        "deep",
        "a long number",
        "many attributes",
        "many filters",
        "an escape sequence",
    ],
)
def test_problems(text: str, why: str) -> None:
    found = template_problem(text)
    assert found is not None
    assert found.startswith(why)
    assert "\x1b" not in found


@settings(deadline=None)
@given(st.text(alphabet="{}%#.|()[]'\"-x9 \n") | st.text())
def test_no_text_is_too_odd(text: str) -> None:
    found = template_problem(text)
    assert found is None or found.isprintable()
