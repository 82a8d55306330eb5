"""A cluster in memory, behind real HTTP: finalizers, deletion with grace, status by apply, admission, logs, a kubelet.

And an operator to live in it: the real Client, Store and reconcilers, with a clock that the test moves, and a store
that is fed as by watches. It can be killed at any of its writes.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from algorithm_operator.api.job import TERMINAL
from algorithm_operator.contract.plan import Target
from algorithm_operator.controller.canary import Canary
from algorithm_operator.controller.config import Settings, load
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.controller.metrics import Metrics
from algorithm_operator.controller.reconcile import reconcile
from algorithm_operator.controller.triggers import WATCHED, everything, keys_of
from algorithm_operator.core import names
from algorithm_operator.kube.client import Client, decode
from algorithm_operator.kube.clock import Clock
from algorithm_operator.kube.connection import Connection
from algorithm_operator.kube.resources import (
    NODES,
    PODS,
    PVCS,
    Resource,
)
from algorithm_operator.kube.store import Change, Store
from tests.unit.kube.fake_api import served, status

Body = dict[str, Any]
Admission = Callable[[Body], web.Response | None]
NAMESPACE = "imaging"
KINDS = (*WATCHED, PVCS)
ENVIRONMENT = {
    "AO_NAMESPACE": "ops",
    "AO_STEPS_IMAGE": "registry.example.org/steps@sha256:" + "c" * 64,
    "AO_GPU_TYPES": '{"T4": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "In", '
    '"values": ["t4"]}]}]}}',
    "AO_API_SERVER": "10.96.0.1:443",
}


class Time(Clock):
    """A clock that stands still until a test moves it."""

    def __init__(self, start: datetime) -> None:
        self.time = start

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def stamp(self, seconds: float = 0) -> str:
        return (self.time + timedelta(seconds=seconds)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Cluster:
    """`objects` by URL path, as on the API server. `admission` may refuse a Pod, or change its body."""

    clock: Time
    objects: dict[str, Body] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    created: list[Body] = field(default_factory=list)
    logs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    managed: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    log_fault: web.Response | None = None
    admission: Admission | None = None
    url: str = ""
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    # --- for tests

    def put(self, resource: Resource, body: Body, namespace: str | None = NAMESPACE) -> Body:
        """Write an object as a user or a controller would; a changed spec is a new generation."""
        name = body["metadata"]["name"]
        path = resource.path(namespace, name)
        known = self.objects.get(path)
        body = copy.deepcopy(body)
        meta = body["metadata"]
        body |= {"apiVersion": resource.api_version, "kind": resource.kind}
        if namespace is not None:
            meta["namespace"] = namespace
        old: Body = known["metadata"] if known else {}
        meta["uid"] = old.get("uid") or meta.get("uid") or f"uid-{next(self.numbers)}"
        meta.setdefault("creationTimestamp", old.get("creationTimestamp") or self.clock.stamp())
        changed = known is not None and known.get("spec") != body.get("spec")
        meta["generation"] = old.get("generation", 0) + 1 if changed or known is None else old["generation"]
        return self._store(path, body)

    def get(self, resource: Resource, name: str, namespace: str | None = NAMESPACE) -> Body | None:
        return self.objects.get(resource.path(namespace, name))

    def remove(self, resource: Resource, name: str) -> None:
        """What `kubectl delete` does; Pods of a deleted owner go, as the garbage collector has it."""
        self._remove(resource.path(NAMESPACE, name), grace=None)

    def collect_garbage(self) -> None:
        uids = {body["metadata"]["uid"] for body in self.objects.values()}
        for path, body in list(self.objects.items()):
            owners = body["metadata"].get("ownerReferences") or []
            if owners and all(owner["uid"] not in uids for owner in owners):
                self._remove(path, grace=None)

    def pods(self, role: str | None = None) -> list[Body]:
        prefix = PODS.path(NAMESPACE) + "/"
        found = [body for path, body in self.objects.items() if path.startswith(prefix)]
        return [p for p in found if role in (None, (p["metadata"].get("labels") or {}).get(names.LABEL_ROLE))]

    def writes(self) -> list[tuple[str, str]]:
        return [request for request in self.requests if request[0] != "GET"]

    def update(self, resource: Resource, name: str, change: Callable[[Body], object]) -> None:
        """Change an object in place, such as the kubelet does with a Pod's status; ignored if it is gone."""
        path = resource.path(NAMESPACE, name)
        if path in self.objects:
            body = copy.deepcopy(self.objects[path])
            change(body)
            self._store(path, body)

    def kubelet_is_done(self, name: str) -> None:
        """The kubelet confirms that no container of a deleted Pod runs."""
        path = PODS.path(NAMESPACE, name)
        body = self.objects[path]
        assert body["metadata"].get("deletionTimestamp")
        self.update(PODS, name, lambda pod: pod["metadata"].update(deletionGracePeriodSeconds=0))
        self._gone_if_free(path)

    # --- the server

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.requests.append((request.method, request.path))
        body: Any = decode(raw) if raw else None
        match request.method:
            case "GET":
                return self._get(request)
            case "POST":
                return self._create(request, body)
            case "PATCH":
                return self._patch(request, body)
        return self._delete(request, body)

    def _get(self, request: web.Request) -> web.Response:
        path = request.path
        if path.endswith("/log"):
            if self.log_fault is not None:
                return status(self.log_fault.status, "InternalError", "the node does not answer")
            pod = path.removesuffix("/log")
            found = self.logs.get((pod.rpartition("/")[2], request.query["container"]))
            if pod not in self.objects or found is None:
                return status(404, "NotFound", "no log")
            return web.Response(body=found)
        if path in self.objects:
            return _json(self.objects[path])
        if path not in {kind.path(NAMESPACE) for kind in KINDS} | {NODES.path()}:
            return status(404, "NotFound", f"{path} not found")
        items = [body for other, body in self.objects.items() if other.startswith(path + "/")]
        return _json({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})

    def _create(self, request: web.Request, body: Body) -> web.Response:
        path = f"{request.path}/{body['metadata']['name']}"
        if path in self.objects:
            return status(409, "AlreadyExists", f"{path} already exists")
        if self.admission is not None and (refused := self.admission(body)) is not None:
            return refused
        meta = body["metadata"]
        meta |= {"uid": f"uid-{next(self.numbers)}", "creationTimestamp": self.clock.stamp()}
        if body["kind"] == "Pod":
            body["status"] = {"phase": "Pending"}
        self.created.append(body)
        return _json(self._store(path, body), 201)

    def _patch(self, request: web.Request, patch: Any) -> web.Response:
        path = request.path.removesuffix("/status")
        known = self.objects.get(path)
        if known is None:
            if "apply-patch" in request.content_type and path == request.path:
                return self._apply_anew(path, patch)
            return status(404, "NotFound", f"{path} not found")
        if isinstance(patch, list):
            return self._json_patch(path, known, patch)
        if patch.get("metadata", {}).get("uid") not in (None, known["metadata"]["uid"]):
            causes = [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]
            return status(422, "Invalid", "metadata.uid: field is immutable", causes=causes)
        if request.path.endswith("/status"):
            before, after = known.get("status") or {}, patch["status"]
            if before.get("state") in TERMINAL and before["state"] != after.get("state"):
                return status(422, "Invalid", "the job has ended: its state and reason do not change")
            if len(after.get("message") or "") > 1024:
                return status(422, "Invalid", "status.message: Too long: may not be more than 1024 bytes")
            fresh = {
                **known,
                "status": self._applied(path, request.query.get("fieldManager", ""), before, after),
            }
        else:
            fresh = {**known, "spec": {**known.get("spec", {}), **patch.get("spec", {})}}
        return _json(known if fresh == known else self._store(path, fresh))

    def _applied(self, path: str, manager: str, before: Body, after: Body) -> Body:
        """A status as server-side apply leaves it: what other managers have written stays."""
        others = {
            field
            for (where, who), fields in self.managed.items()
            if where == path and who != manager
            for field in fields
        }
        self.managed[path, manager] = set(after)
        return {**{field: value for field, value in before.items() if field in others}, **after}

    def _apply_anew(self, path: str, body: Body) -> web.Response:
        if self.admission is not None and (refused := self.admission(body)) is not None:
            return refused
        body["metadata"] |= {
            "namespace": path.split("/namespaces/")[1].split("/")[0],
            "uid": f"uid-{next(self.numbers)}",
            "creationTimestamp": self.clock.stamp(),
        }
        return _json(self._store(path, body), 201)

    def _json_patch(self, path: str, known: Body, patch: list[Body]) -> web.Response:
        fresh = copy.deepcopy(known)
        for step in patch:
            *parents, last = step["path"].strip("/").split("/")
            target: Any = fresh
            for part in parents:
                target = target.get(part, []) if isinstance(target, dict) else target[int(part)]
            key: Any = int(last) if isinstance(target, list) else last
            present = target[key] if isinstance(target, dict) or key < len(target) else None
            if step["op"] == "test" and present != step["value"]:
                return status(
                    422, "Invalid", "the server rejected our request due to an error in our request"
                )
            if step["op"] == "remove":
                del target[key]
        answer = self._store(path, fresh)
        self._gone_if_free(path)
        return _json(answer)

    def _delete(self, request: web.Request, options: Body) -> web.Response:
        known = self.objects.get(request.path)
        if known is None:
            return status(404, "NotFound", f"{request.path} not found")
        if (options.get("preconditions") or {}).get("uid") not in (None, known["metadata"]["uid"]):
            return status(409, "Conflict", "the UID in the precondition does not match")
        self._remove(request.path, options.get("gracePeriodSeconds"))
        return _json(known)

    def _remove(self, path: str, grace: int | None) -> None:
        body = copy.deepcopy(self.objects[path])
        spec, meta = body.get("spec") or {}, body["metadata"]
        if body["kind"] == "Pod":
            if grace is None:
                grace = spec.get("terminationGracePeriodSeconds", 30)
            if not spec.get("nodeName") or (body.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                grace = 0
        else:
            grace = 0
        meta["deletionTimestamp"] = min(
            self.clock.stamp(grace), meta.get("deletionTimestamp") or self.clock.stamp(grace)
        )
        meta["deletionGracePeriodSeconds"] = grace
        self._store(path, body)
        self._gone_if_free(path)

    def _gone_if_free(self, path: str) -> None:
        meta = self.objects[path]["metadata"]
        over = meta.get("deletionTimestamp") and meta.get("deletionGracePeriodSeconds") == 0
        if over and not meta.get("finalizers"):
            del self.objects[path]

    def _store(self, path: str, body: Body) -> Body:
        body["metadata"]["resourceVersion"] = str(next(self.numbers))
        self.objects[path] = body
        return body


def _json(body: Body, code: int = 200) -> web.Response:
    # Not orjson: it takes no more than 254 levels.
    return web.Response(text=json.dumps(body), status=code, content_type="application/json")


class Killed(BaseException):
    """The process ends here, whatever it was about to do."""


class MortalClient(Client):
    """A client whose process is killed at its `at`-th write: before it is sent, or after it was answered."""

    def __init__(self, connection: Connection, at: int | None = None, *, after: bool = False) -> None:
        super().__init__(connection)
        self._left = at
        self._after = after

    async def _request(self, verb: str, method: str, path: str, **options: Any) -> bytes:
        if method == "GET" or self._left is None:
            return await super()._request(verb, method, path, **options)
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        answer = await super()._request(verb, method, path, **options)
        if self._left == 0:
            raise Killed
        return answer


class Bird(Canary):
    """A canary that lives or does not, as the test says."""

    lives = True

    @property
    def alive(self) -> bool:
        return self.lives

    def targets(self) -> list[Target]:
        return [Target(name="canary", host="10.96.0.20", port=8081)]


class Operator:
    """One process: reconciles what its store says is due, until nothing is."""

    def __init__(self, cluster: Cluster, client: Client, settings: Settings | None = None) -> None:
        self.cluster = cluster
        self.store = Store(indexed=[names.LABEL_JOB, names.LABEL_STORE])
        settings = settings or load(ENVIRONMENT)
        self.canary = Bird(client, "ops", "canary", 0)
        self.context = Context(
            client=client,
            store=self.store,
            settings=settings,
            canary=self.canary,
            metrics=Metrics(),
            clock=cluster.clock,
        )
        self.due: dict[Key, datetime] = {}
        self.errors: list[Exception] = []
        self.steps = 0
        self.store.subscribe(self._changed)
        self.watch()
        for key in everything(self.store):
            self.due[key] = cluster.clock.now()

    def _changed(self, change: Change) -> None:
        for key in keys_of(change, self.store):
            self.due[key] = self.cluster.clock.now()

    def watch(self) -> None:
        """All events so far arrive."""
        for resource, selector in WATCHED.items():
            prefix = resource.path(NAMESPACE) + "/"
            ours = selector.split("=")
            seen = set()
            for path, body in list(self.cluster.objects.items()):
                labels = body["metadata"].get("labels") or {}
                if path.startswith(prefix) and (not selector or labels.get(ours[0]) == ours[1]):
                    seen.add((NAMESPACE, body["metadata"]["name"]))
                    self.store.put(resource, body)
            for body in list(self.store.all(resource)):
                if (NAMESPACE, body["metadata"]["name"]) not in seen:
                    self.store.delete(resource, body)

    async def run(self, *, lag: bool = False) -> None:
        """Work until nothing is due. With `lag` the watches say nothing before the end."""
        if not lag:
            self.watch()
        for _ in range(60):
            now = self.cluster.clock.now()
            key = min((k for k, when in self.due.items() if when <= now), default=None)
            if key is None:
                if lag:
                    self.watch()
                    lag = False
                    continue
                return
            del self.due[key]
            self.steps += 1
            try:
                seconds = await reconcile(key, self.context)
            except Exception as error:
                self.errors.append(error)
                seconds = 1.0
            if seconds is not None:
                when = now + timedelta(seconds=seconds)
                self.due[key] = min(when, self.due.get(key, when))
            if not lag:
                self.watch()
        raise AssertionError(f"a hot loop: {self.cluster.requests[-20:]}")

    async def after(self, seconds: float) -> None:
        """Let time pass, a second at a time, and do what becomes due."""
        end = self.cluster.clock.time + timedelta(seconds=seconds)
        while self.cluster.clock.time < end:
            upcoming = min(self.due.values(), default=end)
            self.cluster.clock.time = max(
                min(upcoming, end), min(end, self.cluster.clock.time + timedelta(seconds=1))
            )
            await self.run()


@asynccontextmanager
async def cluster_at(start: datetime) -> AsyncIterator[Cluster]:
    """A cluster with a sealed namespace, a ready Algorithm and two DataStores."""
    cluster = Cluster(Time(start))
    async with served(cluster.handle) as url:
        cluster.url = url
        yield cluster
