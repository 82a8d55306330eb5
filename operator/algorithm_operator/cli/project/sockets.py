"""The sockets that `init` is told: slug[:kind]. Only what a slug and a kind may be gets any further."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from algorithm_operator.api.catalogue import CATALOGUE
from algorithm_operator.api.interface import Interface, OverlaySegment, Socket
from algorithm_operator.api.kinds import IMAGE_KINDS, OVERLAY_KINDS, SEGMENTED_KINDS, SocketKind
from algorithm_operator.api.text import quoted
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.contract.kinds import KINDS, Form, SuperKind

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
IMAGES = (SocketKind.IMAGE, SocketKind.SEGMENTATION, SocketKind.HEAT_MAP)
"""The image kinds that the starter's own code reads and writes."""
KNOWN = tuple(label for label, kind in KINDS.items() if kind.form is Form.JSON or label in IMAGES)


def interface(inputs: Sequence[str], outputs: Sequence[str]) -> Interface:
    """The starter's one interface.

    :raises UsageError: a slug or a kind that cannot be.
    """
    read = [_socket(each, SocketKind.IMAGE, "--input") for each in inputs]
    written = [_socket(each, SocketKind.ANYTHING, "--output") for each in outputs]
    slugs = [socket.slug for socket in [*read, *written]]
    if twice := next((slug for slug in slugs if slugs.count(slug) > 1), None):
        raise UsageError(f"{quoted(twice)} is there twice: each input and output needs a slug of its own.")
    images = [socket.slug for socket in read if socket.kind in IMAGE_KINDS]
    plain = [socket.slug for socket in read if socket.kind == SocketKind.IMAGE]
    for socket in written:
        if KINDS[socket.kind].super_kind is SuperKind.VALUE:
            socket.store_in_status = True
        elif socket.kind in OVERLAY_KINDS and len(plain) != 1 and images:
            socket.overlay_of = images[0]
    return Interface(inputs=read, outputs=written)


def _socket(text: str, default: SocketKind, option: str) -> Socket:
    slug, colon, label = text.partition(":")
    if len(slug) > 63 or not _SLUG.fullmatch(slug):
        raise UsageError(
            f"{option} {quoted(text)}: {quoted(slug)} is no slug; write lower-case letters, digits and single hyphens."
        )
    known = CATALOGUE.get(slug)
    if not colon and known is not None:
        label = known["kind"]
    kind = _kind(label, option) if label else default
    segments = [OverlaySegment(name="Bright", voxel_value=1)] if kind in SEGMENTED_KINDS else None
    path = known["relativePath"] if known is not None and not colon else None
    return Socket(slug=slug, kind=kind, relative_path=path, overlay_segments=segments)


def _kind(label: str, option: str) -> SocketKind:
    by_name = {each.lower(): SocketKind(each) for each in KINDS}
    kind = by_name.get(label.lower())
    if kind is None:
        near = difflib.get_close_matches(label.lower(), by_name, 1, 0.5)
        hint = f"did you mean {by_name[near[0]]}?" if near else f"there are {', '.join(KINDS)}."
        raise UsageError(f"{option}: there is no kind {quoted(label, 64)}; {hint}")
    if kind not in KNOWN:
        raise UsageError(
            f"{option}: init has no code to begin with for kind {kind}. It has for {', '.join(KNOWN)}; begin with one "
            "of these and change algorithm.yaml and inference.py."
        )
    return kind
