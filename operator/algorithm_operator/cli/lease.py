"""The store Pod of a DataStore, for as long as it is needed: a Lease asks the operator for it, and is kept fresh.

The Lease is left to expire rather than deleted: somebody else may hold it too, and the next command finds the Pod
still there.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from algorithm_operator.api.conditions import ConditionType, find
from algorithm_operator.api.datastore import DataStoreStatus
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.connection import AlreadyExistsError, Cluster, Kind, Object
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.portforward import PodConnection, pod_socket
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.core import names

LEASE_SECONDS = 60
RENEW_SECONDS = 20
READY_SECONDS, ANSWER_SECONDS = 60, 20
"""How long the store Pod may take to come, and its server to answer then."""


@contextmanager
def open_store(cluster: Cluster, store: str, say: Callable[[str], None]) -> Iterator[StoreClient]:
    """A client of the store Pod of a DataStore; `say` is told once if it takes a moment.

    :raises CliError: there is no such DataStore, or its Pod does not come; the message says what keeps it.
    """
    if cluster.get(Kind.STORES, store) is None:
        known = ", ".join(str(each["metadata"]["name"]) for each in cluster.list(Kind.STORES)) or "none"
        raise CliError(
            f"There is no DataStore {quoted(store)} in namespace {shown(cluster.namespace)} (there are: {known})."
        )
    renew(cluster, store)
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(cluster, store, over), daemon=True, name="store lease")
    keeper.start()
    try:
        pod = _ready_pod(cluster, store, say)
        client = StoreClient(
            store,
            lambda: PodConnection(lambda: pod_socket(cluster.api, cluster.namespace, pod, names.STORE_PORT)),
        )
        try:
            _answering(client)
            yield client
        except ConnectionError as error:
            raise CliError(
                f"The connection to the store Pod of DataStore {quoted(store)} was lost: {shown(str(error), 500)}"
            ) from None
        finally:
            client.close()
    finally:
        over.set()


def renew(cluster: Cluster, store: str) -> None:
    """Make the Lease, or say that it is still needed."""
    name, now = names.store_lease(store), cluster.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": _holder(), "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
    if cluster.patch(Kind.LEASES, name, {"spec": spec}) is not None:
        return
    labels = {names.MANAGED_BY: names.OPERATOR, names.LABEL_STORE: store}
    body = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": labels},
        "spec": {**spec, "acquireTime": now},
    }
    try:
        cluster.create(Kind.LEASES, body)
    except AlreadyExistsError:  # somebody else was quicker
        cluster.patch(Kind.LEASES, name, {"spec": spec})


def _keep(cluster: Cluster, store: str, over: threading.Event) -> None:
    while not over.wait(RENEW_SECONDS):
        try:
            renew(cluster, store)
        except CliError:
            continue  # one of three chances is lost; a transfer that breaks says so itself


def _ready_pod(cluster: Cluster, store: str, say: Callable[[str], None]) -> str:
    name, told = names.store_pod(store), False
    deadline = time.monotonic() + READY_SECONDS
    while True:
        pod = cluster.pod(name)
        if pod is not None and is_ready(pod):
            return name
        if time.monotonic() > deadline:
            why = why_not_ready(cluster.get(Kind.STORES, store), pod)
            raise CliError(
                f"The store Pod of DataStore {quoted(store)} is not ready after {READY_SECONDS} s: {why}"
            )
        if not told:
            say(f"waiting for the store Pod of {shown(store)}")
            told = True
        time.sleep(0.5)


def _answering(client: StoreClient) -> None:
    """Wait for the server in a Pod that has just become ready: the kubelet calls it so when its process is there."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            client.stat("is-anybody-there")
            return
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            client.close()
            time.sleep(0.2)


def is_ready(pod: Object) -> bool:
    """Whether the Pod takes connections and is not leaving."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def why_not_ready(store: Object | None, pod: Object | None) -> str:
    """What keeps a store Pod from serving, from the DataStore's condition and the Pod's status."""
    status = DataStoreStatus.model_validate((store or {}).get("status") or {})
    ready = find(status.conditions, ConditionType.READY)
    if ready is not None and ready.status != "True" and ready.message:
        return shown(ready.message, 1000)
    if pod is None:
        if ready is None:
            return "nobody has looked at the DataStore. Is the operator running, and does it watch this namespace?"
        return "the operator has not made it. Is the operator running?"
    if pod["metadata"].get("deletionTimestamp"):
        return "the one before is still leaving; try again in a minute."
    return _why_pod_waits(pod.get("status") or {})


def _why_pod_waits(status: dict[str, Any]) -> str:
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return shown(f"{waiting['reason']}: {waiting.get('message') or 'no details'}", 1000)
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return "no node for it: " + shown(condition.get("message") or condition.get("reason") or "", 1000)
    return f"it is {shown(status.get('phase') or 'Pending')}; kubectl describe pod tells more."


def _holder() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}/{os.getpid()}"[:200]
