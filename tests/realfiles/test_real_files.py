"""Every real file comes out as panimg gives it, or the difference is explained; or it is refused with a reason."""

from __future__ import annotations

import pytest

from tests.realfiles import table
from tests.realfiles.cases import cases
from tests.realfiles.comparison import EXPLANATIONS, Compared, compare, explanation, kinds


@pytest.fixture(scope="module")
def compared() -> dict[str, Compared]:
    return {each.case.name: each for each in compare()}


@pytest.mark.parametrize("name", [case.name for case in cases()])
def test_as_panimg_or_explained(compared: dict[str, Compared], name: str) -> None:
    found = compared[name]
    assert found.ours is not None or found.why, "a refusal says why"
    unexplained = [what for what in kinds(found) if explanation(name, what) is None]
    assert not unexplained, (found.ours, found.panimg)


def test_values_are_those_that_pydicom_decodes(compared: dict[str, Compared]) -> None:
    """With every decoder that there is; of what panimg does not read, too."""
    both = {
        name: each for name, each in compared.items() if each.ours is not None and each.decoded is not None
    }
    other = [
        name for name, each in both.items() if each.ours is not None and each.ours["values"] != each.decoded
    ]
    assert len(both) > 80
    assert other == ["pydicom/data/test_files/JPGExtended.dcm"], "lossy; decoders round"


def test_every_explanation_is_needed(compared: dict[str, Compared]) -> None:
    used = {explanation(name, what) for name, each in compared.items() for what in kinds(each)}
    assert set(EXPLANATIONS) <= used


def test_the_table_in_docs_is_current(compared: dict[str, Compared]) -> None:
    assert table.TARGET.read_text() == table.render(compared.values())
