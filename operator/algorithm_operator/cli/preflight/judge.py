"""From facts to checks: which judge sees what. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from algorithm_operator.cli.preflight import isolation, kubelets, namespaces, nodes, operators
from algorithm_operator.cli.preflight.checks import Check, Group, Report, Unseen, listed
from algorithm_operator.cli.preflight.facts import Facts, Installation, Object
from algorithm_operator.core.waiting import matches

STORAGE = Group("storage")
LATE = "WaitForFirstConsumer"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def judge(facts: Facts) -> Report:
    """Every check of what was looked at."""
    return Report(list(_checks(facts)))


def _checks(facts: Facts) -> Iterator[Check]:
    installation = facts.installation if isinstance(facts.installation, Installation) else None
    gpu_nodes: Sequence[nodes.Node] = ()
    if installation is not None and not isinstance(facts.nodes, Unseen):
        gpu_nodes = nodes.gpu_nodes(facts.nodes, installation.pods)
    yield from operators.judge_versions(facts.version, gpu_nodes)
    yield from operators.judge(facts)
    if installation is not None:
        yield from nodes.judge(facts.nodes, installation.pods)
        if isinstance(facts.nodes, Unseen):
            yield kubelets.GROUP.unseen("container-runtime", facts.nodes)
        yield from kubelets.judge(gpu_nodes, facts.kubelets, facts.toolkits)
    number = None if isinstance(facts.nodes, Unseen) or installation is None else len(gpu_nodes)
    yield _storage(facts.storage_classes, number)
    if installation is not None:
        yield from isolation.judge(facts.probed, strict=installation.pods.isolation_strict)
        yield from isolation.judge_leftovers(facts.leftovers, facts.now)
    yield from _namespaces(facts, installation, number)


def _storage(classes: Sequence[Object] | Unseen, gpu_nodes: int | None) -> Check:
    if isinstance(classes, Unseen):
        return STORAGE.unseen("storage-class", classes)
    default = [
        each for each in classes if (each["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
    ]
    if not default:
        there = listed(str(each["metadata"]["name"]) for each in classes) or "none at all"
        return STORAGE.warned(
            "storage-class",
            f"None is the default (there are: {there}): claims that name none stay Pending.",
            f"kubectl annotate storageclass NAME {DEFAULT_CLASS}=true",
        )
    said = [
        f"{each['metadata']['name']} ({each.get('provisioner')}, {each.get('volumeBindingMode') or 'Immediate'})"
        for each in default
    ]
    if len(default) > 1:
        return STORAGE.warned(
            "storage-class",
            f"Several are the default: {listed(said)}; the newest wins.",
            f"kubectl annotate storageclass NAME {DEFAULT_CLASS}-",
        )
    if default[0].get("volumeBindingMode") != LATE and gpu_nodes != 1:
        return STORAGE.warned(
            "storage-class",
            f"The default is {said[0]}: volumes are made before it is known where the GPU is, and a ReadWriteOnce "
            "one may end up out of its reach.",
            "Use a class with volumeBindingMode WaitForFirstConsumer, or one with ReadWriteMany, for DataStores.",
        )
    return STORAGE.passed("storage-class", f"The default is {said[0]}.")


def _namespaces(facts: Facts, installation: Installation | None, gpu_nodes: int | None) -> Iterator[Check]:
    group = Group("namespaces")
    if isinstance(facts.namespaces, Unseen):
        yield group.unknown(
            "namespaces-of-jobs",
            f"not looked for: {facts.namespaces.why}",
            "Name one: preflight -n NAMESPACE.",
        )
        return
    if not facts.namespaces:
        yield group.warned(
            "namespaces-of-jobs",
            "No namespace is prepared for jobs.",
            "Add one to the chart: jobNamespaces=[{name: imaging, create: true}]",
        )
        return
    classes = () if isinstance(facts.storage_classes, Unseen) else facts.storage_classes
    late = [str(c["metadata"]["name"]) for c in classes if c.get("volumeBindingMode") == LATE]
    types, guards = _judged_types(facts, installation), _guards(facts, installation)
    around = namespaces.Around(installation, types, gpu_nodes, guards, late)
    for found in facts.namespaces:
        yield from namespaces.judge(found, around)


def _guards(facts: Facts, installation: Installation | None) -> Mapping[str, Sequence[Object]]:
    seen, bound = facts.admission_policies, facts.admission_bindings
    if installation is None or isinstance(seen, Unseen) or isinstance(bound, Unseen):
        return {}
    return operators.guards(installation, seen, bound)


def _judged_types(facts: Facts, installation: Installation | None) -> list[str]:
    """Types that nodes were found for; all of them where nodes could not be seen."""
    if installation is None:
        return []
    if isinstance(facts.nodes, Unseen):
        return list(installation.pods.gpu_types)
    return [
        name
        for name, kind in installation.pods.gpu_types.items()
        if any(matches(node, kind) for node in facts.nodes)
    ]
