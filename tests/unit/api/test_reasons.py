"""The catalogue of reasons: whole, and called with exactly the facts that its sentences name."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import algorithm_operator
from algorithm_operator.api.reasons import CATALOGUE, Blame, Reason, sentence

SOURCE = Path(algorithm_operator.__file__).parent


def placeholders(reason: Reason) -> set[str]:
    return {
        name for _, name, _, _ in string.Formatter().parse(CATALOGUE[reason].sentence) if name is not None
    }


def test_every_reason_has_its_row() -> None:
    assert set(CATALOGUE) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_row(reason: Reason) -> None:
    entry = CATALOGUE[reason]
    assert reason.value.isalnum()
    assert reason.value[0].isupper()
    assert len(reason.value) <= 64
    assert all(name.isidentifier() for name in placeholders(reason))
    assert not entry.retry or entry.blame is Blame.INFRASTRUCTURE  # people's mistakes are not tried again


def test_facts_are_data() -> None:
    said = sentence(Reason.STORE_NOT_READY, store="{namespace}", why="{0} %s")
    assert said == 'DataStore "{namespace}" is not ready: {0} %s'


def calls() -> Iterator[tuple[str, Reason, set[str]]]:
    """Calls in the sources that name a reason and its facts: sentence(Reason.X, …) and helpers like it."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or any(keyword.arg is None for keyword in node.keywords):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            first = node.args[0] if len(node.args) == 1 else None
            if name in ("sentence", "_refused", "_waiting") and isinstance(first, ast.Attribute):
                where = f"{path.relative_to(SOURCE)}:{node.lineno}"
                yield where, Reason[first.attr], {keyword.arg or "" for keyword in node.keywords}


def test_a_call_gives_the_facts_that_the_sentence_names() -> None:
    found = list(calls())
    assert len(found) > 20
    assert [(where, reason) for where, reason, facts in found if facts != placeholders(reason)] == []
