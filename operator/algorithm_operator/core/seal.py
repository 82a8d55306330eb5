"""Whether a Pod is still the one that was asked for: what admission may not change, hashed and compared. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from algorithm_operator.core import names, quantity

Pod = Mapping[str, Any]

_CONTAINER_FIELDS = ("image", "command", "args", "restartPolicy", "lifecycle", "envFrom")
_SWITCHES = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
_UNTOLD = ("supplementalGroupsPolicy", "seLinuxOptions")
"""Of the Pod's securityContext: what old API servers drop, and what some clusters add; neither opens anything."""
_IDS = ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions")
"""What admission fills in where the ids are left to it (names.ANNOTATION_USER); never root, for runAsNonRoot stays."""
_BOUNDS = ("ephemeral-storage",)
"""A LimitRange adds it where we do not ask: so an admin bounds the disk that our own steps may fill."""


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: the form that hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(pod: Pod) -> str:
    """Hex sha256 of what matters of the Pod; the same before and after the API server has filled in defaults."""
    containers, rest = _containers(pod), _rest(pod)
    if _is_left_open(pod):
        rest["user"] = names.USER_OF_NAMESPACE
    return hashlib.sha256(canonical([containers, rest]).encode()).hexdigest()


def mutations(intended: Pod, created: Pod) -> list[str]:
    """What differs in the created Pod, in words; empty if nothing that matters.

    What matters: which containers there are, their image, command, resources, mounts and security context; the
    Pod's volumes, deadline, security context and namespaces.
    """
    found: list[str] = []
    wanted, present = _containers(intended), _containers(created)
    found += [f"container {name} was added" for name in sorted(present.keys() - wanted.keys())]
    found += [f"container {name} was removed" for name in sorted(wanted.keys() - present.keys())]
    for name in sorted(wanted.keys() & present.keys()):
        found += [
            f"{field} of container {name} was changed" for field in _differing(wanted[name], present[name])
        ]
    return [*found, *(f"{field} was changed" for field in _differing(_rest(intended), _rest(created)))]


def _differing(left: Mapping[str, object], right: Mapping[str, object]) -> list[str]:
    return [field for field in left if left[field] != right[field]]


def _containers(pod: Pod) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    open_fields = _IDS if _is_left_open(pod) else ()
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod["spec"].get(group) or []:
            found[str(container["name"])] = {
                "group": group,
                **{field: container.get(field) for field in _CONTAINER_FIELDS},
                "securityContext": _without(container.get("securityContext") or {}, open_fields),
                "resources": _amounts(container.get("resources") or {}),
                "secrets": sorted(
                    str(each["name"])
                    for each in container.get("env") or []
                    if "secretKeyRef" in (each.get("valueFrom") or {})
                ),
                "volumeMounts": [
                    [m.get("name"), m.get("mountPath"), m.get("subPath"), bool(m.get("readOnly"))]
                    for m in container.get("volumeMounts") or []
                ],
            }
    return found


def _is_left_open(pod: Pod) -> bool:
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    return annotations.get(names.ANNOTATION_USER) == names.USER_OF_NAMESPACE


def _without(fields: Mapping[str, Any], left_out: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in left_out}


def _rest(pod: Pod) -> dict[str, object]:
    spec = pod["spec"]
    security = spec.get("securityContext") or {}
    return {
        "activeDeadlineSeconds": spec.get("activeDeadlineSeconds"),
        "automountServiceAccountToken": spec.get("automountServiceAccountToken"),
        "securityContext": _without(security, (*_UNTOLD, *(_IDS if _is_left_open(pod) else ()))),
        "volumes": sorted(str(volume["name"]) for volume in spec.get("volumes") or []),
        **{field: bool(spec.get(field)) for field in _SWITCHES},
    }


def _amounts(resources: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    # The server writes quantities in its own way ("0.5" comes back as "500m").
    return {
        kind: {
            name: f"{quantity.parse(amount).normalize():f}"
            for name, amount in (resources.get(kind) or {}).items()
            if name not in _BOUNDS
        }
        for kind in ("requests", "limits")
    }
