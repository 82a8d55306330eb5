"""Laying out /input: values, JSON files and images of DataStores, and inputs.json last."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import dataclass

from algorithm_operator.api.job import ImageGeometry
from algorithm_operator.contract.inputs_json import StagedImage, StagedInput, inputs_json
from algorithm_operator.contract.kinds import KINDS
from algorithm_operator.contract.manifest import ManifestInput
from algorithm_operator.contract.plan import Plan, PlannedInput, PlannedSocket
from algorithm_operator.contract.sockets import is_image
from algorithm_operator.contract.values import JsonError, check_value, parse_json
from algorithm_operator.steps import images, sandbox, values, walk
from algorithm_operator.steps.copying import copy, write_all
from algorithm_operator.steps.failures import bad_input
from algorithm_operator.steps.metaimage import MetaImageError
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.settings import StepSettings
from algorithm_operator.steps.sources import Source, only_file

MAX_INPUT_BYTES = 1 << 40
"""Of one input file; the disk of the node ends before."""
CHECK_SECONDS = 120.0
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Laid:
    """One input as it lies in /input: for the manifest, and for inputs.json."""

    record: ManifestInput
    told: StagedInput


class Inputs:
    """The inputs of one plan, laid out below `roots.input`."""

    def __init__(self, plan: Plan, settings: StepSettings, roots: Roots) -> None:
        self._plan, self._settings, self._roots = plan, settings, roots

    def lay_out(self) -> list[ManifestInput]:
        """Stage every input and inputs.json; files 0444, folders 0555.

        :raises StepError: an input is missing or not valid.
        """
        laid = [self._one(given) for given in self._plan.inputs]
        told = inputs_json(each.told for each in laid)
        self._write("inputs.json", json.dumps(told, ensure_ascii=False, indent=2).encode())
        for folder, _, _ in os.walk(self._roots.input):
            if folder != self._roots.input:  # the mount itself is not ours
                os.chmod(folder, 0o555)  # noqa: S103 - read-only is the point
        return [each.record for each in laid]

    def _one(self, given: PlannedInput) -> Laid:
        socket, settings = given.socket, self._settings
        if given.value_json is not None:
            return self._value(socket, given.value_json.encode())
        image = is_image(socket.kind)
        limits = walk.Limits(settings.max_entries, settings.max_depth, MAX_INPUT_BYTES)
        what = "an image is exactly one .mha file" if image else "it takes exactly one file"
        with only_file(socket.slug, given.files or [], self._roots, limits, what) as source:
            return self._image(socket, source) if image else self._json(socket, source)

    def _value(self, socket: PlannedSocket, data: bytes) -> Laid:
        try:
            value = parse_json(data, self._settings.max_json_bytes, allow_nan=False)
        except JsonError as error:
            raise bad_input(socket.slug, str(error)) from error
        if problem := check_value(KINDS[socket.kind], value):
            raise bad_input(socket.slug, problem)
        digest, size = self._write(socket.relative_path, data)
        return Laid(_record(socket, None, size, digest), StagedInput(socket, value=value))

    def _json(self, socket: PlannedSocket, source: Source) -> Laid:
        settings = self._settings
        bounds = sandbox.Bounds(settings.check_memory_bytes, CHECK_SECONDS)
        found = values.check_file(source.descriptor, socket.kind, settings.max_json_bytes, bounds)
        if found.too_large:
            cap = settings.max_json_bytes
            why = (
                f"the limit is {cap} bytes"
                if source.size > cap
                else "it holds more values than can be checked"
            )
            raise bad_input(socket.slug, f"{source} is too large; {why}.")
        if found.not_json is not None or found.replaced:
            raise bad_input(
                socket.slug, f"{source} is not valid JSON: {found.not_json or 'it contains NaN or Infinity.'}"
            )
        if found.invalid is not None or found.text is None:
            raise bad_input(socket.slug, f"{source}: {found.invalid}")
        digest, size = self._copy(socket.relative_path, source)
        return Laid(_record(socket, source, size, digest), StagedInput(socket, value=json.loads(found.text)))

    def _image(self, socket: PlannedSocket, source: Source) -> Laid:
        if not source.path.lower().endswith(".mha"):
            raise bad_input(
                socket.slug, f"{source} is no .mha file; convert it to MetaImage with its data inside."
            )
        try:
            header = images.read_header(source.descriptor, self._settings.max_image_bytes)
            images.check_stored(source.descriptor, header)
        except MetaImageError as error:
            raise bad_input(socket.slug, f"{source}: {error}") from error
        pk = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._plan.job.uid}/{socket.slug}"))
        digest, size = self._copy(f"{socket.relative_path}/{pk}.mha", source)
        return Laid(
            _record(socket, source, size, digest, header.geometry),
            StagedInput(socket, image=StagedImage(pk=pk, name=source.name)),
        )

    def _copy(self, path: str, source: Source) -> tuple[str, int]:
        target = self._create(path)
        try:
            return copy(source.descriptor, target, source.size), source.size
        finally:
            os.close(target)

    def _write(self, path: str, data: bytes) -> tuple[str, int]:
        target = self._create(path)
        try:
            write_all(target, data)
        finally:
            os.close(target)
        return hashlib.sha256(data).hexdigest(), len(data)

    def _create(self, path: str) -> int:
        """A new file below /input. The paths are the operator's own (checked when the Algorithm was accepted)."""
        if any(segment in ("", ".", "..") for segment in path.split("/")):
            raise ValueError(f"relative path {path!r}")
        where = os.path.join(self._roots.input, path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        target = os.open(where, _NEW, 0o444)
        os.fchmod(target, 0o444)  # whatever the umask is
        return target


def _record(
    socket: PlannedSocket, source: Source | None, size: int, digest: str, image: ImageGeometry | None = None
) -> ManifestInput:
    return ManifestInput(
        slug=socket.slug,
        kind=socket.kind,
        relative_path=socket.relative_path,
        source=f"{source.file.source}/{source.path}" if source else "value",
        bytes=size,
        sha256=digest,
        image=image,
    )
