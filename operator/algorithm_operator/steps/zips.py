"""Unpacking a ZIP that may be hostile, with the standard library's reader and none of its writing."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Sequence

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.steps.copying import BLOCK, listed
from algorithm_operator.steps.tree import Tree, TreeError, TreeTooLargeError

_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_INFLATION = 1032
"""How many bytes deflate can make of one."""
_ENCRYPTED = 0x1
_UNINTERESTING = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|desktop\.ini$)")
"""What desktops leave; Grand Challenge leaves it out."""
_RESERVED = "inputs.json"


class ZipError(ValueError):
    """The archive is damaged or holds what it may not: Grand Challenge's words first; safe to show."""


def extract(source: int, tree: Tree) -> str:
    """Put all files of the ZIP that `source` is open on into `tree`, without the folder that they are all in.

    The sha256 of their list (see `copying.listed`).

    :raises ZipError: it cannot be extracted.
    :raises OSError: reading or writing failed.
    """
    digests: dict[bytes, str] = {}
    try:
        with open(source, "rb", closefd=False) as file, zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not _left_out(member)]
            _check(members)
            for member, name in zip(members, _names(members), strict=True):
                digests[name.encode()] = _put(archive, member, name, tree)
    except MemoryError:
        raise ZipError("Contents of zip file too large: its directory needs too much memory") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError) as error:
        raise ZipError(f"Input zip file could not be extracted: {shown(str(error), 128)}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ZipError("Input zip file could not be extracted: it points before its own beginning") from error
    except TreeTooLargeError as error:
        raise ZipError(f"Contents of zip file too large: {error}") from error
    except TreeError as error:
        raise ZipError(f"Zip file contains invalid paths: {error}") from error
    if not digests:
        raise ZipError("Input zip file could not be extracted: it holds no files")
    return listed(digests)


def _left_out(member: zipfile.ZipInfo) -> bool:
    return member.is_dir() or _UNINTERESTING.search(member.filename) is not None


def _check(members: Iterable[zipfile.ZipInfo]) -> None:
    """That each is a plain file, stored in a plain way, whose size its compressed bytes can hold."""
    for member in members:
        name = quoted(member.filename)
        if member.flag_bits & _ENCRYPTED:
            raise ZipError(f"Input zip file could not be extracted: {name} is encrypted")
        if member.compress_type not in _PLAIN_METHODS:
            raise ZipError(f"Zip file contains an unsupported compression method: of {name}; use deflate")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise ZipError(f"Zip file contains invalid paths: {name} is a link or another special file")
        if member.file_size > member.compress_size * _MAX_INFLATION:
            raise ZipError(
                f"Input zip file could not be extracted: the size of {name} is not what it can hold"
            )


def _names(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Where each goes: its name without the folders that all of them share."""
    names = [member.filename for member in members]
    for name in names:
        # Before anything is cut off them.
        if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
            raise ZipError(f"Zip file contains invalid paths: {quoted(name)}")
    shared = os.path.commonpath([name.rpartition("/")[0] for name in names]) if names else ""
    short = [name[len(shared) + 1 :] if shared else name for name in names]
    seen: dict[str, str] = {_RESERVED: _RESERVED}
    for name in short:
        if name.casefold() in seen:
            other = seen[name.casefold()]
            raise ZipError(f"Zip file contains invalid paths: {quoted(name)} clashes with {quoted(other)}")
        seen[name.casefold()] = name
    return short


def _put(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, tree: Tree) -> str:
    digest = hashlib.sha256()
    try:
        with archive.open(member) as content, tree.file(name, executable=False) as target:
            while data := content.read(BLOCK):
                digest.update(data)
                tree.write(target, data)
    except FileExistsError:
        raise TreeError(f"{quoted(name)} lies where another input is") from None
    except RuntimeError as error:  # what the standard library calls a member that it cannot open
        raise ZipError(f"Input zip file could not be extracted: {shown(str(error), 128)}") from error
    return digest.hexdigest()
