"""How the frames of a DICOM series lie in space: the decisions alone, on numbers from the headers.

A frame's place is its position and its orientation; names and instance numbers say nothing. An image is a regular
grid at right angles, so a series that is none is refused rather than bent: no frame may lie more than
MAX_OFF_GRID of a voxel from where the image puts it. Lengths are mm, axes those of the patient (LPS), as in ITK.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from algorithm_operator.api.text import quoted
from algorithm_operator.steps.readers.reading import Unreadable

MAX_OFF_GRID = 0.1
NOTED_OFF_GRID = 0.01
_SAME_ORIENTATION = 1e-4
_SAME_SPACING = 1e-3
_SAME_PLACE = 1e-3
"""mm; positions are written with few decimals."""
_NAMED = 3
"""How many frames a message names."""
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: which file's it is, and what the header says of its place and its values.

    `orientation` are the direction cosines along a row, then along a column; `spacing` is between columns, then
    between rows (ITK's order; DICOM writes them the other way round).
    """

    file: int
    index: int
    name: str
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing: tuple[float, float] | None = None
    slice_distance: float | None = None
    """What the header says that lies between frames; asked only where positions do not say it."""
    slope: float = 1.0
    intercept: float = 0.0
    time: int | None = None

    def __str__(self) -> str:
        return (
            quoted(self.name, 64) if self.index == 0 else f"frame {self.index + 1} of {quoted(self.name, 64)}"
        )


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The grid, and the frames in the order of its last axes (slices, or slices of the first time point, …)."""

    frames: tuple[Frame, ...]
    slices: int
    times: int
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    """3×3, by rows, as ITK has it: its columns are the axes."""
    notes: tuple[str, ...] = ()


def arrange(frames: Sequence[Frame]) -> Arrangement:
    """Sort the frames of one series by where they lie.

    :raises Unreadable: they make no regular grid; it says which frames, and by how much.
    """
    spacing = _common_spacing(frames)
    notes = [] if frames[0].spacing else ["It has no pixel spacing: 1 mm is assumed."]
    placed = [frame for frame in frames if frame.position is not None]
    if len(frames) > 1 and not placed:
        return _unplaced(frames, spacing, notes)
    if len(placed) < len(frames):
        missing = [frame for frame in frames if frame.position is None]
        if len(frames) > 1:
            raise Unreadable(
                f"{_named(missing)} have no ImagePositionPatient, others do; their place is unknown."
            )
    orientation = _common_orientation(frames, notes)
    axes = _axes(orientation)
    if len(frames) == 1:
        distance = _single_distance(frames[0], notes)
        return _arrangement(frames, (*spacing, distance), frames[0].position or (0.0, 0.0, 0.0), axes, notes)
    distances = _positions(frames) @ axes[2]
    order = np.argsort(distances, kind="stable")
    ordered = [frames[number] for number in order]
    repeated = np.flatnonzero(np.diff(distances[order]) < _SAME_PLACE)
    if len(repeated):
        if len({frame.time for frame in frames} - {None}) > 1:
            return _over_time(frames)
        pairs = "; ".join(f"{ordered[at]} and {ordered[at + 1]}" for at in repeated[:_NAMED])
        raise Unreadable(
            f"{len(repeated)} slice(s) lie where another one lies ({pairs}); "
            "give each slice once, and each time point or contrast as an image of its own."
        )
    return _stack(ordered, distances[order], spacing, axes, notes)


def _stack(
    frames: list[Frame], distances: Any, spacing: tuple[float, float], axes: Any, notes: list[str]
) -> Arrangement:
    """Frames sorted along the normal, at different places."""
    count = len(frames)
    step = float(distances[-1] - distances[0]) / (count - 1)
    _check_gaps(frames, np.diff(distances))
    positions = _positions(frames)
    off = positions - (positions[0] + np.outer(np.arange(count) * step, axes[2]))
    sideways = np.abs(off @ axes[:2].T) / spacing
    along = np.abs(off @ axes[2]) / step
    if sideways.max() > MAX_OFF_GRID:
        raise Unreadable(_sheared(frames, off, distances, axes))
    if along.max() > MAX_OFF_GRID:
        steps = np.diff(distances)
        worst = int(along.argmax())
        raise Unreadable(
            f"its slices are not evenly spaced: {steps.min():.4g} to {steps.max():.4g} mm apart; {frames[worst]} lies "
            f"{along[worst] * step:.3g} mm from where even spacing puts it. Resample it to even spacing."
        )
    worst_off = max(float(sideways.max()), float(along.max()))
    if worst_off > NOTED_OFF_GRID:
        notes.append(
            f"Its slices are not quite evenly spaced: the worst lies {worst_off * 100:.1f} % of a voxel off its place."
        )
    return _arrangement(frames, (*spacing, step), tuple(positions[0]), axes, notes)


def _check_gaps(frames: list[Frame], steps: Any) -> None:
    usual = float(np.median(steps))
    missing = np.rint(steps / usual).astype(int) - 1
    wide = [
        at for at in np.flatnonzero(missing > 0) if abs(steps[at] / usual - missing[at] - 1) <= MAX_OFF_GRID
    ]
    if not wide:
        return
    gaps = "; ".join(
        f"{missing[at]} between {frames[at]} and {frames[at + 1]} ({steps[at]:.4g} mm)"
        for at in wide[:_NAMED]
    )
    more = f"; and {len(wide) - _NAMED} more gaps" if len(wide) > _NAMED else ""
    raise Unreadable(
        f"{sum(missing[at] for at in wide)} slice(s) are missing where the others lie {usual:.4g} mm apart: "
        f"{gaps}{more}. Give the whole series."
    )


def _sheared(frames: list[Frame], off: Any, distances: Any, axes: Any) -> str:
    """Words for slices that do not lie behind one another."""
    aside = off - np.outer(off @ axes[2], axes[2])
    line = np.outer(np.arange(len(frames)) / (len(frames) - 1), aside[-1])
    worst = int(np.linalg.norm(aside, axis=1).argmax())
    distance = float(np.linalg.norm(aside[worst]))
    if np.linalg.norm(aside - line, axis=1).max() <= MAX_OFF_GRID * distance:
        angle = math.degrees(math.atan2(distance, float(distances[-1] - distances[0])))
        return (
            f"its slices are sheared by {angle:.2f}° (gantry tilt): {frames[worst]} lies {distance:.4g} mm aside of "
            "where a straight stack puts it. Resample it to a straight grid."
        )
    return (
        f"its slices do not lie behind one another: {frames[worst]} lies {distance:.4g} mm aside. "
        "Resample it to a straight grid."
    )


def _over_time(frames: Sequence[Frame]) -> Arrangement:
    """Four dimensions: every time point has the same slices. The last axis has spacing 1, as panimg gives it."""
    points: dict[int, list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.time is None:
            raise Unreadable(f"{frame} has no temporal position, others do; its place in time is unknown.")
        points[frame.time].append(frame)
    if len({len(point) for point in points.values()}) > 1:
        counts = ", ".join(f"{time}: {len(points[time])}" for time in sorted(points)[:16])
        raise Unreadable(f"its time points have different numbers of slices ({counts}); give them all.")
    stacks = [arrange(points[time]) for time in sorted(points)]
    first = stacks[0]
    for time, stack in zip(sorted(points), stacks, strict=True):
        if not np.allclose(stack.origin + stack.spacing, first.origin + first.spacing, atol=_SAME_PLACE):
            raise Unreadable(
                f"the slices of time point {time} lie elsewhere than those of time point {min(points)}."
            )
    ordered = tuple(frame for stack in stacks for frame in stack.frames)
    notes = (
        *first.notes,
        f"{len(stacks)} time points of {first.slices} slice(s), one image of four dimensions.",
    )
    return replace(first, frames=ordered, times=len(stacks), notes=notes)


def _unplaced(frames: Sequence[Frame], spacing: tuple[float, float], notes: list[str]) -> Arrangement:
    if len({frame.file for frame in frames}) > 1:
        raise Unreadable(
            "its files have no ImagePositionPatient, so nothing says how they lie; give one file."
        )
    orientation = _common_orientation(frames, notes)
    distance = frames[0].slice_distance or 1.0
    notes.append(f"Its {len(frames)} frames have no positions: kept in their order, {distance:g} mm apart.")
    return _arrangement(frames, (*spacing, distance), (0.0, 0.0, 0.0), _axes(orientation), notes)


def _arrangement(
    frames: Sequence[Frame], spacing: tuple[float, ...], origin: Sequence[float], axes: Any, notes: list[str]
) -> Arrangement:
    x, y, z = (float(each) for each in spacing)
    a, b, c = (float(each) for each in origin)
    direction = tuple(float(each) for each in axes.T.flatten())
    return Arrangement(tuple(frames), len(frames), 1, (x, y, z), (a, b, c), direction, tuple(notes))


def _positions(frames: Sequence[Frame]) -> Any:
    return np.array([frame.position for frame in frames], dtype=float)


def _axes(orientation: Sequence[float]) -> Any:
    """Rows: the directions along an image's row, along its column, and from slice to slice."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    return np.array([row, column, normal / np.linalg.norm(normal)])


def _common_orientation(frames: Sequence[Frame], notes: list[str]) -> tuple[float, ...]:
    known = [frame for frame in frames if frame.orientation is not None]
    if not known:
        if len(frames) > 1 and any(frame.position for frame in frames):
            raise Unreadable("it has no ImageOrientationPatient, so nothing says how its slices lie.")
        notes.append("It has no orientation: that of the patient's axes is assumed.")
        return _IDENTITY
    if len(known) < len(frames):
        lost = [frame for frame in frames if frame.orientation is None]
        raise Unreadable(f"{_named(lost)} have no ImageOrientationPatient, others do.")
    first = known[0].orientation or _IDENTITY
    row, column = np.array(first[:3]), np.array(first[3:])
    if not (abs(row @ row - 1) < 1e-2 and abs(column @ column - 1) < 1e-2 and abs(row @ column) < 1e-2):
        numbers = ", ".join(f"{number:.4g}" for number in first)
        raise Unreadable(f"its ImageOrientationPatient ({numbers}) is not two unit vectors at a right angle.")
    cosines = np.array([frame.orientation for frame in frames])
    other = np.flatnonzero(np.abs(cosines - cosines[0]).max(axis=1) > _SAME_ORIENTATION)
    if len(other):
        kinds = len(np.unique(np.round(cosines, 3), axis=0))
        raise Unreadable(
            f"its slices have {max(kinds, 2)} different orientations ({known[0]} and {frames[other[0]]}, for two); "
            "give those of one orientation."
        )
    return first


def _common_spacing(frames: Sequence[Frame]) -> tuple[float, float]:
    first = frames[0].spacing or (1.0, 1.0)
    for frame in frames:
        if not np.allclose(frame.spacing or (1.0, 1.0), first, rtol=_SAME_SPACING, atol=0):
            raise Unreadable(f"the pixel spacing of {frame} is not that of {frames[0]}.")
    return first


def _single_distance(frame: Frame, notes: list[str]) -> float:
    if frame.slice_distance is not None:
        return frame.slice_distance
    notes.append("It is one slice without a thickness: 1 mm is assumed.")
    return 1.0


def _named(frames: Sequence[Frame]) -> str:
    names = ", ".join(str(frame) for frame in frames[:_NAMED])
    return f"{len(frames)} frame(s) ({names}{', …' if len(frames) > _NAMED else ''})"
