"""What holds for any bytes: each reader refuses in safe words, or gives what the file really says. `make fuzz` runs
these for as long as one likes."""

from __future__ import annotations

import json
import math
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.values import MAX_DEPTH, JsonError, dump_json, parse_json
from algorithm_operator.steps import images, metaimage, walk
from algorithm_operator.steps.metaimage import MetaImageError
from tests.hostile.words import UNSAFE, unsafe
from tests.unit.steps.mha import FIELDS, header

LIMIT = 1 << 30
T = TypeVar("T")


@contextmanager
def held(data: bytes) -> Iterator[int]:
    """A descriptor of a file with that content."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.fileno()


def asked(read: Callable[[], T], refusal: type[Exception]) -> tuple[T | None, str]:
    """What it gives, or None and why it refuses."""
    try:
        return read(), ""
    except refusal as error:
        return None, str(error)


def is_safe(message: str, limit: int = 1000) -> bool:
    """Whether it is one bounded line that a terminal shows as it is."""
    return not unsafe(message) and 0 < len(message) <= limit


# --- words ---------------------------------------------------------------------------------------------------


@given(
    st.one_of(st.text(), st.binary(), st.characters(categories=UNSAFE)),
    st.integers(1, 300),
)
def test_whatever_is_shown_is_safe(text: str | bytes, limit: int) -> None:
    assert len(shown(text, limit)) <= limit
    for safe in (shown(text, limit), quoted(text, limit)):
        assert not unsafe(safe)
        safe.encode()


# --- JSON ----------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=5), below, max_size=4),
    max_leaves=12,
)  # fmt: skip
TOKENS = st.sampled_from(
    ["[", "]", "{", "}", ",", ":", '"a"', '"\\ud800"', '"\\udc00"', '"\\u0061"', "1", "-0", "-", "1e999", "NaN", "null",
     "-Infinity", "9" * 19, "9" * 30, "1.0E+2", ".", "tru", "true", "\n", "\x00", "\ufeff", "\u2028", "\\", "'", "/*"]
)  # fmt: skip
JSON_BYTES = st.one_of(
    st.binary(max_size=60),
    st.lists(TOKENS, max_size=24).map(lambda tokens: "".join(tokens).encode()),
    st.builds(lambda value, ascii_: json.dumps(value, ensure_ascii=ascii_).encode(), VALUES, st.booleans()),
    st.builds(
        lambda text, count: text * count, st.sampled_from([b"[", b'{"a":', b"[[],"]), st.integers(1, 3000)
    ),
)


@given(JSON_BYTES)
@example(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
@example(b"-0.0")
def test_json_is_refused_or_read_as_others_read_it(data: bytes) -> None:
    value, why = asked(lambda: parse_json(data, 1 << 16, allow_nan=False), JsonError)
    if why:
        assert is_safe(why)
        return
    written = dump_json(value).encode()
    assert orjson.loads(data) == value == orjson.loads(written)


@given(JSON_BYTES)
def test_json_that_is_taken_with_nan_can_be_written(data: bytes) -> None:
    value, why = asked(lambda: parse_json(data, 1 << 16), JsonError)
    if why:
        return
    assert parse_json(dump_json(value).encode(), 1 << 20, allow_nan=False) == value


# --- MetaImage -----------------------------------------------------------------------------------------------

NUMBERS = st.sampled_from(
    ["0", "1", "-1", "2", "4 3 2", "4 3", "1 1 1", "0 0 0", "1e308 1 1", "1e-320 1 1", "nan 1 1", "+1 .5 1.",
     "0x10 1 1", "1 0 0 0 1 0 0 0 1", "0 1 0 1 0 0 0 0 1", "1 0 0 1", "4294967296 4294967296 1", "9" * 20, "1\t1", ""]
)  # fmt: skip
VALUES_OF_FIELDS = st.one_of(
    NUMBERS,
    st.sampled_from(["True", "False", "true", "T", "Image", "LOCAL", "LIST", "MET_UCHAR", "MET_FLOAT", "MET_X"]),
    st.text(max_size=12),
)  # fmt: skip
KEYS = st.sampled_from(
    [*FIELDS, "Position", "Origin", "Rotation", "Orientation", "ElementByteOrderMSB", "ElementNumberOfChannels",
     "CompressedDataSize", "HeaderSize", "ElementSize", "CenterOfRotation", "Color", "ElementMin", "ID", "Comment", "X"]
)  # fmt: skip


@st.composite
def metaimages(draw: st.DrawFn) -> bytes:
    """A good file with some fields changed, added, left out or moved; its data sometimes compressed or cut."""
    fields = list(FIELDS.items())
    for _ in range(draw(st.integers(0, 4))):
        key, value = draw(KEYS), draw(VALUES_OF_FIELDS)
        place = draw(st.integers(0, len(fields)))
        match draw(st.sampled_from(["set", "set", "add", "remove"])):
            case "set":
                fields = [(name, value if name == key else old) for name, old in fields]
            case "add":
                fields.insert(place, (key, value))
            case _:
                fields = [pair for pair in fields if pair[0] != key]
    text = "".join(f"{key} = {value}\n" for key, value in fields).encode("utf-8", "surrogatepass")
    voxels = bytes(range(draw(st.integers(0, 48))))
    data = text + (zlib.compress(voxels) if draw(st.booleans()) else voxels)
    if draw(st.booleans()):
        return data
    place = draw(st.integers(0, len(data)))
    return data[:place] + draw(st.binary(max_size=3)) + data[place + draw(st.integers(0, 3)) :]


@given(st.one_of(st.binary(max_size=400), metaimages()))
@example(header() + bytes(24))
def test_a_metaimage_is_refused_or_is_what_its_header_says(data: bytes) -> None:
    found, why = asked(
        lambda: metaimage.parse(data[: metaimage.MAX_HEADER], len(data), LIMIT), MetaImageError
    )
    if found is None:
        assert is_safe(why)
        return
    geometry = found.geometry
    assert found.voxel_bytes == math.prod(geometry.size) * geometry.components * found.element_bytes <= LIMIT
    assert found.compressed or found.offset + found.voxel_bytes == len(data)
    assert all(map(math.isfinite, [*geometry.spacing, *geometry.origin, *geometry.direction]))
    with held(data) as descriptor:
        voxels, why = asked(lambda: voxels_of(descriptor, found), MetaImageError)
    if voxels is None:
        assert is_safe(why)
        assert found.compressed
    else:
        assert len(voxels) == found.voxel_bytes


def voxels_of(descriptor: int, found: metaimage.Header) -> bytes:
    """All voxels as we read them."""
    pieces: list[bytes] = []
    size = os.fstat(descriptor).st_size
    metaimage.read_voxels(descriptor, found, size, lambda piece: pieces.append(bytes(piece)))
    return b"".join(pieces)


@settings(deadline=None)
@given(metaimages())
@example(header() + bytes(24))
def test_what_simpleitk_reads_from_a_header_is_what_we_read(data: bytes) -> None:
    """Or the image is refused: what is checked is what the next reader sees."""
    with held(data) as descriptor:
        answer = images.inspect(descriptor, LIMIT, None)
        if "geometry" not in answer:
            (message,) = answer.values()
            assert is_safe(message)
            return
        assert _by_simpleitk(descriptor) == voxels_of(descriptor, images.read_header(descriptor, LIMIT))


def _by_simpleitk(descriptor: int) -> bytes:
    import SimpleITK

    sitk: Any = SimpleITK
    image = sitk.ReadImage(f"/proc/self/fd/{descriptor}", imageIO="MetaImageIO")
    found: bytes = sitk.GetArrayViewFromImage(image).tobytes()
    return found


# --- the walk ------------------------------------------------------------------------------------------------

NAMES = (
    st.binary(min_size=1, max_size=12)
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"0"))
    .filter(lambda name: name not in (b".", b".."))
)
TREES = st.recursive(
    st.sampled_from([b"file", b"link", b"up", b"pipe", b"hard", b"huge"]),
    lambda below: st.dictionaries(NAMES, below, max_size=4),
    max_leaves=16,
)
Tree = dict[bytes, Any]


def build(folder: bytes, tree: Tree, outside: Path) -> None:
    """The tree on disk."""
    for name, what in tree.items():
        path = Path(os.fsdecode(folder + b"/" + name))
        match what:
            case b"file":
                path.write_bytes(b"1")
            case b"huge":
                path.touch()
                os.truncate(path, 1 << 40)
            case b"link":
                path.symlink_to(outside)
            case b"up":
                path.symlink_to("..")
            case b"hard":
                path.hardlink_to(outside)
            case b"pipe":
                os.mkfifo(path)
            case dict():
                path.mkdir()
                build(os.fsencode(path), what, outside)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def entries(tree: Tree) -> int:
    return sum(1 + (entries(what) if isinstance(what, dict) else 0) for what in tree.values())


@settings(deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=5), st.integers(1, 20), st.integers(1, 5))
def test_a_tree_is_listed_within_its_limits(tree: Tree, most: int, depth: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root_path, outside = Path(name, "output"), Path(name, "secret")
        root_path.mkdir()
        outside.write_bytes(b"secret")
        build(os.fsencode(root_path), tree, outside)
        root = walk.open_root(str(root_path))
        before = open_descriptors()
        try:
            found = walk.scan(root, walk.Limits(max_entries=most, max_depth=depth, max_file_bytes=1 << 30))
            assert open_descriptors() <= before
            assert found.entries == min(most, entries(tree)) or found.refused
            assert found.entries <= most
            assert found.refused_count >= len(found.refused) <= walk.MAX_REFUSED
            for each in found.files:
                assert each.size == 1
                descriptor = walk.open_file(root, each.path)
                assert os.read(descriptor, 9) == b"1"
                os.close(descriptor)
            for refused in found.refused:
                assert is_safe(refused.why)
                if refused.problem is walk.Problem.SPECIAL:
                    with pytest.raises(walk.RefusedError):
                        walk.open_file(root, refused.path)
        finally:
            os.close(root)
