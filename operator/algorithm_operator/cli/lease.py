"""The store Pod of a DataStore, for as long as it is needed: its Lease (`core/storelease.py`) is kept fresh."""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli.connection import AlreadyExistsError, Cluster, Kind
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.portforward import PodConnection, pod_socket
from algorithm_operator.cli.store import StoreClient
from algorithm_operator.core import names
from algorithm_operator.core.storelease import (
    ANSWER_SECONDS,
    READY_SECONDS,
    RENEW_SECONDS,
    is_ready,
    lease,
    renewal,
    why_not_ready,
)


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
    name, holder, now = names.store_lease(store), _holder(), cluster.now()
    if cluster.patch(Kind.LEASES, name, renewal(holder, now)) is not None:
        return
    try:
        cluster.create(Kind.LEASES, lease(store, holder, now))
    except AlreadyExistsError:  # somebody else was quicker
        cluster.patch(Kind.LEASES, name, renewal(holder, now))


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
    """Wait for the server in a Pod that has just become ready."""
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


def _holder() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}/{os.getpid()}"[:200]
