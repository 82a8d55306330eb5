"""Container runtimes in which an image alone can break out: which versions, and where that was mended. Pure.

Only what an algorithm's image can set off by itself is listed; what needs rights that no tenant has (a privileged
Pod, an annotation that the operator writes) is not. Newer lines than the last one that is listed count as mended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

Version = tuple[int, int, int]

_VERSION = re.compile(r"v?(\d{1,5})\.(\d{1,5})\.(\d{1,5})(.*)", re.DOTALL)
_BEFORE = re.compile(r"-(alpha|beta|rc|dev|pre)")


@dataclass(frozen=True, slots=True)
class Escape:
    """A known way out, and the first version of each line (major, minor) that has none."""

    cve: str
    what: str
    fixed: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A version that is known. `patched`: it carries a distribution's suffix, which may stand for the correction."""

    version: str
    escapes: tuple[Escape, ...]
    patched: bool


TOOLKIT = "nvidia-container-toolkit"
ESCAPES: Mapping[str, tuple[Escape, ...]] = {
    "containerd": (
        Escape(
            "CVE-2026-53488",
            "a LABEL of an image becomes a command that the host runs as root",
            ((1, 7, 33), (2, 0, 10), (2, 1, 9), (2, 2, 5), (2, 3, 2)),
        ),
    ),
    "runc": (
        Escape("CVE-2024-21626", "a leaked descriptor of the host's file system", ((1, 1, 12), (1, 2, 0))),
        Escape(
            "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
            "races for masked paths and the console",
            ((1, 2, 8), (1, 3, 3), (1, 4, 0)),
        ),
        Escape("CVE-2026-41579", "an image whose /dev is a link", ((1, 3, 6), (1, 4, 3))),
    ),
    TOOLKIT: (
        Escape("CVE-2024-0132, CVE-2025-23359", "an image's links are mounted from the host", ((1, 17, 4),)),
        Escape("CVE-2025-23266", "LD_PRELOAD of an image reaches a hook that runs as root", ((1, 17, 8),)),
    ),
}


def parse(text: str) -> tuple[Version, str] | None:
    """`2.3.7-k3s1` as numbers and what follows them; None if it is no version."""
    match = _VERSION.fullmatch(text.strip())
    return ((int(match[1]), int(match[2]), int(match[3])), match[4]) if match else None


def is_toolkit(image: str) -> bool:
    """Whether an image is NVIDIA's container toolkit, by the name of its repository."""
    return _repository(image).rpartition("/")[2] in ("container-toolkit", TOOLKIT)


def toolkit(image: str) -> Found | None:
    """What is known of a toolkit's image by its tag, such as `v1.17.8-ubuntu20.04`: the suffix is NVIDIA's own and
    names the base, no correction."""
    _, _, tag = image.partition("@")[0][len(_repository(image)) :].partition(":")
    found = known(TOOLKIT, tag)
    return None if found is None else Found(found.version, found.escapes, patched=False)


def _repository(image: str) -> str:
    """Without tag and digest; a registry may have a port."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def is_open(escape: Escape, version: Version, *, before: bool = False) -> bool:
    """Whether that version has it; `before`: it is a release candidate or the like of that version."""
    line = version[:2]
    for fixed in escape.fixed:
        if fixed[:2] == line:
            return version < fixed or (version == fixed and before)
    return line < max(escape.fixed)[:2]


def known(runtime: str, text: str) -> Found | None:
    """What is known of a runtime's version; None: there is no list for it, or the version cannot be read."""
    parsed, listed = parse(text), ESCAPES.get(runtime)
    if parsed is None or listed is None:
        return None
    version, suffix = parsed
    before = bool(_BEFORE.match(suffix))
    open_ones = tuple(escape for escape in listed if is_open(escape, version, before=before))
    return Found(text, open_ones, patched=bool(suffix) and not before)


def mended(runtime: str) -> str:
    """The versions from which on all that is listed is mended: `1.7.33, 2.0.10 … or newer`."""
    lines = {fixed[:2] for escape in ESCAPES[runtime] for fixed in escape.fixed}
    good = []
    for line in sorted(lines):
        needed = max(
            (fixed for escape in ESCAPES[runtime] for fixed in escape.fixed if fixed[:2] == line),
        )
        if not any(is_open(escape, needed) for escape in ESCAPES[runtime]):
            good.append(".".join(map(str, needed)))
    return f"{', '.join(good)} or newer"
