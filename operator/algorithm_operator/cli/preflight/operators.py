"""The operator itself: is it there, does it work, and does it fit the cluster and this command. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from algorithm_operator import __version__
from algorithm_operator.api import crd
from algorithm_operator.api.text import shown
from algorithm_operator.cli.preflight.checks import Check, Group, Level, Unseen, by_value, listed
from algorithm_operator.cli.preflight.facts import Facts, Installation, Object
from algorithm_operator.cli.preflight.nodes import Node, name_of
from algorithm_operator.core.facts import moment

GROUP = Group("operator")
CLUSTER = Group("cluster")
MINIMUM, IMAGE_VOLUMES = (1, 33), (1, 35)
_INSTALL = "helm install algorithm-operator charts/algorithm-operator -n algorithm-operator-system --create-namespace"
_VERSION = re.compile(r"v?(\d{1,5})\.(\d{1,5})")


def judge(facts: Facts) -> Iterator[Check]:
    """All checks of the operator."""
    yield from _schemas(facts)
    if isinstance(facts.deployments, Unseen):
        yield GROUP.unknown(
            "operator",
            f"not looked at: {facts.deployments.why}",
            "Say where it is: --operator-namespace; or run preflight as somebody who may list deployments.",
        )
        return
    if not facts.deployments:
        yield GROUP.failed("operator", "No Deployment runs Algorithm Operator.", _INSTALL)
        return
    if len(facts.deployments) > 1:
        names = listed(f"{d['metadata']['namespace']}/{d['metadata']['name']}" for d in facts.deployments)
        yield GROUP.warned(
            "one-operator",
            f"There are {len(facts.deployments)}: {names}; the first is looked at.",
            "Uninstall all but one, or let each watch namespaces of its own (watchNamespaces); "
            "--operator-namespace picks one.",
        )
    if not isinstance(facts.installation, Installation):
        why = facts.installation.why if facts.installation else "nothing is known of it"
        yield GROUP.failed("operator", f"Its settings cannot be read: {why}.", "Install the chart again.")
        return
    yield _available(facts.installation)
    yield _version(facts.installation)
    yield _lease(facts.installation, facts.lease, facts.now)
    yield _canary(facts.installation, facts.canary_slices)
    yield _admission(facts.installation, facts.admission_policies, facts.admission_bindings)


def _available(found: Installation) -> Check:
    status = found.body.get("status") or {}
    wanted = int((found.body.get("spec") or {}).get("replicas", 1))
    ready = int(status.get("availableReplicas") or 0)
    seen = f"Deployment {found.namespace}/{found.name}: {ready} of {wanted} replicas available"
    if ready >= max(wanted, 1):
        return GROUP.passed("operator", f"{seen}.")
    conditions = {str(c.get("type")): c for c in status.get("conditions") or []}
    why = str((conditions.get("Available") or {}).get("message") or "")
    fix = f"kubectl -n {found.namespace} describe pods; kubectl -n {found.namespace} logs deployment/{found.name}"
    level = Level.WARN if ready else Level.FAIL
    return GROUP.check("operator", level, f"{seen}. {shown(why, 300)}".strip(), fix)


def _version(found: Installation) -> Check:
    if found.version == __version__:
        return GROUP.passed("versions", f"The operator and this command are both {__version__}.")
    return GROUP.warned(
        "versions",
        f"The operator is {found.version or 'of an unknown version'}, this command is {__version__}.",
        "Install the kubectl-algorithm of the operator's version, or upgrade the chart.",
    )


def fields(schema: Object, path: str = "") -> Iterator[str]:
    """Every field of an OpenAPI schema, as `.spec.image.reference`."""
    for name, below in (schema.get("properties") or {}).items():
        if isinstance(below, Mapping):
            yield f"{path}.{name}"
            yield from fields(below, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), Mapping):
            yield from fields(schema[inner], f"{path}[]")


def _schemas(facts: Facts) -> Iterator[Check]:
    """Whether the API server serves our kinds, with the fields that this command knows."""
    name = "custom-resources"
    if isinstance(facts.schemas, Unseen):
        yield GROUP.unseen(name, facts.schemas)
        return
    missing = [kind.name for kind in crd.KINDS if kind.name not in facts.schemas]
    if missing:
        yield GROUP.failed(
            name,
            f"The API server does not serve: {', '.join(missing)}.",
            f"Install the chart (crds.enabled): {_INSTALL}",
        )
        return
    lacks: list[str] = []
    more: list[str] = []
    for kind in crd.KINDS:
        ours, theirs = (
            {field for field in fields(schema) if field.startswith((".spec", ".status"))}
            for schema in (_own_schema(kind), facts.schemas[kind.name])
        )
        lacks += [f"{kind.name}{field}" for field in sorted(ours - theirs)]
        more += [f"{kind.name}{field}" for field in sorted(theirs - ours)]
    if lacks:
        same = isinstance(facts.installation, Installation) and facts.installation.version == __version__
        yield GROUP.check(
            name,
            Level.FAIL if same else Level.WARN,
            f"The CustomResourceDefinitions are older than this command and lack: {listed(lacks)}. The API server "
            "drops such fields silently.",
            "helm upgrade with crds.enabled=true, or kubectl apply --server-side -f crds/",
        )
    elif more:
        yield GROUP.warned(
            name,
            f"The CustomResourceDefinitions are newer than this command; it does not know: {listed(more)}.",
            "Install the kubectl-algorithm of the operator's version.",
        )
    else:
        yield GROUP.passed(
            name, f"Served as this command knows them: {', '.join(k.name for k in crd.KINDS)}."
        )


def _own_schema(kind: crd.Kind) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = crd.definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _lease(found: Installation, lease: Object | Unseen | None, now: datetime) -> Check:
    name, fix = "lease", f"kubectl -n {found.namespace} logs deployment/{found.name}"
    if isinstance(lease, Unseen):
        return GROUP.unseen(name, lease)
    spec = (lease or {}).get("spec") or {}
    holder = str(spec.get("holderIdentity") or "")
    if not holder:
        return GROUP.failed(
            name, f"Nobody holds Lease {found.namespace}/{found.lease_name}: no operator works.", fix
        )
    renewed, seconds = moment(str(spec.get("renewTime") or "")), int(spec.get("leaseDurationSeconds") or 0)
    if renewed is None or renewed + timedelta(seconds=seconds) < now:
        return GROUP.failed(
            name, f"{holder} has not renewed its Lease since {spec.get('renewTime')}: no operator works.", fix
        )
    return GROUP.passed(
        name, f"Held by {holder}, renewed {max(0, (now - renewed).total_seconds()):.0f} s ago."
    )


def _canary(found: Installation, slices: Sequence[Object] | Unseen) -> Check:
    service = f"{found.namespace}/{found.pods.canary_service}"
    if isinstance(slices, Unseen):
        return GROUP.unseen("canary", slices)
    ready = [
        endpoint
        for each in slices
        for endpoint in each.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]
    if ready:
        return GROUP.passed("canary", f"Service {service} has {len(ready)} ready endpoints.")
    return GROUP.failed(
        "canary",
        f"Service {service} has no ready endpoint: no gate can tell a closed network from a dead port, so no job "
        "starts (IsolationUnverified).",
        f"kubectl -n {found.namespace} get endpointslices,pods; the operator's Pods must be Ready.",
    )


def _admission(
    found: Installation, policies: Sequence[Object] | Unseen, bindings: Sequence[Object] | Unseen
) -> Check:
    """ValidatingAdmissionPolicies of the release, and bindings that deny."""
    name = "admission-policies"
    for seen in (policies, bindings):
        if isinstance(seen, Unseen):
            return GROUP.unseen(name, seen)
    assert not isinstance(policies, Unseen)  # noqa: S101 - for mypy
    assert not isinstance(bindings, Unseen)  # noqa: S101
    ours = guards(found, policies, bindings)
    weak = [policy for policy, selectors in ours.items() if not selectors]
    if ours and not weak:
        return GROUP.passed(name, f"{len(ours)} are installed and deny: {listed(ours)}.")
    what = f"Not bound with Deny: {listed(weak)}" if weak else "None of the release is installed"
    return GROUP.warned(
        name,
        f"{what}: whoever may create Pods or NetworkPolicies in a namespace of jobs can open them or forge labels.",
        "Upgrade the chart with admissionPolicies.enabled=true; or let nobody but the operator create Pods there.",
    )


def guards(
    found: Installation, policies: Sequence[Object], bindings: Sequence[Object]
) -> dict[str, list[Object]]:
    """The admission policies of the release, and the namespaces in which each denies, as label selectors."""
    return {
        name: [
            ((spec.get("matchResources") or {}).get("namespaceSelector") or {})
            for spec in (binding.get("spec") or {} for binding in bindings)
            if spec.get("policyName") == name and "Deny" in (spec.get("validationActions") or [])
        ]
        for name in (str(each["metadata"]["name"]) for each in policies if _of_release(each, found))
    }


def _of_release(body: Object, found: Installation) -> bool:
    labels = body["metadata"].get("labels") or {}
    own = (found.body["metadata"].get("labels") or {}).get("app.kubernetes.io/instance")
    instance = labels.get("app.kubernetes.io/instance")
    return (own is not None and instance == own) or str(body["metadata"]["name"]).startswith(found.name)


def minor(text: str) -> tuple[int, int] | None:
    """(1, 36) of `v1.36.3` or `v1.33.4-gke.100`."""
    match = _VERSION.match(text)
    return (int(match[1]), int(match[2])) if match else None


def judge_versions(version: Object | Unseen, gpu_nodes: Sequence[Node]) -> Iterator[Check]:
    """Kubernetes of the API server and of the GPU nodes' kubelets."""
    if isinstance(version, Unseen):
        yield CLUSTER.unseen("kubernetes-version", version)
        return
    all_of = {"API server": str(version.get("gitVersion") or "")}
    for node in gpu_nodes:
        info = (node.get("status") or {}).get("nodeInfo") or {}
        all_of[f"kubelet of {name_of(node)}"] = str(info.get("kubeletVersion") or "")
    text = by_value(all_of)
    low = {what: said for what, said in all_of.items() if (minor(said) or (0, 0)) < MINIMUM}
    if low:
        yield CLUSTER.failed(
            "kubernetes-version",
            f"Older than 1.33, which native sidecars need: {by_value(low)}.",
            "Upgrade the cluster to Kubernetes 1.33 or newer.",
        )
    else:
        yield CLUSTER.passed("kubernetes-version", f"{text}; 1.33 or newer is needed.")
    lower = {what: said for what, said in all_of.items() if (minor(said) or (0, 0)) < IMAGE_VOLUMES}
    if lower:
        yield CLUSTER.warned(
            "image-volumes",
            f"Off by default before 1.35: {by_value(lower)}; an Algorithm with model.image does not run.",
            "Upgrade to 1.35, or keep models in a DataStore (model.store), which needs nothing.",
        )
    else:
        yield CLUSTER.passed("image-volumes", "There by default (model.image).")
