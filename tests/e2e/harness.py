"""What tests of whole jobs are written with: namespaces, stores, algorithms and jobs as small handles.

    def test_something(namespace: Namespace, store: Store) -> None:
        namespace.algorithm()                                # the probe image: input `script`, output `results`
        job = namespace.job("case", do=[["write_json", "results.json", {"a": 1}]])
        status = job.wait("Succeeded")
        assert store.files(job)["results.json"] == b'{"a": 1}'

`do` is the script of the probe image (images/probe/probe.py lists the steps). Handles fetch anew at every access.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster.settings import DATA, NODE_NAME, PROJECT
from tests.e2e.diagnosis import diagnosis
from tests.e2e.kube import ApiError, Kube, Object, eventually

TERMINAL: Final = ("Succeeded", "Failed", "Cancelled")
SMALL: Final[Object] = {"cpu": "100m", "memory": "128Mi"}
SCRATCH: Final[Object] = {"size": "128Mi"}
"""What a probe may write, unless its Algorithm says otherwise: the default of 30G fits few small machines."""
SCRIPT: Final[Object] = {"slug": "script", "kind": "Anything"}
RESULTS: Final[Object] = {"slug": "results", "kind": "Anything"}
OPERATOR_NAMESPACE: Final = "algorithm-operator-system"
OPERATOR_LABELS: Final = "app.kubernetes.io/name=algorithm-operator"


@dataclass(frozen=True, slots=True)
class Job:
    """One AlgorithmJob."""

    kube: Kube
    namespace: str
    name: str
    uid: str

    @property
    def body(self) -> Object:
        """The object; AssertionError when it is gone."""
        found = self.kube.get("algorithmjobs", self.name, self.namespace)
        assert found is not None, f"job {self.namespace}/{self.name} is gone"
        return found

    @property
    def status(self) -> Object:
        """Its status, {} before the operator wrote one."""
        status: Object = self.body.get("status") or {}
        return status

    @property
    def state(self) -> str:
        """Its state, "" before the operator wrote one."""
        return str(self.status.get("state") or "")

    def wait(self, state: str, timeout: float = 90) -> Object:
        """The status once the job is in `state`; AssertionError with all that is known when it ends otherwise,
        or does not get there in `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.status
            now = status.get("state")
            if now == state:
                return status
            if now in TERMINAL or time.monotonic() > deadline:
                why = f"is {now!r}" if now in TERMINAL else f"is still {now!r} after {timeout:.0f} s"
                raise AssertionError(
                    f"job {self.name} {why}, not {state!r}\n{diagnosis(self.kube, self.namespace, self.name)}"
                )
            time.sleep(0.3)

    def condition(self, type_: str) -> Object | None:
        """The condition of that type, if it is there."""
        return next((c for c in self.status.get("conditions") or [] if c["type"] == type_), None)

    def wait_condition(self, type_: str, status: str, reason: str, timeout: float = 10) -> Object:
        """The condition once it has that status and reason; AssertionError with all that is known otherwise."""

        def look() -> Object | None:
            found = self.condition(type_)
            return found if found and (found["status"], found["reason"]) == (status, reason) else None

        try:
            return eventually(look, timeout, f"job {self.name}: {type_}={status} {reason}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{diagnosis(self.kube, self.namespace, self.name)}") from None

    def pods(self, role: str = "run") -> list[Object]:
        """Its Pods of that role, in the order of their attempts."""
        labels = f"algorithm-operator.dev/job={self.name},algorithm-operator.dev/role={role}"
        found = self.kube.list("pods", self.namespace, labels)
        return sorted(found, key=lambda pod: int(pod["metadata"]["labels"]["algorithm-operator.dev/attempt"]))

    def pod(self, attempt: int = 1) -> Object | None:
        """The run Pod of an attempt."""
        return self.kube.get("pods", f"{self.name}-{attempt}-run", self.namespace)

    def running(self, timeout: float = 60) -> Object:
        """The run Pod once the algorithm's container runs (state Running)."""
        self.wait("Running", timeout)
        pod = self.pod(len(self.status["attempts"]))
        assert pod is not None
        return pod

    def folder(self, attempt: int = 1) -> str:
        """Where the attempt's files are, below the root of its output store."""
        return f"{self.name}/{self.uid}/{attempt}"

    def patch(self, spec: Object) -> Object:
        """Merge into spec; ApiError when the server refuses."""
        return self.kube.patch("algorithmjobs", self.name, {"spec": spec}, self.namespace)

    def delete(self) -> None:
        """Ask for its deletion."""
        self.kube.delete("algorithmjobs", self.name, self.namespace)


@dataclass(frozen=True, slots=True)
class Store:
    """A DataStore on a claim whose volume is a folder of this machine."""

    namespace: str
    name: str
    root: Path

    def put(self, path: str, data: bytes) -> None:
        """Write a file, past every Pod."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def files(self, job: Job, attempt: int = 1) -> dict[str, bytes]:
        """What is kept of an attempt: content by path below its folder; nothing but regular files is allowed."""
        folder = self.root / job.folder(attempt)
        kept = {}
        for path in sorted(folder.rglob("*")) if folder.exists() else []:
            assert not path.is_symlink(), path
            assert path.is_file() or path.is_dir(), path
            if path.is_file():
                kept[str(path.relative_to(folder))] = path.read_bytes()
        return kept


class Namespace:
    """A namespace as the chart makes it for jobs: restricted, and closed for every Pod of a job."""

    def __init__(self, kube: Kube, name: str, image: str) -> None:
        self.kube = kube
        self.name = name
        self.image = image
        """The probe image, by digest."""

    @classmethod
    def create(
        cls,
        kube: Kube,
        name: str,
        image: str,
        *,
        restricted: bool = True,
        closed: bool = True,
        guarded: bool = True,
    ) -> Namespace:
        """Make it from deploy/namespace.yaml (rendered from the chart), or with a part of that missing.

        `guarded`: its label puts the admission policies in force that hold in namespaces of jobs.
        """
        for body in yaml.safe_load_all((PROJECT / "deploy/namespace.yaml").read_text()):
            if body["kind"] == "Namespace":
                labels = body["metadata"]["labels"] if restricted else {}
                if not guarded:
                    labels.pop("algorithm-operator.dev/jobs", None)
                kube.create("namespaces", {"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
            elif closed:
                body["metadata"]["namespace"] = name
                kube.create("networkpolicies", body, name)
        return cls(kube, name, image)

    def delete(self) -> None:
        """Ask for its deletion, and of the volumes that were made for it."""
        self.kube.delete("namespaces", self.name)
        for volume in self.kube.list("persistentvolumes", labels=f"e2e={self.name}"):
            self.kube.delete("persistentvolumes", volume["metadata"]["name"])

    def store(
        self, name: str = "results", *, default: bool = True, dynamic: bool = False, gid: int | None = None
    ) -> Store:
        """A DataStore. Its volume is a folder that we make (at once), or one of the default StorageClass."""
        claim: Object = {
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "annotations": {}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        volume = f"{self.name}-{name}"
        root = DATA / "volumes" / volume
        if dynamic:
            # Says "a Pod on that node waits for it", so that the test can write before the first Pod is there.
            claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = NODE_NAME
        else:
            root.mkdir(parents=True)
            root.chmod(0o777)
            claim["spec"] |= {"storageClassName": "", "volumeName": volume}
            spec = {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": {"path": str(root), "type": "Directory"},
                "claimRef": {"namespace": self.name, "name": name},
            }
            meta = {"name": volume, "labels": {"e2e": self.name}}
            self.kube.create(
                "persistentvolumes", {"kind": "PersistentVolume", "metadata": meta, "spec": spec}
            )
        self.kube.create("persistentvolumeclaims", claim, self.name)
        if dynamic:
            root = Path(eventually(lambda: self.volume_folder(name), 60, f"claim {name} is bound"))
        self.datastore(name, claim=name, default=default, gid=gid)
        return Store(self.name, name, root)

    def volume_folder(self, claim: str) -> str | None:
        """Where on this machine a claim's volume is, once it is bound."""
        found = self.kube.get("persistentvolumeclaims", claim, self.name) or {}
        if found.get("status", {}).get("phase") != "Bound":
            return None
        volume = self.kube.get("persistentvolumes", found["spec"]["volumeName"])
        assert volume is not None
        spec = volume["spec"]
        return str((spec.get("hostPath") or spec["local"])["path"])

    def datastore(self, name: str, *, claim: str, default: bool = False, gid: int | None = None) -> None:
        """A DataStore on a claim that may or may not be there."""
        spec: Object = {"persistentVolumeClaim": {"claimName": claim}, "default": default}
        spec |= {} if gid is None else {"gid": gid}
        self.kube.create(
            "datastores", {"kind": "DataStore", "metadata": {"name": name}, "spec": spec}, self.name
        )

    def algorithm(
        self,
        name: str = "probe",
        *,
        image: str | None = None,
        pull_secrets: Sequence[str] = (),
        inputs: Sequence[Object] = (SCRIPT,),
        outputs: Sequence[Object] = (RESULTS,),
        ready: bool = True,
        **spec: Any,
    ) -> Object:
        """An Algorithm, by default small and of the probe image; further fields of spec by their names in the API
        (`resources=None` leaves the field out; what they leave out of scratch is small). Waits until it is Ready unless
        told not to."""
        if spec.get("resources", SMALL) is not None:
            spec["resources"] = {"scratch": SCRATCH, **spec.get("resources", SMALL)}
        body: Object = {
            "image": {
                "reference": image or self.image,
                "pullSecrets": [{"name": name} for name in pull_secrets],
            },
            "interfaces": [{"inputs": list(inputs), "outputs": list(outputs)}],
            "timeLimitSeconds": 120,
            "collectSeconds": 60,
            **spec,
        }
        body = {key: value for key, value in body.items() if value is not None}
        created = self.kube.create(
            "algorithms",
            {"kind": "Algorithm", "metadata": {"name": name}, "spec": copy.deepcopy(body)},
            self.name,
        )
        return self.algorithm_ready(name) if ready else created

    def algorithm_ready(self, name: str = "probe", timeout: float = 30) -> Object:
        """The Algorithm once it is Ready for its present generation."""

        def look() -> Object | None:
            body = self.kube.get("algorithms", name, self.name) or {}
            status = body.get("status") or {}
            ready = any(
                c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or []
            )
            return (
                body if ready and status.get("observedGeneration") == body["metadata"]["generation"] else None
            )

        try:
            return eventually(look, timeout, f"Algorithm {name} is Ready")
        except AssertionError as error:
            body = self.kube.get("algorithms", name, self.name) or {}
            raise AssertionError(
                f"{error}\n{yaml.safe_dump(body.get('status'))}\n{diagnosis(self.kube, self.name)}"
            ) from None

    def job(
        self,
        name: str,
        *,
        do: Sequence[Sequence[Any]] | None = None,
        algorithm: str = "probe",
        inputs: Sequence[Object] | None = None,
        **spec: Any,
    ) -> Job:
        """A job; `do` becomes the value of input `script`, beside `inputs`. ApiError when the server refuses."""
        given = list(inputs or [])
        if do is not None:
            given.append({"slug": "script", "value": {"do": [list(step) for step in do]}})
        body = {"algorithmRef": {"name": algorithm}, "inputs": given, **spec}
        created = self.kube.create(
            "algorithmjobs", {"kind": "AlgorithmJob", "metadata": {"name": name}, "spec": body}, self.name
        )
        return Job(self.kube, self.name, name, created["metadata"]["uid"])

    def pod(self, name: str, body: Object) -> Object:
        """A bare Pod of the test's own; a spec, or a body with metadata and spec."""
        whole = body if "spec" in body else {"spec": body}
        meta = {**whole.get("metadata", {}), "name": name}
        return self.kube.create("pods", {"kind": "Pod", "metadata": meta, "spec": whole["spec"]}, self.name)

    def marked_pod(self, name: str, body: Object) -> Object:
        """A bare Pod with labels of ours, as the operator's ServiceAccount: admission lets nobody else make one."""
        operator = self.kube.as_account(OPERATOR_NAMESPACE, "algorithm-operator")
        return Namespace(operator, self.name, self.image).pod(name, body)

    def pod_ended(self, name: str, timeout: float = 60) -> Object:
        """The Pod once it has Succeeded or Failed."""

        def look() -> Object | None:
            found = self.kube.get("pods", name, self.name)
            return found if found and found["status"].get("phase") in ("Succeeded", "Failed") else None

        return eventually(look, timeout, f"Pod {name} ended")


def bare_pod(image: str, command: Sequence[str], **container: Any) -> Object:
    """The spec of a Pod with one container that the restricted standard and the test node accept."""
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "main",
                "image": image,
                "command": list(command),
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                **container,
            }
        ],
    }


def operator_pod(kube: Kube) -> Object:
    """The operator's running Pod."""

    def look() -> Object | None:
        pods = kube.list("pods", OPERATOR_NAMESPACE, OPERATOR_LABELS)
        live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        return next((pod for pod in live if pod["status"].get("phase") == "Running"), None)

    return eventually(look, 60, "an operator Pod runs")


def remove_volumes(namespaces: Sequence[str]) -> None:
    """Remove the folders of volumes that `Namespace.store` made."""
    for name in namespaces:
        for folder in (DATA / "volumes").glob(f"{name}-*"):
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)


__all__ = [
    "ApiError",
    "Job",
    "Kube",
    "Namespace",
    "Object",
    "Store",
    "bare_pod",
    "eventually",
    "operator_pod",
]
