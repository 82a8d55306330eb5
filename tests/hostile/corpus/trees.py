"""Trees that are no plain files and folders, or too many of them, or called what nobody should be called."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from tests.hostile.corpus.entries import Output, Row, Write, beside, folder, holds, inside, of_image, sparse
from tests.unit.steps.mha import header, mha

LINKS = Row(
    "E.2",
    "links out of `/output` and within it: to files, folders, `/proc`, themselves; hard links",
    "every name is opened without following, and what has two names is refused",
)
SPECIAL = Row(
    "E.2",
    "pipes, sockets, devices where a file should be: opening one waits for ever",
    "looked at before it is opened; opened without waiting",
)
SIZES = Row(
    "E.2",
    "sparse files of a tebibyte, 100 001 entries, trees 100 or 400 folders deep",
    "apparent sizes count; the walk is no recursion and ends at its bounds",
)
NAMES = Row(
    "E.2",
    "names with newlines, ANSI, bidi, invalid UTF-8, of 255 bytes, in two cases, like options or shell code",
    "escaped and cut where they are found; never a path or a format of ours: files are kept by their slug",
)
MODES = Row(
    "E.2",
    "files and folders that nobody may read",
    "`collect` is the algorithm's own user: no capability, no other user's rights",
)


def link(target: str) -> Write:
    """A symbolic link; {outside} is the folder outside."""

    def write(where: Path, outside: Path) -> None:
        where.symlink_to(target.format(outside=outside))

    return write


def hard_link(where: Path, outside: Path) -> None:
    where.hardlink_to(outside / "secret")


def two_names(where: Path, outside: Path) -> None:
    where.mkdir()
    (where / "a.mha").write_bytes(mha())
    (where / "b.mha").hardlink_to(where / "a.mha")


def pipe(where: Path, outside: Path) -> None:
    os.mkfifo(where)


def unix_socket(where: Path, outside: Path) -> None:
    here = Path.cwd()
    os.chdir(where.parent)  # an address has no room for the whole path
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(where.name)
    finally:
        os.chdir(here)


def device(kind: int, major: int, minor: int) -> Write:
    """A device node, as far as we may make one."""

    def write(where: Path, outside: Path) -> None:
        os.mknod(where, kind | 0o666, os.makedev(major, minor))

    return write


def deep(levels: int) -> Write:
    """Folders in folders; too deep for any path."""

    def write(where: Path, outside: Path) -> None:
        where.mkdir()
        descriptor = os.open(where, os.O_RDONLY)
        for _ in range(levels):
            os.mkdir("d", dir_fd=descriptor)
            below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        os.close(descriptor)

    return write


def many(count: int) -> Write:
    """A folder of empty files."""

    def write(where: Path, outside: Path) -> None:
        where.mkdir()
        descriptor = os.open(where, os.O_RDONLY)
        for number in range(count):
            os.close(os.open(str(number), os.O_CREAT, dir_fd=descriptor))
        os.close(descriptor)

    return write


def named(name: bytes, data: bytes) -> Write:
    """A folder with a file called `name`."""

    def write(where: Path, outside: Path) -> None:
        where.mkdir()
        (where / os.fsdecode(name)).write_bytes(data)

    return write


def linked(name: bytes) -> Write:
    """A folder with a link called `name`."""

    def write(where: Path, outside: Path) -> None:
        where.mkdir()
        (where / os.fsdecode(name)).symlink_to("/etc/passwd")

    return write


def closed(write: Write) -> Write:
    """What `write` writes, with no permissions at all."""

    def closing(where: Path, outside: Path) -> None:
        write(where, outside)
        where.chmod(0)

    return closing


REGULAR = "outputs must be regular files"
LINK = f"is a symbolic link; {REGULAR}"
NO_MHA = "No output images could be imported from … is no .mha"

ENTRIES = (
    Output("link-to-file", LINKS, link("{outside}/secret"), LINK, reaches=True),
    Output("link-up", LINKS, link("../outside/secret"), LINK, reaches=True),
    Output("link-to-environ", LINKS, link("/proc/self/environ"), LINK),
    Output("link-to-parent-environ", LINKS, link("/proc/1/environ"), LINK),
    Output("link-to-descriptor", LINKS, link("/proc/self/fd/0"), LINK),
    Output("link-to-itself", LINKS, link("link-to-itself.json"), LINK),
    Output("link-to-nothing", LINKS, link("nothing"), LINK),
    of_image("link-to-root", LINKS, link("/"), LINK),
    of_image("link-to-folder", LINKS, link("{outside}"), LINK, reaches=True),
    of_image("link-in-folder", LINKS, inside("x.mha", link("{outside}/secret")), LINK, reaches=True),
    Output("link-above", LINKS, link("{outside}"), LINK, socket={"relative_path": "above/secret"}),
    beside("link-beside", LINKS, link("{outside}/secret"), LINK),
    Output("hard-link", LINKS, hard_link, "is a hard link (… names for one file)", reaches=True),
    of_image("hard-link-image", LINKS, inside("x.mha", hard_link), "is a hard link", reaches=True),
    of_image("two-names", LINKS, two_names, "is a hard link (2 names for one file)"),
    Output("pipe", SPECIAL, pipe, f"is a named pipe; {REGULAR}"),
    of_image("pipe-image", SPECIAL, inside("x.mha", pipe), f"is a named pipe; {REGULAR}"),
    of_image("pipe-folder", SPECIAL, pipe, f"is a named pipe; {REGULAR}"),
    beside("pipe-beside", SPECIAL, pipe, f"is a named pipe; {REGULAR}"),
    Output("socket", SPECIAL, unix_socket, f"is a socket; {REGULAR}"),
    Output("zero-device", SPECIAL, device(stat.S_IFCHR, 1, 5), f"is a device; {REGULAR}"),
    Output("block-device", SPECIAL, device(stat.S_IFBLK, 7, 200), f"is a device; {REGULAR}"),
    Output("folder-for-file", SPECIAL, folder(), f"is a folder; {REGULAR}"),
    of_image("file-for-folder", SPECIAL, holds(mha()), "is a file, not a folder that holds one image"),
    Output("sparse-json", SIZES, sparse(b"", 1 << 40), "is too large"),
    Output("sparse-gibibyte", SIZES, sparse(b"[", 1 << 30), "is too large. The limit is 16777216 bytes"),
    beside("sparse-beside", SIZES, sparse(b"", 1 << 41), "is too large. The limit is"),
    Output(
        "sparse-image",
        SIZES,
        inside("x.mha", sparse(header(DimSize="65536 65536 256"), 1 << 40)),
        "is too large",
        kind="Image",
    ),
    beside("deep", SIZES, deep(100), "cannot be taken: it is more than 32 folders deep"),
    beside("deeper", SIZES, deep(400), "it is more than 32 folders deep"),
    of_image("deep-image", SIZES, deep(40), "it is more than 32 folders deep"),
    of_image("files", SIZES, many(1001), "Too many files produced in"),
    Output(
        "entries",
        SIZES,
        many(1200),
        '"/output" cannot be taken: it has more than 1000 entries in all',
        beside=True,
        settings={"maxEntries": 1000},
    ),
    Output(
        "entries-heavy",
        SIZES,
        many(100_001),
        "it has more than 100000 entries in all",
        beside=True,
        heavy=True,
        alone=True,
    ),
    beside("name-newline", NAMES, linked(b"a\nb: forged"), "a\\x0ab: forged"),
    beside("name-ansi", NAMES, linked(b"\x1b[2J\x1b]0;x\x07"), "\\x1b[2J\\x1b]0;x\\x07"),
    beside("name-c1", NAMES, linked("\x9b31m".encode()), "\\x9b31m"),
    beside("name-bidi", NAMES, linked("\u202egnp.\u2066".encode()), "\\u202egnp.\\u2066"),
    beside("name-bytes", NAMES, linked(b"\xff\xfe\xc3("), "\\udcff\\udcfe\\udcc3("),
    beside("name-255", NAMES, linked(b"n" * 255), "nnnn…"),
    beside("name-255-emoji", NAMES, linked("🦠".encode() * 63), "🦠🦠…"),
    beside("name-markup", NAMES, linked(b"<img src=x onerror=alert(1)>{{7*7}}${HOME}%n"), "{{7*7}}${HOME}%n"),
    beside("name-quote", NAMES, linked(b'a" is fine; "b'), 'a\\" is fine; \\"b'),
    of_image("name-image", NAMES, named(b"\xff\n\x1b.mha", b"no image"), "\\xff\\x0a\\x1b.mha"),
    of_image("name-like-an-option", NAMES, named(b"--help.mha", mha()), None),
    of_image("name-of-ours", NAMES, named(b"manifest.json.mha", mha()), None),
    of_image("name-with-blanks", NAMES, named(b" x .mha", mha()), None),
    of_image("name-long-image", NAMES, named(b"n" * 251 + b".mha", mha()), None),
    of_image("name-no-utf8-image", NAMES, named(b"\xff\n\x1b.mha", mha()), None),
    of_image("name-two-cases", NAMES, folder(x__mha=mha(), X__MHA=mha()), "Only 1 image should be produced"),
    of_image("name-upper-case", NAMES, folder(X__MHA=mha()), None),
    Output("closed-file", MODES, closed(holds(b"1")), "algorithm's own user may not read it"),
    of_image("closed-image", MODES, inside("x.mha", closed(holds(mha()))), "may not read it"),
    of_image(
        "closed-folder", MODES, closed(folder(x__mha=mha())), "the algorithm's own user may not list it"
    ),
    beside("closed-beside", MODES, closed(folder()), "the algorithm's own user may not list it"),
)
