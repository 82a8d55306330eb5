"""The catalogue of reasons: every reason that a status can show, whose fault it is, and its sentence.

Sentences are ours; what a tenant controls goes in as an argument and is escaped and cut by `text.py` first.
Blame decides on retries: only infrastructure is tried again, in a new attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Blame(StrEnum):
    """Whose fault a failure is."""

    INPUT = "input"
    ALGORITHM = "algorithm"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: the blame (None: not a failure), whether a new attempt may help, and the sentence."""

    blame: Blame | None
    retry: bool
    sentence: str


class Reason(StrEnum):
    """CamelCase reasons, as conditions and `status.reason` carry them."""

    # waiting (conditions, not ends)
    ALGORITHM_NOT_FOUND = "AlgorithmNotFound"
    ALGORITHM_NOT_READY = "AlgorithmNotReady"
    STORE_NOT_FOUND = "StoreNotFound"
    STORE_NOT_READY = "StoreNotReady"
    INPUT_PENDING = "InputPending"
    NAMESPACE_NOT_RESTRICTED = "NamespaceNotRestricted"
    POLICY_MISSING = "PolicyMissing"
    POLICY_CONFLICT = "PolicyConflict"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_DENIED = "AdmissionDenied"
    NO_GPU_NODE = "NoGpuNode"
    GPU_SHARED = "GpuShared"
    NODE_TOO_SMALL = "NodeTooSmall"
    GPUS_BUSY = "GpusBusy"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CLAIM_NOT_BOUND = "ClaimNotBound"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILING = "ImagePullFailing"
    CONTAINER_CREATE_FAILING = "ContainerCreateFailing"
    PREDECESSOR_LEAVING = "PredecessorLeaving"
    NAME_TAKEN = "NameTaken"
    RETRYING = "Retrying"
    SUSPENDED = "Suspended"
    ALREADY_STARTED = "AlreadyStarted"
    ACTIVE_JOBS_LIMIT = "ActiveJobsLimit"
    RECENT_JOBS_LIMIT = "RecentJobsLimit"
    # progress
    IMPORTING = "Importing"
    ACCEPTED = "Accepted"
    SCHEDULED = "Scheduled"
    STAGED = "Staged"
    ISOLATED = "Isolated"
    COLLECTED = "Collected"
    COMPLETED = "Completed"
    READY = "Ready"
    STDERR_OUTPUT = "StderrOutput"
    GEOMETRY_MISMATCH = "GeometryMismatch"
    # refused inputs
    INPUTS_MISMATCH = "InputsMismatch"
    INPUT_INVALID = "InputInvalid"
    INPUT_NOT_FOUND = "InputNotFound"
    INPUT_TOO_LARGE = "InputTooLarge"
    PATH_INVALID = "PathInvalid"
    TIME_LIMIT_TOO_LONG = "TimeLimitTooLong"
    NO_OUTPUT_STORE = "NoOutputStore"
    FILES_INVALID = "FilesInvalid"
    # the algorithm's failures
    EXIT_CODE = "ExitCode"
    OUT_OF_MEMORY = "OutOfMemory"
    TIME_LIMIT_EXCEEDED = "TimeLimitExceeded"
    DISK_LIMIT_EXCEEDED = "DiskLimitExceeded"
    THREAD_LIMIT_EXCEEDED = "ThreadLimitExceeded"
    SHARED_MEMORY_EXCEEDED = "SharedMemoryExceeded"
    NOT_STARTABLE = "NotStartable"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_INVALID = "ModelInvalid"
    OUTPUT_INVALID = "OutputInvalid"
    # infrastructure
    NETWORK_NOT_ISOLATED = "NetworkNotIsolated"
    ISOLATION_UNVERIFIED = "IsolationUnverified"
    STAGING_FAILED = "StagingFailed"
    IMPORT_FAILED = "ImportFailed"
    COLLECT_FAILED = "CollectFailed"
    MANIFEST_LOST = "ManifestLost"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CREATE_FAILED = "ContainerCreateFailed"
    NODE_LOST = "NodeLost"
    POD_DELETED = "PodDeleted"
    PREEMPTED = "Preempted"
    EVICTED = "Evicted"
    ADMISSION_BY_NODE = "NodeRefused"
    DEADLINE_BEFORE_START = "DeadlineBeforeStart"
    RUNNER_FAILED = "RunnerFailed"
    POD_MUTATED = "PodMutated"
    POD_NOT_OURS = "PodNotOurs"
    LOST = "StateLost"
    # the owner's
    CANCELLED = "Cancelled"
    # the Algorithm's
    RESOLVING = "Resolving"
    LOOK_UP_FAILED = "LookUpFailed"
    PULL_SECRET_NOT_FOUND = "PullSecretNotFound"
    IMAGE_NOT_FOUND = "ImageNotFound"
    IMAGE_UNAUTHORIZED = "ImageUnauthorized"
    REGISTRY_UNREACHABLE = "RegistryUnreachable"
    IMAGE_RUNS_AS_ROOT = "ImageRunsAsRoot"
    IMAGE_USER_UNKNOWN = "ImageUserUnknown"
    IMAGE_NO_COMMAND = "ImageHasNoCommand"
    IMAGE_PLATFORM = "ImagePlatform"
    IMAGE_INVALID = "ImageInvalid"
    SPEC_INVALID = "SpecInvalid"
    SOCKET_CONFLICT = "SocketConflict"
    GPU_TYPE_UNKNOWN = "GpuTypeUnknown"


_WAIT = None
_IN, _ALG, _INFRA = Blame.INPUT, Blame.ALGORITHM, Blame.INFRASTRUCTURE

CATALOGUE: dict[Reason, Entry] = {
    Reason.ALGORITHM_NOT_FOUND: Entry(
        _WAIT,
        False,
        'There is no Algorithm "{algorithm}" in namespace {namespace}; the job runs once it is created.',
    ),
    Reason.ALGORITHM_NOT_READY: Entry(_WAIT, False, 'Algorithm "{algorithm}" is not ready: {why}'),
    Reason.STORE_NOT_FOUND: Entry(
        _WAIT, False, 'There is no DataStore "{store}" in namespace {namespace}; ask its admin to create it.'
    ),
    Reason.STORE_NOT_READY: Entry(_WAIT, False, 'DataStore "{store}" is not ready: {why}'),
    Reason.INPUT_PENDING: Entry(_WAIT, False, 'Input "{slug}" waits for {maker}: {why}'),
    Reason.NAMESPACE_NOT_RESTRICTED: Entry(
        _WAIT,
        False,
        "Namespace {namespace} does not enforce the restricted Pod Security Standard. An admin runs: "
        "kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=restricted "
        "algorithm-operator.dev/jobs=true",
    ),
    Reason.POLICY_MISSING: Entry(
        _WAIT,
        False,
        "Namespace {namespace} has no NetworkPolicy that closes run Pods in both directions. An admin adds it to "
        "jobNamespaces of the Helm release, or applies the policy {policy} of deploy/namespace.yaml.",
    ),
    Reason.POLICY_CONFLICT: Entry(
        _WAIT,
        False,
        'NetworkPolicy "{policy}" in namespace {namespace} opens the run Pods (policies add up). '
        "An admin narrows its podSelector or removes it.",
    ),
    Reason.QUOTA_EXCEEDED: Entry(
        _WAIT, False, "The namespace's quota leaves no room for the job's Pod: {why}"
    ),
    Reason.ADMISSION_DENIED: Entry(_WAIT, False, "The cluster refuses the job's Pod: {why}"),
    Reason.NO_GPU_NODE: Entry(
        _WAIT,
        False,
        "The job asks for {asked}; no node of the cluster has it ({exists}). An admin adds such a node, "
        "or sets gpuTypes.{type} in the Helm values to the labels that the nodes have.",
    ),
    Reason.GPU_SHARED: Entry(
        _WAIT,
        False,
        "The job asks for {asked} of its own; the nodes that have it share each one among several Pods, which see the "
        "same memory ({exists}). An admin turns time-slicing or MPS off on one of them, or adds a node without.",
    ),
    Reason.NODE_TOO_SMALL: Entry(
        _WAIT,
        False,
        "No {type} node is large enough: the Pod asks for {asked}; the largest has {exists}. Lower "
        "spec.resources of the Algorithm, or add a larger node.",
    ),
    Reason.GPUS_BUSY: Entry(
        _WAIT, False, "All {type} nodes that could hold the job are busy ({exists}); it waits."
    ),
    Reason.CLAIM_NOT_FOUND: Entry(
        _WAIT,
        False,
        "The PersistentVolumeClaim of DataStore {store} does not exist: {why}. An admin creates it.",
    ),
    Reason.CLAIM_NOT_BOUND: Entry(
        _WAIT, False, "A volume of the job cannot be used on a suitable node: {why}"
    ),
    Reason.UNSCHEDULABLE: Entry(_WAIT, False, "The scheduler finds no node: {why}"),
    Reason.IMAGE_PULL_FAILING: Entry(
        _WAIT,
        False,
        "The node cannot pull image {image}: {why}. The attempt ends {seconds} s after it was scheduled.",
    ),
    Reason.CONTAINER_CREATE_FAILING: Entry(
        _WAIT,
        False,
        "The node cannot create container {container}: {why}. The attempt ends {seconds} s after it was "
        "scheduled.",
    ),
    Reason.PREDECESSOR_LEAVING: Entry(
        _WAIT,
        False,
        "Pod {pod} is still there, of an earlier attempt or of an earlier job of the same name; the job waits until it "
        "is gone. If its node is lost for good, an admin deletes the Node object.",
    ),
    Reason.NAME_TAKEN: Entry(
        _WAIT,
        False,
        "Pod {pod} cannot be made: there is one of that name that is not the operator's. Delete it, or choose another "
        "name.",
    ),
    Reason.RETRYING: Entry(
        _WAIT, False, "Attempt {number} failed ({reason}); the next one starts in {seconds} s."
    ),
    Reason.SUSPENDED: Entry(_WAIT, False, "spec.suspend is true; set it to false to start the job."),
    Reason.ALREADY_STARTED: Entry(
        _WAIT,
        False,
        "The job had started when spec.suspend was set: it goes on. Set spec.cancel to end it.",
    ),
    Reason.ACTIVE_JOBS_LIMIT: Entry(
        _WAIT,
        False,
        '{place} of {waiting} waiting: {active} of {limit} jobs of Algorithm "{algorithm}" are active, as many as its '
        "limits allow in a namespace; the job goes on by itself when it is its turn.",
    ),
    Reason.RECENT_JOBS_LIMIT: Entry(
        _WAIT,
        False,
        '{place} of {waiting} waiting: {started} of {limit} jobs of Algorithm "{algorithm}" were started in the last '
        "{period}, as many as its limits allow in a namespace; the next may start at {time}, by itself.",
    ),
    Reason.IMPORTING: Entry(_WAIT, False, "Pod {pod} reads the files."),
    Reason.ACCEPTED: Entry(
        _WAIT, False, "The inputs fit interface {interface}; image {digest} is fixed for the run."
    ),
    Reason.SCHEDULED: Entry(_WAIT, False, "The Pod is on node {node}."),
    Reason.STAGED: Entry(_WAIT, False, "All inputs are staged and checked."),
    Reason.ISOLATED: Entry(_WAIT, False, "The Pod was seen to reach nothing."),
    Reason.COLLECTED: Entry(_WAIT, False, "All outputs are checked and kept."),
    Reason.COMPLETED: Entry(_WAIT, False, ""),
    Reason.READY: Entry(_WAIT, False, ""),
    Reason.STDERR_OUTPUT: Entry(
        _WAIT, False, "The algorithm wrote {bytes} bytes to stderr; a warning, not a failure."
    ),
    Reason.GEOMETRY_MISMATCH: Entry(
        _WAIT, False, "{outputs} A warning, not a failure, for geometryCheck is Warn."
    ),
    Reason.INPUTS_MISMATCH: Entry(_IN, False, "{why} The algorithm accepts: {allowed}."),
    Reason.INPUT_INVALID: Entry(_IN, False, 'Input "{slug}" is not valid: {why}'),
    Reason.INPUT_NOT_FOUND: Entry(
        _IN,
        False,
        'Input "{slug}": {path} does not exist in {holder}. Put it there, or correct the path.',
    ),
    Reason.INPUT_TOO_LARGE: Entry(
        _IN, False, "The values of the job take {bytes} bytes, more than {limit}; put them into a DataStore."
    ),
    Reason.PATH_INVALID: Entry(_IN, False, 'Input "{slug}": the path {path} is not allowed: {why}'),
    Reason.TIME_LIMIT_TOO_LONG: Entry(
        _IN, False, "timeLimitSeconds {asked} is more than the algorithm's {limit}; leave it out or lower it."
    ),
    Reason.NO_OUTPUT_STORE: Entry(
        _IN,
        False,
        'Output "{slug}" ({kind}) needs a DataStore: name one in outputStore, or ask an admin for a DataStore with '
        "default: true.",
    ),
    Reason.FILES_INVALID: Entry(_IN, False, "The files are not one image that can be imported: {why}"),
    Reason.EXIT_CODE: Entry(_ALG, False, "The algorithm ended with exit code {code}: {line}{hint}"),
    Reason.OUT_OF_MEMORY: Entry(
        _ALG, False, "{who} was killed as it exceeded its memory limit of {limit}{seen}."
    ),
    Reason.TIME_LIMIT_EXCEEDED: Entry(
        _ALG, False, "Time limit exceeded: the limit is {limit} s, with image pull and staging.{hint}"
    ),
    Reason.DISK_LIMIT_EXCEEDED: Entry(
        _ALG, False, "The algorithm wrote more than its disk limit allows: {why}"
    ),
    Reason.THREAD_LIMIT_EXCEEDED: Entry(
        _ALG, False, "The algorithm had more than {limit} threads at once and was ended."
    ),
    Reason.SHARED_MEMORY_EXCEEDED: Entry(
        _ALG,
        False,
        "The algorithm needs more shared memory than /dev/shm has ({has}): {why}. Use fewer DataLoader workers "
        "(num_workers=0 needs none), or set spec.resources.sharedMemory of the Algorithm.",
    ),
    Reason.NOT_STARTABLE: Entry(_ALG, False, "The algorithm could not be started: {why}"),
    Reason.MODEL_NOT_FOUND: Entry(
        _ALG,
        False,
        "Could not set up model: there is no {path} in {where}. Put it there, or correct spec.model.",
    ),
    Reason.MODEL_INVALID: Entry(_ALG, False, "Could not set up model: {why}"),
    Reason.OUTPUT_INVALID: Entry(_ALG, False, "{why}"),
    Reason.NETWORK_NOT_ISOLATED: Entry(
        _INFRA,
        True,
        "The Pod could still reach {targets}; the algorithm was not started. An admin checks that the cluster's "
        "network plugin enforces NetworkPolicies.",
    ),
    Reason.ISOLATION_UNVERIFIED: Entry(
        _INFRA,
        True,
        "The canary Service does not answer the operator, so a closed network proves nothing; the algorithm was not "
        "started. An admin checks Service {canary}.",
    ),
    Reason.STAGING_FAILED: Entry(_INFRA, True, "Staging the inputs failed: {why}"),
    Reason.IMPORT_FAILED: Entry(_INFRA, True, "Importing the files failed: {why}"),
    Reason.COLLECT_FAILED: Entry(_INFRA, True, "Collecting the outputs failed: {why}"),
    Reason.MANIFEST_LOST: Entry(_INFRA, True, "The run record of the attempt could not be read: {why}"),
    Reason.IMAGE_PULL_FAILED: Entry(_INFRA, True, "The node could not pull image {image}: {why}"),
    Reason.CONTAINER_CREATE_FAILED: Entry(
        _INFRA, True, "The node could not create container {container}: {why}"
    ),
    Reason.NODE_LOST: Entry(_INFRA, True, "Node {node} was lost while the job ran."),
    Reason.POD_DELETED: Entry(_INFRA, True, "The job's Pod was deleted while it ran."),
    Reason.PREEMPTED: Entry(_INFRA, True, "The job's Pod was preempted by one of higher priority."),
    Reason.EVICTED: Entry(_INFRA, True, "The node evicted the job's Pod: {why}"),
    Reason.ADMISSION_BY_NODE: Entry(_INFRA, True, "The node refused the job's Pod: {why}"),
    Reason.DEADLINE_BEFORE_START: Entry(
        _INFRA,
        True,
        "The time limit of {limit} s passed before the algorithm had started (image pull, volumes).",
    ),
    Reason.RUNNER_FAILED: Entry(_INFRA, True, "The runner could not start the algorithm: {why}"),
    Reason.POD_MUTATED: Entry(
        _INFRA,
        False,
        "The cluster changed the job's Pod ({why}); it was not started. An admin exempts the namespace "
        "from that webhook or LimitRange.",
    ),
    Reason.POD_NOT_OURS: Entry(
        _INFRA,
        True,
        "Pod {pod} is not as this operator makes it: another version of it made the Pod, or somebody else did. Nothing "
        "that it says counts.",
    ),
    Reason.LOST: Entry(_INFRA, True, "The node could not say how the algorithm ended: {why}"),
    Reason.CANCELLED: Entry(_WAIT, False, "The job was cancelled."),
    Reason.RESOLVING: Entry(_WAIT, False, "{what} (Pod {pod})."),
    Reason.LOOK_UP_FAILED: Entry(_INFRA, True, "Pod {pod} gave no answer: {why}. Tried again."),
    Reason.PULL_SECRET_NOT_FOUND: Entry(
        _ALG,
        False,
        "{Noun} {image} is not for anonymous readers, and Secret {secrets} of {field}.pullSecrets does not exist. Make "
        "it: kubectl create secret docker-registry {secret} --namespace {namespace} --docker-server={host} "
        "--docker-username=… --docker-password=…",
    ),
    Reason.IMAGE_NOT_FOUND: Entry(
        _ALG, False, "{Noun} {image} does not exist in its registry. Push it, or correct {field}.reference."
    ),
    Reason.IMAGE_UNAUTHORIZED: Entry(_ALG, False, "{Noun} {image} cannot be read: {why}."),
    Reason.REGISTRY_UNREACHABLE: Entry(
        _INFRA, True, "The registry of {noun} {image} does not answer: {why}. Tried again."
    ),
    Reason.IMAGE_RUNS_AS_ROOT: Entry(
        _ALG,
        False,
        'The container runs as root. Add a user, group and USER instruction to the Dockerfile, for example "RUN '
        'groupadd -r -g 1000 user && useradd -r -u 1000 -g user user" and "USER 1000:1000", rebuild and push it; or '
        "set security.user.",
    ),
    Reason.IMAGE_USER_UNKNOWN: Entry(
        _ALG,
        False,
        "USER {user} of the image cannot be looked up in it: {why}. Add the user in the Dockerfile (RUN useradd …), "
        "use numbers (USER 1000:1000), or set security.user.",
    ),
    Reason.IMAGE_NO_COMMAND: Entry(
        _ALG,
        False,
        "The image has neither ENTRYPOINT nor CMD. Add one to its Dockerfile, rebuild and push it.",
    ),
    Reason.IMAGE_PLATFORM: Entry(
        _ALG, False, "The {noun} is not for linux/amd64: {why}. Rebuild it with --platform linux/amd64."
    ),
    Reason.IMAGE_INVALID: Entry(_ALG, False, "The {noun} cannot be used: {why}."),
    Reason.SPEC_INVALID: Entry(_ALG, False, "{why}"),
    Reason.SOCKET_CONFLICT: Entry(
        _ALG,
        False,
        'Socket "{slug}" is defined otherwise by Algorithm "{other}" ({difference}); a slug has one definition in a '
        "namespace.",
    ),
    Reason.GPU_TYPE_UNKNOWN: Entry(
        _ALG, False, 'GPU type "{type}" is not known to this installation; it knows: {known}.'
    ),
}


def sentence(reason: Reason, /, **facts: object) -> str:
    """The catalogue's sentence with `facts` filled in. Facts must already be display-safe (see `text.shown`)."""
    return CATALOGUE[reason].sentence.format(**facts)
