"""Paths that people write: below a DataStore's root, and below /input or /output. Pure."""

from __future__ import annotations

import re
import unicodedata

MAX_STORE_PATH = 1024
MAX_PATH_SEGMENT = 255

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_RESERVED = "inputs.json"


def check_store_path(path: str, of: str = "the DataStore") -> str | None:
    """Why `path` may not be used below the root of `of`, or None. An ending "/" says that it is a folder.

    The kubelet mounts the path as a subPath, so it must be relative and already in its shortest form.
    """
    if not path:
        return "it is empty."
    if len(path.encode("utf-8", "surrogatepass")) > MAX_STORE_PATH:
        return f"it is longer than {MAX_STORE_PATH} bytes."
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in path):
        return "it contains a control character."
    if "\\" in path:
        return 'it contains a backslash; folders are separated by "/".'
    if path.startswith("/"):
        return f'it begins with "/"; write it relative to the root of {of}.'
    segments = path.removesuffix("/").split("/")
    if ".." in segments:
        return f'it contains ".."; a job sees only what lies below the root of {of}.'
    if "." in segments or "" in segments:
        return 'it contains "." or an empty segment; write it without.'
    if any(len(segment.encode()) > MAX_PATH_SEGMENT for segment in segments):
        return f"one of its names is longer than {MAX_PATH_SEGMENT} bytes."
    return None


def check_relative_path(path: str, *, image: bool, suffixes: tuple[str, ...]) -> str | None:
    """Why a socket may not have this path below /input or /output, in Grand Challenge's words, or None."""
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in path):
        return "it contains a control character"
    if path.startswith("/") or path.endswith("/"):
        return "Path must not begin or end with '/'"
    if any(segment in ("", ".", "..") for segment in path.split("/")):
        return "Relative paths are not allowed."
    if path.casefold() == _RESERVED:
        return "This relative path is reserved"
    if _UUID.search(path):
        return "This relative path contains a UUID; the names of image files are UUIDs already"
    if image:
        name = path.rsplit("/", 1)[-1]
        if not path.startswith("images/") or "." in name:
            return "Images should be a directory: images/<name>"
        return None
    if path.startswith("images/") or path == "images":
        return "Only images may lie below images/"
    if not path.endswith(suffixes):
        return f"Relative path should end with {' or '.join(suffixes)}"
    return None
