"""Looks at the cluster. Nothing is judged here, and nothing is changed but by the probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from algorithm_operator.api.base import GROUP, VERSION
from algorithm_operator.cli.connection import Cluster, Object, UnreachableError
from algorithm_operator.cli.preflight import nodes
from algorithm_operator.cli.preflight.checks import Unseen
from algorithm_operator.cli.preflight.facts import (
    Facts,
    Installation,
    NamespaceFacts,
    Probed,
    images,
    installation,
    is_operator,
)
from algorithm_operator.cli.preflight.namespaces import JOBS_LABEL
from algorithm_operator.cli.preflight.probe import probe
from algorithm_operator.cli.preflight.probepods import LABELS, node_for
from algorithm_operator.cli.preflight.reader import Reader
from algorithm_operator.core import names, runtimes

OPERATOR_NAMESPACE = "algorithm-operator-system"
"""Where the documentation installs it; looked at where all namespaces may not be."""
MAX_KUBELETS, MAX_NAMESPACES = 50, 50
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
PROBE_LABELS = ",".join(f"{key}={value}" for key, value in LABELS.items())
_OURS = f"/apis/{GROUP}/{VERSION}"


def gather(
    cluster: Cluster,
    namespace: str | None,
    operator_namespace: str | None,
    say: Callable[[str], None],
    *,
    with_probe: bool,
) -> Facts:
    """The facts; of one namespace, or (None) of all that hold jobs.

    :raises CliError: the cluster cannot be reached, or does not know the kubeconfig's user.
    """
    reader = Reader(cluster)
    now, version = cluster.now(), reader.document("/version")
    deployments = _operators(reader, operator_namespace)
    found: Installation | Unseen | None = None
    if not isinstance(deployments, Unseen) and deployments:
        try:
            found = installation(deployments[0])
        except (ValueError, KeyError, TypeError) as error:
            found = Unseen(str(error))
    of = found if isinstance(found, Installation) else None
    all_nodes = reader.list("/api/v1/nodes")
    typed = [] if of is None or isinstance(all_nodes, Unseen) else nodes.gpu_nodes(all_nodes, of.pods)
    kubelets = _kubelets(reader, typed)
    own = "" if of is None else f"namespaces/{of.namespace}"
    nothing = Unseen("the operator was not found")
    return Facts(
        now=now,
        version=version,
        deployments=deployments,
        installation=found,
        lease=reader.get(f"/apis/coordination.k8s.io/v1/{own}/leases/{of.lease_name}") if of else nothing,
        canary_slices=reader.list(
            f"/apis/discovery.k8s.io/v1/{own}/endpointslices",
            labelSelector=f"kubernetes.io/service-name={of.pods.canary_service}",
        )
        if of
        else nothing,
        schemas=_schemas(reader),
        admission_policies=reader.list(f"{_ADMISSION}/validatingadmissionpolicies"),
        admission_bindings=reader.list(f"{_ADMISSION}/validatingadmissionpolicybindings"),
        nodes=all_nodes,
        kubelets=kubelets,
        toolkits=_toolkits(reader),
        storage_classes=reader.list("/apis/storage.k8s.io/v1/storageclasses"),
        namespaces=_namespaces(reader, namespace),
        # Looked for before the probe makes another.
        leftovers=reader.list("/api/v1/namespaces", labelSelector=PROBE_LABELS),
        probed=_probed(reader, of, typed, kubelets, say) if with_probe else None,
    )


def _operators(reader: Reader, namespace: str | None) -> list[Object] | Unseen:
    """Deployments that run the operator, in that namespace or (None) anywhere."""

    def within(name: str) -> list[Object] | Unseen:
        return reader.list(f"/apis/apps/v1/namespaces/{quote(name)}/deployments")

    if namespace is not None:
        found = within(namespace)
    else:
        found = reader.list("/apis/apps/v1/deployments")
        if isinstance(found, Unseen) and not isinstance(narrow := within(OPERATOR_NAMESPACE), Unseen):
            found = narrow
    if isinstance(found, Unseen):
        return found
    return sorted(
        (each for each in found if is_operator(each)),
        key=lambda each: (str(each["metadata"]["namespace"]), str(each["metadata"]["name"])),
    )


def _toolkits(reader: Reader) -> list[str] | Unseen:
    found = reader.list("/apis/apps/v1/daemonsets")
    if isinstance(found, Unseen):
        return found
    every = {image for each in found for image in images(each)}
    return sorted(image for image in every if runtimes.is_toolkit(image))


def _schemas(reader: Reader) -> dict[str, Object] | Unseen:
    """The schemas of our kinds; everybody who is logged in may read them."""
    found = reader.get(f"/openapi/v3/apis/{GROUP}/{VERSION}")
    if isinstance(found, Unseen):
        return found
    by_kind: dict[str, Object] = {}
    for schema in ((found or {}).get("components") or {}).get("schemas", {}).values():
        for kind in schema.get("x-kubernetes-group-version-kind") or []:
            by_kind.setdefault(str(kind.get("kind")), schema)
    return by_kind


def _kubelets(reader: Reader, typed: Sequence[nodes.Node]) -> dict[str, Object | Unseen]:
    """The configuration of each GPU node's kubelet, of the first fifty by name."""

    def ask(name: str) -> Object | Unseen:
        try:
            answer = reader.document(f"/api/v1/nodes/{quote(name)}/proxy/configz")
        except UnreachableError as error:  # a kubelet that hangs is its own trouble
            return Unseen(str(error))
        if isinstance(answer, Unseen):
            return answer
        config = answer.get("kubeletconfig")
        return (
            dict(config) if isinstance(config, dict) else Unseen("the kubelet's configz has no kubeletconfig")
        )

    asked = sorted(map(nodes.name_of, typed))[:MAX_KUBELETS]
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(asked, pool.map(ask, asked), strict=True))


def _probed(
    reader: Reader,
    found: Installation | None,
    typed: Sequence[nodes.Node],
    kubelets: dict[str, Object | Unseen],
    say: Callable[[str], None],
) -> Probed | Unseen:
    if found is None:
        return Unseen("the operator was not found")
    answered = [name for name, config in kubelets.items() if not isinstance(config, Unseen)]
    return probe(reader, found, node_for(typed, answered), say)


def _namespaces(reader: Reader, namespace: str | None) -> list[NamespaceFacts] | Unseen:
    """That one, or all that are prepared for jobs or used for them."""
    if namespace is not None:
        return [_namespace(reader, namespace)]
    labelled = reader.list("/api/v1/namespaces", labelSelector=JOBS_LABEL)
    inside = [
        reader.list(
            "/apis/networking.k8s.io/v1/networkpolicies",
            fieldSelector=f"metadata.name={names.DENY_ALL_POLICY}",
        ),
        *(reader.list(f"{_OURS}/{plural}") for plural in ("algorithms", "datastores")),
    ]
    seen = [each for each in inside if not isinstance(each, Unseen)]
    if not seen and isinstance(labelled, Unseen):
        return labelled
    found = {str(each["metadata"]["namespace"]) for each_list in seen for each in each_list}
    if not isinstance(labelled, Unseen):
        found |= {str(each["metadata"]["name"]) for each in labelled}
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda name: _namespace(reader, name), sorted(found)[:MAX_NAMESPACES]))


def _namespace(reader: Reader, name: str) -> NamespaceFacts:
    core, at = f"/api/v1/namespaces/{quote(name)}", f"namespaces/{quote(name)}"
    return NamespaceFacts(
        name=name,
        body=reader.get(core),
        policies=reader.list(f"/apis/networking.k8s.io/v1/{at}/networkpolicies"),
        stores=reader.list(f"{_OURS}/{at}/datastores"),
        claims=reader.list(f"{core}/persistentvolumeclaims"),
        quotas=reader.list(f"{core}/resourcequotas"),
        limit_ranges=reader.list(f"{core}/limitranges"),
    )
