"""Whether the network plugin closes a Pod, as two Pods have seen it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from algorithm_operator.cli.preflight.checks import Check, Group, Level, Unseen, listed, worst
from algorithm_operator.cli.preflight.facts import Object, Probed, Tried
from algorithm_operator.core.facts import moment

GROUP = Group("isolation")
OLD = timedelta(minutes=15)
CANARY, API_SERVER = "canary", "API server"
_PLUGIN = (
    "Install or switch on a network plugin that enforces NetworkPolicies (Calico, Cilium, kube-router; on EKS "
    "enableNetworkPolicy, on GKE Dataplane V2, on AKS a network policy engine)."
)
_AGAIN = "Run preflight again; kubectl get events -A tells more."


def judge(probed: Probed | Unseen | None, *, strict: bool) -> Iterator[Check]:
    """Policy enforcement, and what stays open beside it; `strict`: as isolation.strict of the installation."""
    if probed is None:
        yield GROUP.unknown(
            "policy-enforcement", "not probed (--no-probe)", "Run preflight without --no-probe."
        )
        return
    if isinstance(probed, Unseen):
        yield GROUP.unknown(
            "policy-enforcement", f"not probed: {probed.why}", "Run preflight as a cluster admin."
        )
        return
    if probed.leftover is not None:
        yield GROUP.warned(
            "probe-removed",
            f"Namespace {probed.leftover} of the probe could not be removed.",
            f"kubectl delete namespace {probed.leftover}",
        )
    if isinstance(probed.control, Unseen):
        yield GROUP.unknown("policy-enforcement", f"not seen on {probed.node}: {probed.control.why}", _AGAIN)
        return
    control = _named(probed.control, CANARY)
    if control is None or not control.opened:
        where = control.address if control else "its address"
        yield GROUP.failed(
            "policy-enforcement",
            f"A Pod without any policy on {probed.node} does not reach the canary Service at {where} either, so a "
            "closed one proves nothing.",
            "See that kube-proxy runs on the node and that no policy closes the operator's namespace (port canary).",
        )
        return
    if isinstance(probed.sealed, Unseen):
        yield GROUP.unknown("policy-enforcement", f"not seen on {probed.node}: {probed.sealed.why}", _AGAIN)
        return
    yield _enforced(probed, probed.sealed)
    yield _node_local(probed, probed.sealed, strict=strict)


def judge_leftovers(namespaces: Sequence[Object] | Unseen, now: datetime) -> Iterator[Check]:
    """Of a probe that was killed; one that runs just now is none."""
    if isinstance(namespaces, Unseen):
        return
    old = [
        str(each["metadata"]["name"])
        for each in namespaces
        if "deletionTimestamp" not in each["metadata"]
        and (made := moment(str(each["metadata"].get("creationTimestamp") or ""))) is not None
        and now - made > OLD
    ]
    if old:
        yield GROUP.warned(
            "earlier-probes",
            f"An earlier preflight was killed and left: {listed(old)}.",
            f"kubectl delete namespace {' '.join(sorted(old))}",
        )


def _named(tried: Sequence[Tried], name: str) -> Tried | None:
    return next((each for each in tried if each.name == name), None)


def _enforced(probed: Probed, sealed: Sequence[Tried]) -> Check:
    """The canary and the API server: what every gate demands."""
    verdicts = []
    for each in sealed:
        if each.name in (CANARY, API_SERVER):
            verdicts.append(_closed(each))
    level = worst(level for level, _ in verdicts)
    fixes = {
        Level.FAIL: _PLUGIN,
        Level.WARN: "Nothing to do: the gate of every job waits until its own Pod is closed.",
        Level.UNKNOWN: _AGAIN,
    }
    if not any(each.name == CANARY for each in sealed):
        return GROUP.unknown(
            "policy-enforcement", f"not seen on {probed.node}: the canary was not tried", _AGAIN
        )
    seen = f"On {probed.node}, for a Pod under a deny-all policy: " + "; ".join(said for _, said in verdicts)
    return GROUP.check(
        "policy-enforcement", level, seen + " (without a policy the canary is open).", fixes.get(level, "")
    )


def _closed(tried: Tried) -> tuple[Level, str]:
    what = f"{tried.name} ({tried.address})"
    if tried.is_open:
        return Level.FAIL, f"{what} open to the end, {tried.opened} of {tried.attempts} connections"
    if tried.opened:
        return (
            Level.WARN,
            f"{what} closed after {tried.open_until or 0:.1f} s, {tried.opened} connections before",
        )
    return Level.PASS, f"{what} closed from the start, {tried.attempts} tries"


def _node_local(probed: Probed, sealed: Sequence[Tried], *, strict: bool) -> Check:
    """Kubelet, node DNS, metadata: many plugins leave what is on the node itself open."""
    local = [each for each in sealed if each.name not in (CANARY, API_SERVER)]
    still = [f"{each.name} ({each.address})" for each in local if each.is_open]
    if not local:
        return GROUP.unknown("node-addresses", f"not tried on {probed.node}", _AGAIN)
    if not still:
        names = ", ".join(dict.fromkeys(each.name for each in local))
        return GROUP.passed("node-addresses", f"Closed on {probed.node} as well: {names}.")
    seen = f"A deny-all policy leaves open on {probed.node}: {', '.join(still)}."
    if strict:
        return GROUP.failed(
            "node-addresses",
            f"{seen} The gate of every job refuses that (NetworkNotIsolated).",
            "Close them (Calico: defaultEndpointToHostAction Drop; cloud metadata: hop limit 1 or concealment), or "
            "accept them with isolation.strict=false.",
        )
    return GROUP.warned(
        "node-addresses",
        f"{seen} isolation.strict=false accepts that; the runner's filter refuses sockets all the same.",
        "Close them in the network plugin, then set isolation.strict=true.",
    )
