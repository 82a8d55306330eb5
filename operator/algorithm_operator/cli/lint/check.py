"""All findings about manifests: each by itself against its CRD, then all together against the contract."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from algorithm_operator.api.algorithm import AlgorithmSpec
from algorithm_operator.api.base import API_VERSION, GROUP
from algorithm_operator.api.text import quoted
from algorithm_operator.cli.lint import schema
from algorithm_operator.cli.lint.findings import Finding, Object
from algorithm_operator.cli.lint.manifests import Manifest
from algorithm_operator.cli.lint.together import together
from algorithm_operator.cli.lint.words import Problem
from algorithm_operator.contract.problems import spec_problems
from algorithm_operator.core.acceptable import field_problems

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NO_IMAGE = {"reference": "none"}


def is_ours(manifest: Manifest) -> bool:
    """Whether it is, or wants to be, an object of this project."""
    body = manifest.body
    if not isinstance(body, dict):
        return False
    version = body.get("apiVersion")
    if isinstance(version, str) and "/" in version:
        group = version.partition("/")[0]
        return group == GROUP or bool(difflib.get_close_matches(group, [GROUP], 1, 0.9))
    return str(body.get("kind")) in schema.KINDS


def check(manifests: Sequence[Manifest]) -> list[Finding]:
    """Everything that is wrong with the manifests of ours among `manifests`; sorted, each once."""
    found: list[Finding] = []
    objects: list[Object] = []
    sound: list[tuple[Object, Any]] = []
    for manifest in filter(is_ours, manifests):
        each = _object(manifest)
        found += _not_known(each)
        if each.kind not in schema.KINDS:
            continue
        problems = [*_metadata(each), *schema.problems(each.kind, manifest.body)]
        spec = schema.with_defaults(each.kind, manifest.body).get("spec")
        found += [each.finding(problem.path, problem.why, problem.fix) for problem in problems]
        if each.kind == "Algorithm" and isinstance(spec, dict):
            found += _algorithm(each, spec, problems)
        objects.append(each)
        if not problems:
            sound.append((each, schema.KINDS[each.kind].spec.model_validate(spec)))
    found += _twice(objects)
    for namespace in sorted({each.namespace for each in objects}):
        found += together([(each, spec) for each, spec in sound if each.namespace == namespace])
    return sorted(set(found))


def _object(manifest: Manifest) -> Object:
    metadata = manifest.body.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    name, namespace = names.get("name") or names.get("generateName"), names.get("namespace")
    return Object(manifest, str(manifest.body.get("kind", "")), str(name or ""), str(namespace or ""))


def _not_known(each: Object) -> Iterator[Finding]:
    body = each.manifest.body
    if body.get("apiVersion") != API_VERSION:
        why = (
            f"{quoted(str(body['apiVersion']), 64)} is unknown" if "apiVersion" in body else "it is not there"
        )
        yield each.finding(("apiVersion",), why, f"write {API_VERSION}")
    if each.kind not in schema.KINDS:
        kinds = ", ".join(schema.KINDS)
        near = difflib.get_close_matches(each.kind, schema.KINDS, 1, 0.6)
        fix = f"did you mean {near[0]}?" if near else ""
        yield each.finding(("kind",), f"{quoted(each.kind, 64)} is none of {kinds}", fix)


def _metadata(each: Object) -> Iterator[Problem]:
    """What Kubernetes itself asks of names; the project's own bounds are rules of the CRD."""
    metadata = each.manifest.body.get("metadata")
    if not isinstance(metadata, dict) or not each.name:
        yield Problem(("metadata", "name"), "it is needed and not there", "give the object a name")
    elif (name := metadata.get("name")) and not isinstance(name, str):
        yield Problem(("metadata", "name"), "it must be text", "write it in quotes")
    elif name and (len(each.name) > 253 or not _NAME.fullmatch(each.name)):
        why = (
            f"{quoted(each.name, 64)} is no name for an object: lower-case letters, digits, hyphens and dots"
        )
        yield Problem(("metadata", "name"), why)


def _algorithm(each: Object, body: dict[str, Any], problems: Sequence[Problem]) -> Iterator[Finding]:
    """What the contract says of one Algorithm, and no API server could.

    Of fields and interfaces that the API server refuses it would say the same in other words: they are left out.
    """
    broken = {problem.path[1 : 3 if problem.path[1:2] == ("interfaces",) else 2] for problem in problems}
    kept = {name: value for name, value in body.items() if (name,) not in broken and name != "interfaces"}
    interfaces = body.get("interfaces")
    numbered = enumerate(interfaces if isinstance(interfaces, list) else [])
    sound = {i: one for i, one in numbered if not {("interfaces",), ("interfaces", i)} & broken}

    def read(some: Sequence[Any]) -> AlgorithmSpec:
        return AlgorithmSpec.model_validate({"image": _NO_IMAGE, **kept, "interfaces": some})

    if not sound:
        return
    named: set[str] = set()
    for i, one in sound.items():
        for why in spec_problems(read([one])):
            named.add(why)
            yield each.finding(("spec", "interfaces", i), why)
    spec = read(list(sound.values()))
    for why in spec_problems(spec):
        if why not in named:
            yield each.finding(("spec", "interfaces"), why)
    for field, why, _ in field_problems(spec):
        yield each.finding(("spec", field), why)


def _twice(objects: Sequence[Object]) -> Iterator[Finding]:
    """Objects of one name."""
    first: dict[tuple[str, str, str], Object] = {}
    for each in objects:
        other = first.setdefault((each.kind, each.namespace, each.name), each)
        if other is not each and each.name and each.manifest.body["metadata"].get("name"):
            why = f"{each} is there already, at {other.place}"
            yield each.finding(("metadata", "name"), why, "give one of them another name")
