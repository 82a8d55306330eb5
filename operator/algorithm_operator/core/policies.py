"""NetworkPolicies: the one that must be there, and the linter for those that would open our Pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.core import names

Policy = Mapping[str, Any]
_OF_THE_NODE = "topology.kubernetes.io/"
"""Labels that the API server gives a Pod as it is bound to a node: nobody knows them before."""


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a metav1.LabelSelector matches `labels`; an empty selector matches everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        key, values = term["key"], term.get("values") or []
        match term["operator"]:
            case "In" if labels.get(key) not in values:
                return False
            case "NotIn" if key in labels and labels[key] in values:
                return False
            case "Exists" if key not in labels:
                return False
            case "DoesNotExist" if key in labels:
                return False
    return True


def closes(policy: Policy, labels: Mapping[str, str]) -> bool:
    """Whether `policy` alone denies a Pod with `labels` all traffic, both ways."""
    spec = policy.get("spec") or {}
    types = set(spec.get("policyTypes") or [])
    return (
        selects(spec.get("podSelector") or {}, labels)
        and types >= {"Ingress", "Egress"}
        and not spec.get("ingress")
        and not spec.get("egress")
    )


def opens(policy: Policy, labels: Mapping[str, str]) -> bool:
    """Whether `policy` may select a Pod with `labels` and allows it anything (policies are additive)."""
    spec = policy.get("spec") or {}
    chosen = _wherever(spec.get("podSelector") or {})
    return selects(chosen, labels) and bool(spec.get("ingress") or spec.get("egress"))


def _wherever(selector: Mapping[str, Any]) -> dict[str, Any]:
    """What the selector asks for besides the node: every node may be the Pod's."""
    pairs = (selector.get("matchLabels") or {}).items()
    terms = selector.get("matchExpressions") or []
    return {
        "matchLabels": {key: value for key, value in pairs if not key.startswith(_OF_THE_NODE)},
        "matchExpressions": [term for term in terms if not term["key"].startswith(_OF_THE_NODE)],
    }


def is_closed(policies: Iterable[Policy], labels: Mapping[str, str]) -> bool:
    """Whether some policy denies a Pod with `labels` everything."""
    return any(closes(policy, labels) for policy in policies)


def opening(policies: Iterable[Policy], labels: Mapping[str, str]) -> str | None:
    """The name of a policy that opens a Pod with `labels`, if there is one."""
    return next((str(p["metadata"]["name"]) for p in policies if opens(p, labels)), None)


def unsealed(
    namespace: str, restricted: bool, policies: Sequence[Policy], labels: Mapping[str, str]
) -> tuple[Reason, str] | None:
    """Why a Pod with `labels` would not be sealed in that namespace, or None: Pod Security, then the policies."""
    if not restricted:
        return Reason.NAMESPACE_NOT_RESTRICTED, sentence(Reason.NAMESPACE_NOT_RESTRICTED, namespace=namespace)
    if not is_closed(policies, labels):
        return Reason.POLICY_MISSING, sentence(
            Reason.POLICY_MISSING, namespace=namespace, policy=names.DENY_ALL_POLICY
        )
    if (conflict := opening(policies, labels)) is not None:
        return Reason.POLICY_CONFLICT, sentence(Reason.POLICY_CONFLICT, policy=conflict, namespace=namespace)
    return None


def restored(namespace: str, policies: Iterable[Policy], labels: Mapping[str, str]) -> dict[str, Any] | None:
    """The static policy as it must be applied there since nothing closes a Pod with `labels`; None if something does.

    Empty rules are told, for they replace those that somebody may have put in.
    """
    if is_closed(policies, labels):
        return None
    body = deny_all(namespace)
    return {**body, "spec": {**body["spec"], "ingress": [], "egress": []}}


def deny_all(namespace: str) -> dict[str, Any]:
    """The static policy of a job namespace, as the chart ships it."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": names.DENY_ALL_POLICY, "namespace": namespace},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": names.LABEL_ROLE, "operator": "Exists"}]},
            "policyTypes": ["Ingress", "Egress"],
        },
    }
