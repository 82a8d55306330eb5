"""What a store may hold where a job names an input: trees, and images that lie."""

from __future__ import annotations

from typing import Final

from tests.hostile.corpus import json_values, metaimages
from tests.hostile.corpus.entries import Input, Row, folder, holds, inside
from tests.hostile.corpus.trees import closed, deep, hard_link, link, many, pipe
from tests.unit.steps.mha import mha

PLACES: Final = Row(
    "E.3",
    "links, pipes, closed files, deep and endless folders where an input is named",
    "opened without following; each looked at before it is read",
)
IMAGES: Final = Row(
    "E.3",
    "the `.mha` files and the JSON above, as inputs",
    "the same readers: in the sealed Pod, before the algorithm starts",
)
REGULAR: Final = "inputs must be regular files"

_PLACES = (
    Input(
        "in-link",
        PLACES,
        link("{outside}/secret"),
        f"is a symbolic link; {REGULAR}",
        path="t1.mha",
        reaches=True,
    ),
    Input("in-link-to-folder", PLACES, link("{outside}"), f"is a symbolic link; {REGULAR}", reaches=True),
    Input(
        "in-link-in-folder",
        PLACES,
        inside("x.mha", link("{outside}/secret")),
        f"is a folder that holds x.mha: a symbolic link; {REGULAR}",
        reaches=True,
    ),
    Input(
        "in-link-beside",
        PLACES,
        inside("notes", link("../../../outside")),
        f"is a folder that holds notes: a symbolic link; {REGULAR}",
    ),
    Input(
        "in-hard-link", PLACES, inside("x.mha", hard_link), "holds x.mha: a hard link (2 names", reaches=True
    ),
    Input("in-pipe", PLACES, pipe, f"is a named pipe; {REGULAR}", path="t1.mha"),
    Input("in-pipe-in-folder", PLACES, inside("x.mha", pipe), "holds x.mha: a named pipe"),
    Input("in-closed", PLACES, closed(holds(mha())), "may not be read by uid", path="t1.mha"),
    Input("in-deep", PLACES, deep(40), "it is more than 32 folders deep"),
    Input("in-entries", PLACES, many(1200), "it has more than 1000 entries", settings={"maxEntries": 1000}),
    Input("in-nothing", PLACES, folder(), "does not exist in DataStore cases"),
    Input(
        "in-name",
        PLACES,
        inside("a\n\x1b[2J\u202e", link("/etc/passwd")),
        "a\\x0a\\x1b[2J\\u202e: a symbolic link",
    ),
)
_SAME = tuple(
    Input(f"in-{entry.id}", IMAGES, entry.write, entry.says, kind="Image", reaches=entry.reaches)
    for entry in metaimages.ENTRIES
    if entry.row in (metaimages.OTHER_FILES, metaimages.LIES, metaimages.BOMBS)
    and entry.id != "data-detached"
)
_JSON = tuple(
    Input(
        f"in-{entry.id}",
        IMAGES,
        entry.write,
        entry.says.removeprefix(json_values.NOT_JSON),
        kind="Anything",
        path="value.json",
    )
    for entry in json_values.ENTRIES
    if entry.row is json_values.BREAKS and entry.says is not None
)
ENTRIES = (*_PLACES, *_SAME, *_JSON)
