"""What the algorithm left in /output, against what its interface declares. All or nothing: every finding is told."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract import messages
from algorithm_operator.contract.failure import UNDECLARED, Finding
from algorithm_operator.contract.kinds import KINDS, Form, SuperKind
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.contract.values import MAX_KEY, has_long_key
from algorithm_operator.steps import filetypes, output_images, sandbox, values, walk
from algorithm_operator.steps.copying import write_all
from algorithm_operator.steps.failures import FindingError, os_message
from algorithm_operator.steps.settings import StepSettings

MIN_CHECK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Checked:
    """A valid output: an open descriptor of what is kept, its size in bytes, and what was found out.

    `suffix`: of the name that it is kept with; `warnings`: what is odd about it and no failure, display-safe.
    """

    socket: PlannedSocket
    descriptor: int
    size: int
    suffix: str
    value: Any = None
    has_value: bool = False
    image: ImageGeometry | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undeclared:
    """Regular files of /output that are no output: counted, not kept."""

    files: int
    bytes: int


class Inspection:
    """The check of one /output. Descriptors of valid outputs stay open until it is closed.

    `scratch` is a folder of ours; `inputs` are the images that outputs must lie on, by slug; `deadline`
    (time.monotonic) bounds all checks together; `keeps_files` is whether there is a store for large values.
    """

    def __init__(
        self,
        root: str,
        scratch: str,
        settings: StepSettings,
        inputs: Mapping[str, ImageGeometry],
        deadline: float,
        *,
        keeps_files: bool,
    ) -> None:
        self._scratch, self._settings, self._inputs = scratch, settings, inputs
        self._deadline, self._keeps_files = deadline, keeps_files
        self._open = ExitStack()
        self._root = walk.open_root(root)
        self._open.callback(os.close, self._root)
        self._limits = walk.Limits(settings.max_entries, settings.max_depth, settings.max_output_bytes)
        self._tree = walk.scan(self._root, self._limits)
        self._used: set[bytes] = set()
        self._value_bytes = 0

    def close(self) -> None:
        """Close every descriptor."""
        self._open.close()

    def check(self, sockets: list[PlannedSocket]) -> tuple[list[Checked], list[Finding]]:
        """All outputs that are valid, and all findings."""
        findings = self._refused(sockets)
        checked: list[Checked] = []
        for socket in sockets:
            path = os.fsencode(socket.relative_path)
            if self._tree.refused_at(path):
                continue  # told already
            try:
                checked.append(self._one(socket, path))
            except FindingError as found:
                where = found.path or socket.relative_path
                findings.append(Finding(slug=socket.slug, path=shown(where), message=found.message))
        total, limit = sum(each.size for each in checked), self._settings.max_output_bytes
        if total > limit and checked:
            largest = max(checked, key=lambda each: each.size).socket
            message = f"All outputs together have {total} bytes, more than the limit of {limit}"
            findings.append(Finding(slug=largest.slug, path=shown(largest.relative_path), message=message))
        return checked, findings

    def undeclared(self) -> Undeclared:
        """What else there is."""
        others = [file.size for file in self._tree.files if file.path not in self._used]
        return Undeclared(len(others), sum(others))

    def _refused(self, sockets: list[PlannedSocket]) -> list[Finding]:
        findings = []
        for refused in self._tree.refused:
            path = os.fsdecode(refused.path)
            match refused.problem:
                case walk.Problem.SPECIAL:
                    message = messages.not_a_file(path, refused.why)
                case walk.Problem.TOO_LARGE:
                    message = messages.file_too_large(path, self._limits.max_file_bytes)
                case _:
                    message = f"The output {quoted(path or '/output')} cannot be taken: {refused.why}"
            findings.append(
                Finding(slug=_owner(path, sockets), path=shown(path or "/output"), message=message)
            )
        if more := self._tree.refused_count - len(self._tree.refused):
            message = f"{more} more entries of /output are no regular files"
            findings.append(Finding(slug=UNDECLARED, path="/output", message=message))
        return findings

    def _opened(self, path: bytes) -> tuple[int, int]:
        """An open descriptor of a file of the tree, and its size."""
        try:
            descriptor = walk.open_file(self._root, path)
        except walk.RefusedError as error:
            raise FindingError(messages.not_a_file(os.fsdecode(path), str(error))) from error
        except PermissionError as error:
            why = f"the algorithm's own user may not read it ({os_message(error)})"
            raise FindingError(messages.file_invalid(os.fsdecode(path), why)) from error
        self._open.callback(os.close, descriptor)
        self._used.add(path)
        return descriptor, os.fstat(descriptor).st_size

    def _bounds(self) -> sandbox.Bounds:
        seconds = max(self._deadline - time.monotonic(), MIN_CHECK_SECONDS)
        return sandbox.Bounds(self._settings.check_memory_bytes, seconds)

    def _one(self, socket: PlannedSocket, path: bytes) -> Checked:
        match KINDS[socket.kind].form:
            case Form.JSON:
                return self._json(socket, path)
            case Form.FILE:
                return self._file(socket, path)
            case Form.IMAGE:
                return self._image(socket, path)
            case Form.DICOM:
                raise FindingError(messages.image_invalid(socket.relative_path, messages.NO_DICOM))

    def _there(self, socket: PlannedSocket, path: bytes) -> tuple[int, int]:
        """As `_opened`, of the one file of an output that is no image."""
        if path in self._tree.folders:
            raise FindingError(messages.not_a_file(socket.relative_path, "a folder"))
        if self._tree.file(path) is None:
            raise FindingError(messages.file_missing(socket.relative_path))
        return self._opened(path)

    def _json(self, socket: PlannedSocket, path: bytes) -> Checked:
        name = socket.relative_path
        descriptor, size = self._there(socket, path)
        cap = self._settings.max_json_bytes
        found = values.check_file(descriptor, socket.kind, cap, self._bounds(), socket.schema_)
        if found.too_large:
            raise FindingError(messages.file_too_large(name, cap if size > cap else None))
        if found.not_json is not None:
            raise FindingError(messages.not_json(name, found.not_json))
        if found.invalid is not None:
            raise FindingError(messages.file_invalid(name, found.invalid))
        text = (found.text or "").encode()
        carried = KINDS[socket.kind].super_kind is SuperKind.VALUE and (
            len(text) <= self._settings.max_value_bytes
        )
        value = json.loads(text) if carried else None
        if not self._keeps_files and (why := self._too_large_for_status(text, value, carried=carried)):
            raise FindingError(messages.file_invalid(name, why))
        if found.replaced:
            descriptor, size = self._written(text + b"\n")
        return Checked(socket, descriptor, size, ".json", value=value, has_value=carried)

    def _written(self, data: bytes) -> tuple[int, int]:
        """As `_opened`, of what is kept instead of a file. In memory it would add up, output by output."""
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            descriptor = os.dup(file.fileno())
        self._open.callback(os.close, descriptor)
        write_all(descriptor, data)
        return descriptor, len(data)

    def _too_large_for_status(self, text: bytes, value: Any, *, carried: bool) -> str | None:
        """Why a value cannot be all that is left of its output: the value in status."""
        most = self._settings.max_value_bytes
        self._value_bytes += len(text)
        if not carried or self._value_bytes > most:
            return f"there is no DataStore for more than {most} bytes in all; name an outputStore"
        if has_long_key(value):
            return f"there is no DataStore for keys of more than {MAX_KEY} characters; name an outputStore"
        return None

    def _file(self, socket: PlannedSocket, path: bytes) -> Checked:
        name = socket.relative_path
        descriptor, size = self._there(socket, path)
        outcome = sandbox.run(
            lambda: filetypes.problem(socket.kind, descriptor, size),
            self._bounds(),
            max_result=1 << 16,
            descriptors=[descriptor],
        )
        match outcome.ending:
            case sandbox.Ending.DONE:
                why = outcome.value
            case sandbox.Ending.CRASHED:
                why = f"reading it failed ({outcome.detail})"
            case _:
                raise FindingError(messages.file_too_large(name))
        if why is not None:
            raise FindingError(messages.file_invalid(name, why))
        return Checked(socket, descriptor, size, KINDS[socket.kind].suffixes[0])

    def _image(self, socket: PlannedSocket, path: bytes) -> Checked:
        if self._tree.file(path) is not None:
            what = "a file, not a folder that holds one image"
            raise FindingError(messages.not_a_file(socket.relative_path, what))
        file, suffix = output_images.pick(socket.relative_path, list(self._tree.below(path)))
        descriptor, size = self._opened(file.path)
        limit = self._settings.max_image_bytes
        image = output_images.check(socket, file, suffix, descriptor, limit, self._bounds())
        warnings = output_images.check_place(socket, file, suffix, image, self._inputs)
        return Checked(socket, descriptor, size, suffix, image=image, warnings=tuple(warnings))


def _owner(path: str, sockets: list[PlannedSocket]) -> str:
    """The slug of the output that `path` belongs to, or is above of."""
    for socket in sockets:
        declared = socket.relative_path
        if path == declared or path.startswith(f"{declared}/") or declared.startswith(f"{path}/"):
            return socket.slug
    return UNDECLARED
