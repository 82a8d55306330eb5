"""Names of children, labels, annotations, mounts and paths: the words that the parts share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algorithm_operator.api.base import GROUP

MANAGED_BY = "app.kubernetes.io/managed-by"
OPERATOR = "algorithm-operator"
LABEL_ROLE = f"{GROUP}/role"
LABEL_JOB = f"{GROUP}/job"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_STORE = f"{GROUP}/store"
LABEL_PK = f"{GROUP}/pk"
"""Of a job that the gateway made: its UUID there. The chart's admission policies let nobody else write it."""
LABEL_IMPORT = f"{GROUP}/import"
ROLE_RUN = "run"
ROLE_SALVAGE = "salvage"
ROLE_STORE = "store"
ROLE_IMPORT = "import"
ROLE_USER = "user"
"""Looks the image's USER up in its /etc/passwd."""
LABEL_TASK = f"{GROUP}/task"
TASK_INSPECT = "inspect"
"""Asks a registry with pull secrets: the one Pod of ours that needs the network, and so has no role label."""
ANNOTATION_PLAN = f"{GROUP}/plan"
ANNOTATION_SPEC_HASH = f"{GROUP}/spec-hash"
ANNOTATION_USER = f"{GROUP}/user"
USER_OF_NAMESPACE = "namespace"
"""On Pods whose ids are left to the cluster's admission."""
POD_FINALIZER = f"{GROUP}/accounting"
FIELD_MANAGER = OPERATOR
STARTS_MANAGER = f"{OPERATOR}-starts"
"""Of what an Algorithm's status remembers of its jobs: nobody who writes the rest of that status touches it."""
DENY_ALL_POLICY = "algorithm-operator-deny-all"
"""The one static policy of a job namespace: it selects every Pod that has LABEL_ROLE."""
AUDIENCE = OPERATOR
"""Of the tokens that the gateway takes: the API server itself does not."""
STORE_LEASE_PREFIX = "algorithm-operator-store-"
"""A Lease of that name asks the operator for the store Pod of a DataStore, for as long as it is renewed."""

STAGE, COLLECT, ALGORITHM, SALVAGE = "stage", "collect", "algorithm", "salvage"
INSPECT, INSTALL, USER, IMPORT = "inspect", "install", "user", "import"

PLAN_MOUNT = "/plan"
PLAN_FILE = "/plan/plan.json"
RUNNER_MOUNT = "/.algorithm-operator/bin"
LOGS_MOUNT = "/.algorithm-operator/logs"
HOSTNAME = "algorithm"
"""Of every run Pod: nothing in the container names the job."""
MODEL_MOUNT = "/opt/ml/model"
MODEL_SOURCE_MOUNT = "/model"
"""stage: the file or folder of a store, or the image volume, that the model is unpacked from."""
SHM_MOUNT = "/dev/shm"
LOG_STORE_MOUNT = "/log-store"
INPUT_MOUNT, OUTPUT_MOUNT, TMP_MOUNT = "/input", "/output", "/tmp"
STORES_MOUNT = "/stores"
"""Inputs of stage: /stores/<input index>/<file index> is a subPath mount of exactly that file or folder."""
CONFIG_MAPS_MOUNT, IMAGES_MOUNT = "/config-map", "/image"
"""Inputs of stage: /config-map/<index> and /image/<index> is each ConfigMap and image that inputs name, once."""
STORE_MOUNT = "/store"
"""collect and salvage: the attempt's own folder; import: the import's own. The store Pod: the whole volume."""
SECRETS_MOUNT = "/secrets"
"""inspect: /secrets/<index> is the pull secret of that index."""
SCRATCH_MOUNT = "/scratch"
"""A small emptyDir for our own containers, whose root filesystem is read-only."""
STAGE_RECORD = "stage.json"
"""On the runner volume: /.algorithm-operator/bin/stage.json, written by stage and read by collect."""
RUN_CONFIG = "run.json"
RUNNER_BINARY = "runner"
COLLECT_SOCKET = "@algorithm-operator/collect"
STORE_PORT = 8080
IMPORTS_FOLDER = "imports"
GATEWAY_FOLDER = "gateway"
"""Of the gateway's DataStore: uploads and images that came by the REST API, all of them below it."""
MAX_JOB_NAME = 50


def labels(role: str, job: str, attempt: int) -> dict[str, str]:
    """The labels of a Pod of a job."""
    return {MANAGED_BY: OPERATOR, LABEL_ROLE: role, LABEL_JOB: job, LABEL_ATTEMPT: str(attempt)}


def controller(child: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ownerReference of the object's controller; empty without one."""
    owners = child["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), {})


def is_of_a_job(pod: Mapping[str, Any]) -> bool:
    """Whether the operator made the Pod for some job, be that gone or here."""
    return controller(pod).get("kind") == "AlgorithmJob" or POD_FINALIZER in (
        pod["metadata"].get("finalizers") or []
    )


def run_pod(job: str, attempt: int) -> str:
    """The run Pod of an attempt; the name is the lock against a second one."""
    return f"{job}-{attempt}-run"


def salvage_pod(job: str, attempt: int) -> str:
    """The Pod that prints a manifest whose log was lost."""
    return f"{job}-{attempt}-salvage"


def store_pod(store: str) -> str:
    """The store Pod of a DataStore."""
    return f"{store}-store"


def inspect_pod(algorithm: str, round_: int) -> str:
    """The Pod that asks a registry one question with the Algorithm's pull secrets."""
    return f"{algorithm}-{round_}-inspect"


def user_pod(algorithm: str) -> str:
    """The Pod that looks up the USER of the Algorithm's image."""
    return f"{algorithm}-user"


def import_pod(name: str, attempt: int) -> str:
    """The Pod of an attempt at an ImageImport."""
    return f"{name}-{attempt}-import"


def import_folder(name: str, uid: str) -> str:
    """The import's own folder below the root of the DataStore that keeps the image."""
    return f"{IMPORTS_FOLDER}/{name}/{uid}"


def store_lease(store: str) -> str:
    """The Lease that keeps the store Pod running."""
    return f"{STORE_LEASE_PREFIX}{store}"


def attempt_folder(job: str, job_uid: str, attempt: int) -> str:
    """The attempt's own folder below the output store's root."""
    return f"{job}/{job_uid}/{attempt}"
