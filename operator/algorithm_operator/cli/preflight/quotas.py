"""Whether a namespace's ResourceQuotas and LimitRanges let a job with the default resources through. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from algorithm_operator.cli.preflight import demand
from algorithm_operator.cli.preflight.checks import Check, Group, Unseen, listed
from algorithm_operator.cli.preflight.facts import Object
from algorithm_operator.core import quantity

_QUOTA_SCOPES = {"Terminating", "NotBestEffort"}
"""A run Pod has a deadline and requests: quotas of these scopes count it, those of other scopes do not."""


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


def judge_quotas(
    group: Group, quotas: Sequence[Object] | Unseen, type_: str, asked: list[demand.Container]
) -> Check:
    """Whether the namespace's ResourceQuotas have room for a job with the default resources."""
    name = f"quota-for-{type_}"
    if isinstance(quotas, Unseen):
        return group.unseen(name, quotas)
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
        return group.failed(
            name,
            f"The quota holds no job with the default resources: {listed(never)}.",
            "Raise the ResourceQuota, or lower spec.resources of the Algorithms.",
        )
    if later:
        return group.warned(
            name,
            f"No room for one more job just now: {listed(later)}.",
            "Jobs wait with QuotaExceeded until others end; raise the ResourceQuota if that is too long.",
        )
    seen = f"{counted} ResourceQuotas have room for a job" if counted else "No ResourceQuota counts jobs"
    return group.passed(name, f"{seen}.")


def judge_limits(
    group: Group, ranges: Sequence[Object] | Unseen, type_: str, asked: list[demand.Container]
) -> Check:
    """Whether a LimitRange stands against a job's Pods."""
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
