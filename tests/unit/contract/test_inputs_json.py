"""inputs.json, as Grand Challenge writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from algorithm_operator.api.interface import Interface
from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.contract.inputs_json import StagedImage, StagedInput, inputs_json
from algorithm_operator.contract.kinds import KINDS, SuperKind
from algorithm_operator.contract.sockets import planned_socket

GOLDEN = Path(__file__).parent / "golden" / "inputs.json"
PK = "0aa1ab4b-4d8e-4a5c-9d2a-5f0b6c6a7e11"
SEGMENTS = [{"name": "CSF", "voxelValue": 1}, {"name": "Grey matter", "voxelValue": 2, "visible": False}]


def staged(*sockets: dict[str, Any]) -> list[StagedInput]:
    """One input of each socket, with an image or an example as its kind wants."""
    interface = Interface.model_validate(
        {"inputs": sockets, "outputs": [{"slug": "out", "kind": "Anything"}]}
    )
    images = {SuperKind.IMAGE: StagedImage(pk=PK, name="the name it had.nii.gz")}
    return [
        StagedInput(
            planned_socket(socket, "imaging", interface),
            value=KINDS[socket.kind].example,
            image=images.get(KINDS[socket.kind].super_kind),
        )
        for socket in interface.inputs
    ]


def test_the_whole_file() -> None:
    """Run with UPDATE_GOLDEN=1 to write the file anew, then read the difference."""
    listed = inputs_json(
        staged(
            {"slug": "mask", "kind": "Segmentation", "overlaySegments": SEGMENTS},
            {"slug": "series", "kind": "DICOM Image Set", "description": "As it came from the scanner."},
            {"slug": "archive", "kind": "ZIP file"},
            {"slug": "nodules", "kind": "Multiple points"},
            {"slug": "matrix", "kind": "Chart"},
            {"slug": "thumbnail", "kind": "Thumbnail png"},
            {"slug": "age", "kind": "Integer", "title": "Age in years", "schema": {"minimum": 0}},
            {"slug": "t1-brain-mri"},
        )
    )
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(listed, indent=2) + "\n")
    assert json.loads(GOLDEN.read_text()) == listed


def test_the_order_of_all_kinds() -> None:
    """Values, thumbnails, charts, files, images; each group by slug."""
    sockets: list[dict[str, Any]] = [
        {"slug": f"a{number:02}", "kind": kind}
        | ({"overlaySegments": SEGMENTS} if kind == "Segmentation" else {})
        for number, kind in enumerate(SocketKind)
    ]
    halves = [*staged(*sockets[20:]), *staged(*sockets[:20])]
    listed = inputs_json(halves)
    groups = [
        "".join(
            ("v" * (each["value"] is not None), "f" * (each["file"] is not None), "i" * bool(each["image"]))
        )
        for each in listed
    ]
    assert "".join(groups) == "v" * 16 + "ff" + "v" + "f" * 16 + "i" * 5
    codes = [KINDS[each["socket"]["kind"]].code for each in listed]
    assert codes[16:19] == ["JPEG", "PNG", "CHART"]
    for start, end in ((0, 16), (16, 18), (19, 35), (35, 40)):
        slugs = [each["socket"]["slug"] for each in listed[start:end]]
        assert slugs == sorted(slugs)
    assert all(each["interface"] == each["socket"] for each in listed)
