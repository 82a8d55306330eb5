"""The CustomResourceDefinitions, generated from the models: `python -m algorithm_operator.api.crd [--check] [DIR]`.

Writes one file a kind below DIR (default: crds). With --check nothing is written, and a difference is an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithm_operator.api.algorithm import AlgorithmSpec, AlgorithmStatus
from algorithm_operator.api.base import GROUP, VERSION, Model, cel, unchanged
from algorithm_operator.api.datastore import DataStoreSpec, DataStoreStatus
from algorithm_operator.api.imageimport import ENDED, ImageImportSpec, ImageImportStatus
from algorithm_operator.api.job import TERMINAL, AlgorithmJobSpec, AlgorithmJobStatus
from algorithm_operator.api.schema import Schema, structural

CATEGORY = "algorithm-operator"
HEADER = "# Generated from the models in operator/algorithm_operator/api by `make crds`; edit those.\n"
MAX_JOB_NAME = 50
MAX_NAME = 63


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide` ones show with -o wide."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    description: str = ""

    def wire(self) -> dict[str, Any]:
        """As additionalPrinterColumns has it."""
        wire: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            wire["description"] = self.description
        if self.wide:
            wire["priority"] = 1
        return wire


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its models, and what only its CRD knows."""

    name: str
    description: str
    spec: type[Model]
    status: type[Model]
    columns: tuple[Column, ...]
    short_names: tuple[str, ...] = ()
    selectable: tuple[str, ...] = ()
    rules: tuple[dict[str, str], ...] = ()

    @property
    def plural(self) -> str:
        """The resource's name in URLs."""
        return f"{self.name.lower()}s"


_AGE = Column("Age", ".metadata.creationTimestamp", "date")


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


def _latched(noun: str, states: Iterable[str], *fields: str, again: str) -> dict[str, str]:
    """CEL at the root of the schema: a rule on status would not run for a request that sets `status: null`."""
    ended = sorted(map(str, states))
    same = " && ".join(f"({unchanged(field, optional=True, of='.status')})" for field in fields)
    return cel(
        f"!has(oldSelf.status) || !has(oldSelf.status.state) || !(oldSelf.status.state in {ended}) "
        f"|| (has(self.status) && {same})",
        f"the {noun} has ended, and its result does not change; apply the {noun} under a new name to {again}",
        fieldPath=".status",
    )


def _name_rule(limit: int, why: str) -> dict[str, str]:
    return cel(
        f"self.metadata.name.size() <= {limit}", f"the name may have at most {limit} characters: {why}"
    )


KINDS = (
    Kind(
        name="Algorithm",
        description="An image that is approved to run here, what it reads and writes, and its limits.",
        spec=AlgorithmSpec,
        status=AlgorithmStatus,
        short_names=("algo",),
        columns=(
            Column("Ready", _ready("status")),
            Column("Reason", _ready("reason")),
            Column("Image", ".spec.image.reference", wide=True),
            Column("Digest", ".status.image.digest", wide=True, description="What jobs run."),
            _AGE,
        ),
        rules=(_name_rule(MAX_NAME, "labels carry it"),),
    ),
    Kind(
        name="AlgorithmJob",
        description="One run of an Algorithm on one set of inputs.",
        spec=AlgorithmJobSpec,
        status=AlgorithmJobStatus,
        short_names=("algojob",),
        columns=(
            Column("Algorithm", ".spec.algorithmRef.name"),
            Column("State", ".status.state"),
            Column("Reason", ".status.reason"),
            Column("Blame", ".status.blame", wide=True, description="Whose fault a failure is."),
            Column("Message", ".status.message", wide=True),
            Column("Requester", ".spec.requestedBy", wide=True),
            Column("Started", ".status.startedAt", "date"),
            Column("Finished", ".status.finishedAt", "date"),
            _AGE,
        ),
        selectable=(".spec.algorithmRef.name", ".spec.requestedBy", ".status.state"),
        rules=(
            _name_rule(MAX_JOB_NAME, "its Pods are named after it"),
            _latched(
                "job",
                TERMINAL,
                *("state", "reason", "message", "blame", "exitCode", "outputs", "manifest"),
                again="run it anew",
            ),
            cel(
                "!self.spec.suspend || oldSelf.spec.suspend || !has(self.status) || !has(self.status.attempts) "
                "|| self.status.attempts.size() == 0",
                "the job has started and cannot be suspended any more; set cancel to end it",
                fieldPath=".spec.suspend",
            ),
        ),
    ),
    Kind(
        name="ImageImport",
        description="Files of a DataStore that become exactly one image of it, to be used by any number of jobs.",
        spec=ImageImportSpec,
        status=ImageImportStatus,
        short_names=("imgimport",),
        columns=(
            Column("State", ".status.state"),
            Column("Reason", ".status.reason"),
            Column("Size", ".status.image.geometry.size", description="Of the image, in voxels."),
            Column("Pixels", ".status.image.geometry.pixelType", description="The type of its numbers."),
            Column("Image", ".status.image.path", wide=True, description="Below the root of its DataStore."),
            Column("Message", ".status.message", wide=True),
            _AGE,
        ),
        selectable=(".status.state",),
        rules=(
            _name_rule(MAX_NAME, "labels carry it"),
            _latched(
                "import",
                ENDED,
                *("state", "reason", "message", "blame", "image", "files"),
                again="import the files anew",
            ),
        ),
    ),
    Kind(
        name="DataStore",
        description="A place for inputs and outputs. Admins write it; jobs name it and a path below it.",
        spec=DataStoreSpec,
        status=DataStoreStatus,
        columns=(
            Column("Claim", ".spec.persistentVolumeClaim.claimName"),
            Column("Default", ".spec.default", "boolean"),
            Column("Ready", _ready("status")),
            Column("Reason", _ready("reason")),
            _AGE,
        ),
        rules=(_name_rule(MAX_NAME, "labels carry it"),),
    ),
)


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(kind)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.wire() for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    names: dict[str, Any] = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
        "categories": [CATEGORY],
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def _root(kind: Kind) -> Schema:
    return {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"{GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"{kind.name}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec),
            "status": structural(kind.status, with_rules=False),
        },
        "x-kubernetes-validations": list(kind.rules),
    }


def render(kind: Kind) -> str:
    """The YAML file of one kind."""
    import yaml  # only developers generate

    class Plain(yaml.SafeDumper):
        """No anchors: people read these files."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    text: str = yaml.dump(definition(kind), Dumper=Plain, sort_keys=False, width=110, allow_unicode=True)
    return HEADER + text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or compare them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m algorithm_operator.api.crd", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=Path("crds"), metavar="DIR")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    options = parser.parse_args(arguments)
    wanted = {f"{kind.plural}.yaml": render(kind) for kind in KINDS}
    if options.check:
        present = {path.name: path.read_text() for path in options.directory.glob("*.yaml")}
        stale = sorted(
            name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
        )
        for name in stale:
            sys.stderr.write(f"{options.directory / name} is not current; run `make crds` and commit it\n")
        return 1 if stale else 0
    options.directory.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (options.directory / name).write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
