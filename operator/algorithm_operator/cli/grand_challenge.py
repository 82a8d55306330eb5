"""`kubectl algorithm import`: an Algorithm from the JSON that Grand Challenge's API has of one.

Its keys are those of the API (`algorithms/PK/`), which gcapi's `client.algorithms.detail` gives too; those of older
ones, `inputs` and `outputs`, and those of its forms, where somebody exported them, are taken as well. The JSON is not
trusted: bounded, read into models, and written by a YAML library; what is said of it is escaped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from algorithm_operator.api.base import API_VERSION
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.errors import FAILED, CliError, UsageError
from algorithm_operator.cli.lint.check import check
from algorithm_operator.cli.lint.manifests import MAX_BYTES, ManifestError, read
from algorithm_operator.contract.kinds import KINDS, Form

_CODES = {kind.code: label for label, kind in KINDS.items()}
_NO_GPU = ("", "No GPU")
_MAX_NOTES = 64


class _Read(BaseModel):
    """What is not asked for is kept, to be told."""

    model_config = ConfigDict(extra="allow")


class _Segment(_Read):
    name: str
    voxel_value: int
    visible: bool = True


class _Socket(_Read):
    slug: str
    kind: str
    title: str | None = None
    description: str | None = None
    relative_path: str | None = None
    overlay_segments: list[_Segment] | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None


class _Interface(_Read):
    inputs: list[_Socket]
    outputs: list[_Socket]


class _Algorithm(_Read):
    slug: str
    title: str | None = None
    description: str | None = None
    url: str | None = None
    interfaces: list[_Interface] | None = None
    inputs: list[_Socket] | None = None
    outputs: list[_Socket] | None = None
    time_limit: int | None = None
    job_requires_gpu_type: str | None = None
    job_requires_memory_gb: int | None = None


_NO_NEWS = frozenset({"pk", "api_url", "logo", "average_duration", "super_kind", "interface", "id"})
"""What says nothing about how the algorithm runs."""


def import_(file: str, image: str | None) -> None:
    """`import FILE.json`: the YAML to stdout, what it lacks to stderr; exits with 1 if lint finds something in it."""
    algorithm = _algorithm(_content(file))
    notes: list[str] = []
    body = manifest(algorithm, image, notes)
    try:
        text = _header(algorithm, notes) + _dumped(body)
        findings = check(list(read("algorithm.yaml", text.encode())))
    except (RecursionError, ManifestError):
        raise CliError("The JSON is nested too deeply, or too large, to become an Algorithm.") from None
    sys.stdout.write(text)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for finding in findings:
        print(finding, file=sys.stderr)
    if findings:
        sys.exit(FAILED)


def _content(file: str) -> bytes:
    try:
        with Path(file).open("rb") if file != "-" else sys.stdin.buffer as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{quoted(file, 1024)} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise CliError(f"{quoted(file, 1024)} has more than {MAX_BYTES} bytes: that is no algorithm's JSON.")
    return data


def _algorithm(data: bytes) -> _Algorithm:
    """The algorithm; of a page of the API (`algorithms/?slug=…`) the only one in it."""
    try:
        document = from_json(data, allow_inf_nan=False)
        if isinstance(document, dict) and isinstance(page := document.get("results"), list):
            if len(page) != 1:
                raise CliError(
                    f"The JSON is a page of {len(page)} algorithms; ask its API for one, by ?slug=SLUG."
                )
            document = page[0]
        return _Algorithm.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as error:
        why = str(error)
    raise CliError(
        f"{shown(why.removeprefix(': '), 512)}: that is no algorithm of Grand Challenge. "
        "Take what its API answers at algorithms/PK/."
    )


def manifest(algorithm: _Algorithm, image: str | None, notes: list[str]) -> dict[str, Any]:
    """The Algorithm. `notes` gets what it does not say."""
    name = algorithm.slug
    spec: dict[str, Any] = {}
    for field, limit in (("title", 255), ("description", 4096)):
        if value := getattr(algorithm, field):
            spec[field] = _cut(value, limit, field, notes)
    if image is None:
        image = "registry.example.org/image:1"
        notes.append(f"spec.image.reference: Grand Challenge's registry is closed; {image} is to be replaced")
    spec["image"] = {"reference": image}
    spec["interfaces"] = list(_interfaces(algorithm, notes))
    spec["resources"] = _resources(algorithm, notes)
    if algorithm.time_limit is not None:
        spec["timeLimitSeconds"] = algorithm.time_limit
    else:
        notes.append("spec.timeLimitSeconds: the JSON has no time_limit; the default holds, 7200")
    _leftovers("the algorithm", algorithm, notes)
    return {"apiVersion": API_VERSION, "kind": "Algorithm", "metadata": {"name": name}, "spec": spec}


def _interfaces(algorithm: _Algorithm, notes: list[str]) -> Iterator[dict[str, Any]]:
    given = algorithm.interfaces
    if not given:
        if algorithm.inputs is None or algorithm.outputs is None:
            raise CliError("The JSON has neither interfaces, nor inputs and outputs as older ones have.")
        given = [_Interface(inputs=algorithm.inputs, outputs=algorithm.outputs)]
    seen: dict[str, dict[str, Any]] = {}
    for number, interface in enumerate(given, 1):
        named = {"name": f"interface-{number}"} if len(given) > 1 else {}
        yield named | {
            side: [_socket(socket, seen, notes) for socket in getattr(interface, side)]
            for side in ("inputs", "outputs")
        }


def _socket(socket: _Socket, seen: dict[str, dict[str, Any]], notes: list[str]) -> dict[str, Any]:
    kind = _CODES.get(socket.kind, socket.kind)
    out: dict[str, Any] = {"slug": socket.slug, "kind": kind}
    told = notes if socket.slug not in seen else []  # of each socket once
    for field, limit in (("title", 255), ("description", 1024)):
        if value := getattr(socket, field):
            out[field] = _cut(value, limit, f"{field} of {quoted(socket.slug, 64)}", told)
    if socket.relative_path is not None:
        out["relativePath"] = socket.relative_path
    if socket.overlay_segments:
        out["overlaySegments"] = [
            {
                "name": each.name,
                "voxelValue": each.voxel_value,
                **({} if each.visible else {"visible": False}),
            }
            for each in socket.overlay_segments
            if each.voxel_value != 0  # background is no segment here
        ]
    if socket.schema_ and kind in KINDS and KINDS[kind].form is Form.JSON:
        out["schema"] = socket.schema_
    _leftovers(f"socket {quoted(socket.slug, 64)}", socket, told)
    return seen.setdefault(socket.slug, out)


def _resources(algorithm: _Algorithm, notes: list[str]) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    if (memory := algorithm.job_requires_memory_gb) is not None:
        resources["memory"] = f"{memory}G"
    else:
        notes.append("spec.resources.memory: the JSON has no job_requires_memory_gb; the default holds, 24G")
    if (gpu := algorithm.job_requires_gpu_type) is not None:
        resources["gpu"] = {"count": 0} if gpu in _NO_GPU else {"type": gpu, "count": 1}
    else:
        notes.append("spec.resources.gpu: the JSON has no job_requires_gpu_type; the default holds, one T4")
    return resources


def _leftovers(of: str, model: _Read, notes: list[str]) -> None:
    for key, value in (model.model_extra or {}).items():
        if key not in _NO_NEWS and value not in (None, "", [], {}) and len(notes) < _MAX_NOTES:
            notes.append(f"{of}: {shown(key, 64)} is not carried over: {quoted(str(value), 128)}")


def _cut(text: str, limit: int, what: str, notes: list[str]) -> str:
    if len(text) > limit:
        notes.append(f"{what}: cut to its first {limit} characters")
    return text[:limit]


def _header(algorithm: _Algorithm, notes: Sequence[str]) -> str:
    source = shown(algorithm.url or algorithm.slug, 512)
    return "".join(f"# {line}\n" for line in [f"From Grand Challenge: {source}", *notes])


def _dumped(body: dict[str, Any]) -> str:
    """Letters of all languages as they are, unless something among them would show otherwise than it is."""
    text: str = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)
    if any(shown(line, len(line) + 1) != line for line in text.split("\n")):
        text = yaml.safe_dump(body, sort_keys=False, allow_unicode=False, width=110)
    return text
