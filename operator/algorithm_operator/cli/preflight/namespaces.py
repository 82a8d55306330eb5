"""A namespace of jobs: is it sealed, is there room, where do the outputs go. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from algorithm_operator.cli.preflight import demand
from algorithm_operator.cli.preflight.checks import Check, Group, Unseen, listed
from algorithm_operator.cli.preflight.facts import Installation, NamespaceFacts, Object
from algorithm_operator.core import names, policies, quantity

ENFORCE = "pod-security.kubernetes.io/enforce"
JOBS_LABEL = "algorithm-operator.dev/jobs"
_QUOTA_SCOPES = {"Terminating", "NotBestEffort"}
"""A run Pod has a deadline and requests: quotas of these scopes count it, those of other scopes do not."""


def judge(
    found: NamespaceFacts, installation: Installation | None, gpu_types: Sequence[str], gpu_nodes: int | None
) -> Iterator[Check]:
    """All checks of one namespace; `gpu_types`: those whose jobs it should hold, `gpu_nodes`: how many there are."""
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
    yield from _sealed(group, found)
    yield from _stores(group, found, gpu_nodes)
    if installation is not None:
        for type_ in gpu_types:
            asked = demand.containers(type_, installation.pods)
            yield from _quota(group, found.quotas, type_, asked)
            yield _limits(group, found.limit_ranges, type_, asked)


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


def _sealed(group: Group, found: NamespaceFacts) -> Iterator[Check]:
    if isinstance(found.policies, Unseen):
        yield group.unseen("deny-all-policy", found.policies)
        return
    open_roles = [
        labels[names.LABEL_ROLE] for labels in _our_pods() if not policies.is_closed(found.policies, labels)
    ]
    if open_roles:
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


def _stores(group: Group, found: NamespaceFacts, gpu_nodes: int | None) -> Iterator[Check]:
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
        yield _store(group, found, store, gpu_nodes)


def _store(group: Group, found: NamespaceFacts, store: Object, gpu_nodes: int | None) -> Check:
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
    if phase != "Bound":
        return group.warned(
            name,
            f"{seen}: it binds with its first Pod if its StorageClass waits for one (WaitForFirstConsumer).",
            f"kubectl -n {found.name} describe pvc {claim_name}",
        )
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


def _quota_needs(type_: str, asked: list[demand.Container]) -> dict[str, Decimal]:
    """What one job adds to each thing that a ResourceQuota can count."""
    needs = {
        name: Decimal(1) for name in ("pods", "count/pods", "count/algorithmjobs.algorithm-operator.dev")
    }
    for kind in ("requests", "limits"):
        for name, number in demand.of_pod(asked, kind).items():
            needs[f"{kind}.{name}"] = number
            if kind == "requests":
                needs[name] = number
    return needs


def _quota(
    group: Group, quotas: Sequence[Object] | Unseen, type_: str, asked: list[demand.Container]
) -> Iterator[Check]:
    name = f"quota-for-{type_}"
    if isinstance(quotas, Unseen):
        yield group.unseen(name, quotas)
        return
    needs = _quota_needs(type_, asked)
    never: list[str] = []
    later: list[str] = []
    counted = 0
    for quota in quotas:
        spec, status = quota.get("spec") or {}, quota.get("status") or {}
        if not set(spec.get("scopes") or []) <= _QUOTA_SCOPES or spec.get("scopeSelector"):
            continue
        counted += 1
        for resource, bound in (status.get("hard") or spec.get("hard") or {}).items():
            if resource not in needs:
                continue
            hard, used = quantity.parse(bound), quantity.parse((status.get("used") or {}).get(resource, "0"))
            if hard - used >= needs[resource]:
                continue
            plain = resource.removeprefix("requests.").removeprefix("limits.")
            need, of, now = (demand.amount(plain, number) for number in (needs[resource], hard, used))
            text = f"{quota['metadata']['name']}: {resource} {of}, {now} in use, a job needs {need}"
            (never if hard < needs[resource] else later).append(text)
    if never:
        yield group.failed(
            name,
            f"The quota holds no job with the default resources: {listed(never)}.",
            "Raise the ResourceQuota, or lower spec.resources of the Algorithms.",
        )
    elif later:
        yield group.warned(
            name,
            f"No room for one more job just now: {listed(later)}.",
            "Jobs wait with QuotaExceeded until others end; raise the ResourceQuota if that is too long.",
        )
    else:
        seen = f"{counted} ResourceQuotas have room for a job" if counted else "No ResourceQuota counts jobs"
        yield group.passed(name, f"{seen}.")


def _limits(
    group: Group, ranges: Sequence[Object] | Unseen, type_: str, asked: list[demand.Container]
) -> Check:
    name = f"limits-for-{type_}"
    if isinstance(ranges, Unseen):
        return group.unseen(name, ranges)
    broken: list[str] = []
    for each in ranges:
        for item in (each.get("spec") or {}).get("limits") or []:
            of = str(each["metadata"]["name"])
            if item.get("type") == "Container":
                for container in asked:
                    requests, limits = (demand.amounts(container, kind) for kind in ("requests", "limits"))
                    broken += _breaks(item, f"{of}: container {container['name']}", requests, limits)
            elif item.get("type") == "Pod":
                requests, limits = (demand.of_pod(asked, kind) for kind in ("requests", "limits"))
                broken += _breaks(item, f"{of}: the Pod", requests, limits)
    if not broken:
        return group.passed(name, "No LimitRange stands against a job's Pods.")
    return group.failed(
        name,
        f"The API server refuses a job's Pods: {listed(broken)}.",
        "Widen the LimitRange; or lower spec.resources of the Algorithms and stepsResources of the chart.",
    )


def _breaks(item: Object, who: str, requests: demand.Amounts, limits: demand.Amounts) -> Iterator[str]:
    for resource, bound in (item.get("max") or {}).items():
        if resource in limits and limits[resource] > quantity.parse(bound):
            yield f"{who} may use {demand.amount(resource, limits[resource])} of {resource}, allowed are {bound}"
    for resource, bound in (item.get("min") or {}).items():
        if resource in requests and requests[resource] < quantity.parse(bound):
            yield f"{who} asks for {demand.amount(resource, requests[resource])} of {resource}, at least {bound} is due"
    for resource, bound in (item.get("maxLimitRequestRatio") or {}).items():
        if requests.get(resource) and limits.get(resource, Decimal(0)) / requests[resource] > quantity.parse(
            bound
        ):
            yield f"{who}: limit and request of {resource} differ by more than {bound} times"
