"""A namespace of jobs: is it sealed, is there room, where do the outputs go. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from algorithm_operator.cli.preflight import demand, quotas
from algorithm_operator.cli.preflight.checks import Check, Group, Unseen, listed
from algorithm_operator.cli.preflight.facts import Installation, NamespaceFacts, Object
from algorithm_operator.core import names, policies

ENFORCE = "pod-security.kubernetes.io/enforce"
JOBS_LABEL = "algorithm-operator.dev/jobs"


@dataclass(frozen=True, slots=True)
class Around:
    """What of the cluster matters to a namespace."""

    installation: Installation | None
    gpu_types: Sequence[str] = ()
    """Those whose jobs it should hold."""
    gpu_nodes: int | None = None
    """How many there are, if that could be seen."""
    guards: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    """The admission policies, with the selectors of namespaces where they deny."""
    late_classes: Collection[str] = ()
    """StorageClasses whose claims bind with their first Pod."""


def judge(found: NamespaceFacts, around: Around) -> Iterator[Check]:
    """All checks of one namespace."""
    installation = around.installation
    group = Group(f"namespace {found.name}")
    if found.body is None:
        yield group.failed(
            "namespace",
            "There is no such namespace.",
            f"Add it to the chart: jobNamespaces=[{{name: {found.name}, create: true}}]",
        )
        return
    if not isinstance(found.body, Unseen) and found.body["metadata"].get("deletionTimestamp"):
        yield group.warned("namespace", "It is being deleted: no job starts here.", "Use another namespace.")
        return
    yield _restricted(group, found)
    if installation is not None and installation.watch_namespaces:
        yield _watched(group, found, installation)
    yield from _sealed(group, found, managed=installation is not None and installation.manages_policy)
    if around.guards and not isinstance(found.body, Unseen):
        yield _guarded(group, found.body, around.guards)
    yield from _stores(group, found, around)
    if installation is not None:
        for type_ in around.gpu_types:
            asked = demand.containers(type_, installation.pods)
            yield quotas.judge_quotas(group, found.quotas, type_, asked)
            yield quotas.judge_limits(group, found.limit_ranges, type_, asked)


def _restricted(group: Group, found: NamespaceFacts) -> Check:
    if found.body is None or isinstance(found.body, Unseen):
        return group.unseen("pod-security", found.body or Unseen("it is gone"))
    level = (found.body["metadata"].get("labels") or {}).get(ENFORCE)
    if level == "restricted":
        return group.passed("pod-security", "Enforces the restricted Pod Security Standard.")
    return group.failed(
        "pod-security",
        f"Enforces {level or 'no Pod Security Standard'}, not restricted: jobs wait with NamespaceNotRestricted.",
        f"kubectl label namespace {found.name} {ENFORCE}=restricted --overwrite",
    )


def _watched(group: Group, found: NamespaceFacts, installation: Installation) -> Check:
    if found.name in installation.watch_namespaces:
        return group.passed("watched", "The operator watches it.")
    return group.failed(
        "watched",
        f"The operator watches only {listed(installation.watch_namespaces)}: jobs here are never looked at.",
        f"Add {found.name} to watchNamespaces of the chart, or leave watchNamespaces empty.",
    )


def _our_pods() -> list[dict[str, str]]:
    """Labels of Pods as the operator makes them; whose names nobody chooses."""
    roles = (names.ROLE_RUN, names.ROLE_SALVAGE, names.ROLE_STORE, names.ROLE_USER)
    return [{names.MANAGED_BY: names.OPERATOR, names.LABEL_ROLE: role} for role in roles]


def _guarded(group: Group, body: Object, guards: Mapping[str, Sequence[Object]]) -> Check:
    """Some hold only where a label says that jobs run."""
    name = str(body["metadata"]["name"])
    labels = {"kubernetes.io/metadata.name": name, **(body["metadata"].get("labels") or {})}
    missing = [
        policy
        for policy, selectors in guards.items()
        if not any(policies.selects(selector, labels) for selector in selectors)
    ]
    if not missing:
        return group.passed("guarded", f"{len(guards)} admission policies hold here.")
    return group.warned(
        "guarded",
        f"These admission policies do not hold here: {listed(missing)}; who may exec or write NetworkPolicies gets at "
        "the Pods of jobs.",
        f"kubectl label namespace {name} {JOBS_LABEL}=true",
    )


def _sealed(group: Group, found: NamespaceFacts, *, managed: bool) -> Iterator[Check]:
    if isinstance(found.policies, Unseen):
        yield group.unseen("deny-all-policy", found.policies)
        return
    open_roles = [
        labels[names.LABEL_ROLE] for labels in _our_pods() if not policies.is_closed(found.policies, labels)
    ]
    if open_roles and managed:
        yield group.warned(
            "deny-all-policy",
            f"No NetworkPolicy closes Pods of role {', '.join(open_roles)} yet; the operator puts one here with the "
            "first job (isolation.managePolicy).",
            f"Nothing to do; or add {found.name} to jobNamespaces of the chart, to have it there before.",
        )
    elif open_roles:
        yield group.failed(
            "deny-all-policy",
            f"No NetworkPolicy closes Pods of role {', '.join(open_roles)}: jobs wait with PolicyMissing.",
            f"Add {found.name} to jobNamespaces of the chart, which brings {names.DENY_ALL_POLICY}.",
        )
    else:
        yield group.passed("deny-all-policy", "A NetworkPolicy closes the Pods of jobs, both ways.")
    openers = {
        str(policy["metadata"]["name"])
        for policy in found.policies
        if any(policies.opens(policy, labels) for labels in _our_pods())
    }
    if openers:
        yield group.failed(
            "opening-policies",
            f"Policies add up, and these open the Pods of jobs: {listed(openers)}; jobs wait with PolicyConflict.",
            f"Narrow their podSelector: {{key: {names.LABEL_ROLE}, operator: DoesNotExist}}; or kubectl -n "
            f"{found.name} delete networkpolicy {min(openers)}",
        )
    else:
        yield group.passed("opening-policies", "No NetworkPolicy opens the Pods of jobs.")


def _stores(group: Group, found: NamespaceFacts, around: Around) -> Iterator[Check]:
    if isinstance(found.stores, Unseen):
        yield group.unseen("default-store", found.stores)
        return
    default = [store for store in found.stores if (store.get("spec") or {}).get("default")]
    if len(default) == 1:
        yield group.passed(
            "default-store", f"DataStore {default[0]['metadata']['name']} keeps outputs by default."
        )
    elif not found.stores:
        yield group.warned(
            "default-store",
            "There is no DataStore: jobs keep only outputs that are small enough for their status.",
            "Create a PersistentVolumeClaim, and a DataStore on it with default: true.",
        )
    elif default:
        both = listed(str(store["metadata"]["name"]) for store in default)
        yield group.warned(
            "default-store",
            f"Several DataStores are the default: {both}.",
            f'kubectl -n {found.name} patch datastore NAME --type merge -p \'{{"spec":{{"default":false}}}}\'',
        )
    else:
        yield group.warned(
            "default-store",
            f"{len(found.stores)} DataStores, none is the default: jobs without outputStore keep only small values.",
            f'kubectl -n {found.name} patch datastore NAME --type merge -p \'{{"spec":{{"default":true}}}}\'',
        )
    for store in found.stores:
        yield _store(group, found, store, around)


def _store(group: Group, found: NamespaceFacts, store: Object, around: Around) -> Check:
    name = f"store {store['metadata']['name']}"
    claim_name = str(((store.get("spec") or {}).get("persistentVolumeClaim") or {}).get("claimName") or "")
    if isinstance(found.claims, Unseen):
        return group.unseen(name, found.claims)
    claim = next((each for each in found.claims if each["metadata"]["name"] == claim_name), None)
    if claim is None:
        return group.failed(
            name,
            f"There is no PersistentVolumeClaim {claim_name}: its jobs wait with ClaimNotFound.",
            f"kubectl -n {found.name} get pvc; create it, or correct claimName of the DataStore.",
        )
    phase = str((claim.get("status") or {}).get("phase") or "Pending")
    modes = [str(mode) for mode in (claim.get("spec") or {}).get("accessModes") or []]
    seen = f"Claim {claim_name} is {phase}, {', '.join(modes) or 'without access modes'}"
    if phase == "Lost":
        return group.failed(
            name, f"{seen}: its volume is gone.", f"kubectl -n {found.name} describe pvc {claim_name}"
        )
    late = (claim.get("spec") or {}).get("storageClassName") in around.late_classes
    if phase != "Bound" and late:
        return group.passed(name, f"{seen}: it binds with its first Pod.")
    if phase != "Bound":
        return group.warned(
            name,
            f"{seen}: jobs wait with ClaimNotBound, unless its StorageClass waits for a Pod (WaitForFirstConsumer).",
            f"kubectl -n {found.name} describe pvc {claim_name}",
        )
    gpu_nodes = around.gpu_nodes
    if "ReadWriteMany" in modes or gpu_nodes == 1:
        return group.passed(name, f"{seen}.")
    if "ReadWriteOnce" in modes:
        several = "GPU nodes may be several" if gpu_nodes is None else f"there are {gpu_nodes} GPU nodes"
        return group.warned(
            name,
            f"{seen}: it is on one node at a time, and {several}; jobs and the store Pod go where it is.",
            "Use a StorageClass with ReadWriteMany (NFS, CephFS, EFS, Filestore, Azure Files).",
        )
    return group.warned(
        name,
        f"{seen}: a job and the store Pod cannot use it at the same time, or not write.",
        "Use a claim with ReadWriteMany, or ReadWriteOnce on a single node.",
    )
