"""Test inputs of a starter project, and what its code makes of them. Made by arithmetic, so that nothing is to install.

The image is 8 × 6 × 4 voxels of 0 with a bright block in it, and no two of its numbers of geometry are the same: code
that forgets one is seen.
"""

from __future__ import annotations

import struct
import uuid
from typing import Any

from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.cli.project.sockets import IMAGES
from algorithm_operator.contract.inputs_json import StagedImage, StagedInput, inputs_json
from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.sockets import planned_socket, relative_path_of
from algorithm_operator.contract.values import dump_json

_SIZE = (8, 6, 4)
_BRIGHT = 100
_INSIDE = [
    2 <= x < 5 and 1 <= y < 4 and 1 <= z < 3
    for z in range(_SIZE[2])
    for y in range(_SIZE[1])
    for x in range(_SIZE[0])
]


def is_image(socket: Socket) -> bool:
    """Whether the starter's code reads or writes it as an image."""
    return socket.kind in IMAGES


def value(socket: Socket) -> Any:
    """An example of a JSON kind."""
    return KINDS[socket.kind].example


def image_file(socket: Socket) -> str:
    """The name that an input image has: a UUID, always the same one."""
    return f"{uuid.uuid5(uuid.NAMESPACE_URL, socket.slug)}.mha"


def inputs(interface: Interface) -> dict[str, bytes]:
    """The files below /input."""
    files: dict[str, bytes] = {}
    staged: list[StagedInput] = []
    for socket in interface.inputs:
        planned, path = planned_socket(socket, "default", interface), relative_path_of(socket)
        if is_image(socket):
            name = image_file(socket)
            files[f"{path}/{name}"] = _image(socket)
            pk = name.removesuffix(".mha")
            staged.append(StagedInput(planned, image=StagedImage(pk, f"{socket.slug}.mha")))
        else:
            files[path] = dump_json(value(socket)).encode() + b"\n"
            staged.append(StagedInput(planned, value=value(socket)))
    files["inputs.json"] = dump_json(inputs_json(staged)).encode() + b"\n"
    return files


def outputs(interface: Interface) -> dict[str, bytes]:
    """What the starter's code writes below /output; an image's file is output.mha."""
    seen = any(map(is_image, interface.inputs))
    files: dict[str, bytes] = {}
    for socket in interface.outputs:
        path = relative_path_of(socket)
        if is_image(socket):
            files[f"{path}/output.mha"] = _image(socket) if seen else _blank(socket)
        else:
            found = _measured(interface) if socket.kind == SocketKind.ANYTHING else value(socket)
            files[path] = dump_json(found).encode() + b"\n"
    return files


def _measured(interface: Interface) -> dict[str, Any]:
    bright = {"size": list(_SIZE), "bright_voxels": sum(_INSIDE)}
    return {each.slug: bright if is_image(each) else value(each) for each in interface.inputs}


def _image(socket: Socket) -> bytes:
    match socket.kind:
        case SocketKind.SEGMENTATION:
            return _metaimage("MET_UCHAR", bytes(_INSIDE))
        case SocketKind.HEAT_MAP:
            return _metaimage("MET_FLOAT", struct.pack(f"<{len(_INSIDE)}f", *_INSIDE))
    return _metaimage("MET_SHORT", struct.pack(f"<{len(_INSIDE)}h", *(_BRIGHT * each for each in _INSIDE)))


def _blank(socket: Socket) -> bytes:
    """Where there is no input image to lay anything on."""
    kind, width = ("MET_FLOAT", 4) if socket.kind == SocketKind.HEAT_MAP else ("MET_UCHAR", 1)
    return _metaimage(kind, bytes(8 * 8 * 8 * width), "8 8 8", "1 1 1", "0 0 0")


def _metaimage(
    kind: str,
    voxels: bytes,
    size: str = " ".join(map(str, _SIZE)),
    spacing: str = "0.9 1.1 2.5",
    origin: str = "-10 5 30",
) -> bytes:
    header = f"""\
ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = {origin}
ElementSpacing = {spacing}
DimSize = {size}
ElementType = {kind}
ElementDataFile = LOCAL
"""
    return header.encode() + voxels
