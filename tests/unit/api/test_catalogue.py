"""The common sockets: each is one that an Algorithm may have, and its slug is enough."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.contract.problems import spec_problems


@pytest.mark.parametrize("slug", CATALOGUE)
def test_every_row_is_sound_by_its_slug_alone(slug: str) -> None:
    other = {"slug": "of-our-own", "kind": "Anything"}
    spec = AlgorithmSpec.model_validate(
        {"image": {"reference": "a/b:1"}, "interfaces": [{"inputs": [{"slug": slug}], "outputs": [other]}]}
    )
    assert spec_problems(spec) == []
    wire = spec.interfaces[0].inputs[0].wire()
    assert (
        CATALOGUE[slug].items()
        <= (wire | {"overlaySegments": CATALOGUE[slug].get("overlaySegments")}).items()
    )


def test_no_two_rows_share_a_path() -> None:
    paths = [row["relativePath"] for row in CATALOGUE.values()]
    assert len(set(paths)) == len(paths)


def test_no_row_lies_elsewhere_than_at_grand_challenge() -> None:
    """There it lies at the root of /input, where no socket may lie: a container would not find its image."""
    assert "generic-medical-image" not in CATALOGUE


def test_a_slug_gets_its_definition() -> None:
    socket = Socket.model_validate({"slug": "prostate-cancer-likelihood"})
    assert (socket.kind, socket.relative_path) == ("Float", "cspca-case-level-likelihood.json")
    assert socket.title == "Case-level Cancer Likelihood Prostate MRI"


GIVEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a title of its own": ({"title": "Blood vessels of the head"}, {"title": "Blood vessels of the head"}),
    "nulls": ({"kind": None, "title": None}, {"kind": "Image", "title": "Head CT Angiography"}),
    "a kind of its own": (
        {"kind": "Anything"},
        {"kind": "Anything", "title": None, "relativePath": None},
    ),
}


@pytest.mark.parametrize(("given", "becomes"), GIVEN.values(), ids=GIVEN)
def test_what_is_written_comes_first(given: dict[str, Any], becomes: dict[str, Any]) -> None:
    wire = Socket.model_validate({"slug": "head-ct-angiography", **given}).model_dump(by_alias=True)
    assert becomes.items() <= wire.items()


def test_an_unknown_slug_needs_a_kind() -> None:
    with pytest.raises(ValidationError, match="kind"):
        Socket.model_validate({"slug": "nothing-of-the-kind"})


def test_the_segments_of_two_sockets_are_not_one_list() -> None:
    one, two = (Socket.model_validate({"slug": "melanoma-tissue-mask-segmentation"}) for _ in range(2))
    assert one.overlay_segments is not None
    one.overlay_segments.clear()
    assert two.overlay_segments
    assert CATALOGUE["melanoma-tissue-mask-segmentation"]["overlaySegments"]


def test_a_jobs_snapshot_keeps_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue of a later version may be another one."""
    interface = Interface.model_validate(
        {"inputs": [{"slug": "t1-brain-mri"}], "outputs": [{"slug": "results-json-file"}]}
    )
    stored = interface.wire()
    monkeypatch.setattr("algorithm_operator.api.interface.CATALOGUE", {})
    read = Interface.model_validate(stored)
    assert read == interface
    assert read.inputs[0].relative_path == "images/t1-brain-mri"
    assert RunSnapshot.model_fields["interface"].annotation is Interface
