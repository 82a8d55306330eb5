"""What a job's owner can do about each reason: one sentence or two a reason, beside the operator's own message."""

from __future__ import annotations

from algorithm_operator.api.reasons import Reason

_LOGS = "Read its words: kubectl algorithm logs JOB --stderr."
_NEW_JOB = "A job's spec cannot be changed: correct it and run it under a new name."
_AGAIN = "Run it again under a new name; if it comes back, tell the cluster's admin."
_ADMIN = "Nothing is wrong with the job; the cluster's admin has to act. It starts by itself then."
_WAIT = "Nothing to do; it goes on by itself."
_IMAGE = (
    "Correct the image and push it, then set spec.image.reference of the Algorithm (a new tag or digest)."
)

ADVICE: dict[Reason, str] = {
    Reason.ALGORITHM_NOT_FOUND: "Apply the Algorithm into this namespace, or correct the name and run a new job.",
    Reason.ALGORITHM_NOT_READY: "Look at the Algorithm: kubectl describe algorithm ALGORITHM says what it lacks.",
    Reason.STORE_NOT_FOUND: "Ask the namespace's admin for the DataStore, or name another one: in a new job, or, "
    "where the Algorithm names it (spec.model, spec.logPolicy), in the Algorithm.",
    Reason.STORE_NOT_READY: "The namespace's admin looks at: kubectl describe datastore NAME.",
    Reason.NAMESPACE_NOT_RESTRICTED: _ADMIN,
    Reason.POLICY_MISSING: _ADMIN,
    Reason.POLICY_CONFLICT: _ADMIN,
    Reason.QUOTA_EXCEEDED: "It starts when other jobs of the namespace end; or the admin raises the ResourceQuota.",
    Reason.ADMISSION_DENIED: _ADMIN,
    Reason.NO_GPU_NODE: "The admin adds such a node or corrects gpuTypes; or the Algorithm asks for another type.",
    Reason.GPU_SHARED: _ADMIN,
    Reason.NODE_TOO_SMALL: "Lower spec.resources of the Algorithm and run a new job, or the admin adds a larger node.",
    Reason.GPUS_BUSY: "It starts when a GPU is free; waiting does not count against the time limit.",
    Reason.CLAIM_NOT_FOUND: _ADMIN,
    Reason.CLAIM_NOT_BOUND: "The admin looks at the PersistentVolumeClaim; a volume may be bound to another node.",
    Reason.UNSCHEDULABLE: _ADMIN,
    Reason.IMAGE_PULL_FAILING: "See that the image is still in its registry, and that the nodes can reach it.",
    Reason.CONTAINER_CREATE_FAILING: _ADMIN,
    Reason.PREDECESSOR_LEAVING: _WAIT,
    Reason.NAME_TAKEN: "Delete that Pod, or run the job under another name.",
    Reason.RETRYING: _WAIT,
    Reason.SUSPENDED: "kubectl algorithm resume JOB starts it.",
    Reason.ALREADY_STARTED: "kubectl algorithm cancel JOB ends it.",
    Reason.ACTIVE_JOBS_LIMIT: "It starts by itself when it is its turn; or the Algorithm's owner raises "
    "spec.limits.activeJobsPerUser.",
    Reason.RECENT_JOBS_LIMIT: "It starts by itself at that time, when it is its turn; or the Algorithm's owner raises "
    "spec.limits.jobsPerUser.",
    Reason.IMPORTING: _WAIT,
    Reason.ACCEPTED: _WAIT,
    Reason.SCHEDULED: _WAIT,
    Reason.STAGED: _WAIT,
    Reason.ISOLATED: _WAIT,
    Reason.COLLECTED: _WAIT,
    Reason.COMPLETED: "kubectl algorithm download JOB fetches the outputs and checks every byte.",
    Reason.READY: _WAIT,
    Reason.STDERR_OUTPUT: "A warning, not a failure. " + _LOGS,
    Reason.INPUT_PENDING: "It starts by itself once that has succeeded: kubectl algorithm get lists the jobs, "
    "kubectl get imgimport the imports.",
    Reason.GEOMETRY_MISMATCH: "A warning, not a failure: the output is shown in another place than its input.",
    Reason.INPUTS_MISMATCH: "Give exactly one of the listed combinations of inputs. " + _NEW_JOB,
    Reason.INPUT_INVALID: "Correct that input. " + _NEW_JOB,
    Reason.INPUT_NOT_FOUND: "Into a DataStore it gets by: kubectl algorithm upload FILE STORE:PATH. "
    + _NEW_JOB,
    Reason.INPUT_TOO_LARGE: "Upload large values as .json files and name them as STORE:PATH. " + _NEW_JOB,
    Reason.PATH_INVALID: "Write the path relative to the store's root. " + _NEW_JOB,
    Reason.TIME_LIMIT_TOO_LONG: "Leave out --time-limit, or raise timeLimitSeconds of the Algorithm. "
    + _NEW_JOB,
    Reason.FILES_INVALID: "Correct the files, and apply the ImageImport under a new name.",
    Reason.NO_OUTPUT_STORE: "Name a DataStore by --output-store. " + _NEW_JOB,
    Reason.EXIT_CODE: "The image's own program gave up. " + _LOGS,
    Reason.OUT_OF_MEMORY: "Use less memory, or raise spec.resources.memory of the Algorithm; then run a new job.",
    Reason.TIME_LIMIT_EXCEEDED: "Make it faster, or raise timeLimitSeconds of the Algorithm; then run a new job.",
    Reason.DISK_LIMIT_EXCEEDED: "Remove temporary files as soon as they are done with, or raise "
    "spec.resources.scratch.size of the Algorithm; then run a new job.",
    Reason.THREAD_LIMIT_EXCEEDED: "Start fewer threads (thread pools take the node's processors, not the job's), or "
    "raise spec.resources.threads of the Algorithm; then run a new job.",
    Reason.SHARED_MEMORY_EXCEEDED: "With PyTorch: DataLoader(..., num_workers=0). Shared memory counts as memory: "
    "raise spec.resources.memory with it; then run a new job.",
    Reason.NOT_STARTABLE: "ENTRYPOINT or CMD of the image cannot be executed. " + _IMAGE,
    Reason.MODEL_NOT_FOUND: "Put the model where spec.model of the Algorithm says, or correct spec.model. "
    + _NEW_JOB,
    Reason.MODEL_INVALID: "If the model is the right one, correct spec.model of the Algorithm (path, sha256); else "
    "make it anew (tar -czf model.tar.gz -C FOLDER .) and put it where spec.model says. Then run a new job.",
    Reason.OUTPUT_INVALID: "Write every declared output, at its path and in its format, to /output. " + _LOGS,
    Reason.NETWORK_NOT_ISOLATED: _ADMIN,
    Reason.ISOLATION_UNVERIFIED: _ADMIN,
    Reason.STAGING_FAILED: _AGAIN,
    Reason.IMPORT_FAILED: _AGAIN,
    Reason.COLLECT_FAILED: _AGAIN,
    Reason.MANIFEST_LOST: _AGAIN,
    Reason.IMAGE_PULL_FAILED: "See that the image is still in its registry and the nodes can reach it. "
    + _AGAIN,
    Reason.CONTAINER_CREATE_FAILED: _AGAIN,
    Reason.NODE_LOST: _AGAIN,
    Reason.POD_DELETED: _AGAIN,
    Reason.PREEMPTED: "Other Pods have a higher priority. " + _AGAIN,
    Reason.EVICTED: _AGAIN,
    Reason.ADMISSION_BY_NODE: _AGAIN,
    Reason.DEADLINE_BEFORE_START: "The time limit includes image pull and staging. " + _AGAIN,
    Reason.RUNNER_FAILED: _AGAIN,
    Reason.POD_MUTATED: "The cluster's admin exempts the namespace; then run it again under a new name.",
    Reason.POD_NOT_OURS: "Unless the operator was upgraded just then, the admin looks at who may create Pods in the "
    "namespace. " + _AGAIN,
    Reason.LOST: _AGAIN,
    Reason.CANCELLED: "Somebody set spec.cancel. Run it again under a new name if it is still wanted.",
    Reason.RESOLVING: _WAIT,
    Reason.LOOK_UP_FAILED: _WAIT,
    Reason.PULL_SECRET_NOT_FOUND: "Make the Secret, or correct pullSecrets of the Algorithm.",
    Reason.IMAGE_NOT_FOUND: _IMAGE,
    Reason.IMAGE_UNAUTHORIZED: "Give the Algorithm a Secret with credentials for that registry (pullSecrets).",
    Reason.REGISTRY_UNREACHABLE: "The operator asks again by itself; the admin looks at the way to that registry.",
    Reason.IMAGE_RUNS_AS_ROOT: _IMAGE,
    Reason.IMAGE_USER_UNKNOWN: _IMAGE,
    Reason.IMAGE_NO_COMMAND: _IMAGE,
    Reason.IMAGE_PLATFORM: _IMAGE,
    Reason.IMAGE_INVALID: _IMAGE,
    Reason.SPEC_INVALID: "Correct the Algorithm and apply it again.",
    Reason.SOCKET_CONFLICT: "Give the socket another slug, or define it as the other Algorithm does.",
    Reason.GPU_TYPE_UNKNOWN: "Ask for one of the listed types, or the admin adds this one to gpuTypes.",
}


def advice(reason: str | None, job: str, algorithm: str) -> str | None:
    """What to do, for a reason as status carries it; None if there is none, or a newer operator's."""
    try:
        return ADVICE[Reason(reason)].replace("JOB", job).replace("ALGORITHM", algorithm) if reason else None
    except ValueError:
        return None
