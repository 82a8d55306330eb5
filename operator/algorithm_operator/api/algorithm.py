"""Algorithm: an image that is approved to run here, what it reads and writes, and its limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from algorithm_operator.api.base import Model, ObjectName, Quantity, cel, list_map, rules
from algorithm_operator.api.conditions import Condition
from algorithm_operator.api.interface import Interface
from algorithm_operator.api.limits import Limits, Starts


class ObjectRef(Model):
    """Another object of the same namespace, by name."""

    name: Annotated[ObjectName, Field(description="Its metadata.name, in the same namespace.")]


class Image(Model):
    """The container image; resolved once to a digest that is kept in status."""

    reference: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^\S+$",
            description="As `docker pull` takes it: by tag, or better by digest.",
        ),
    ]
    pull_secrets: Annotated[
        list[ObjectRef],
        Field(
            max_length=8,
            description="Secrets of the namespace (type kubernetes.io/dockerconfigjson) that its registry asks for.",
            json_schema_extra=list_map("name"),
        ),
    ] = []


class StorePath(Model):
    """One file or folder of a DataStore."""

    name: Annotated[ObjectName, Field(description="A DataStore of the namespace.")]
    path: Annotated[str, Field(min_length=1, max_length=1024, description="Below its root.")]


class AlgorithmModel(Model):
    """The weights, apart from the image: a folder or a .tar.gz, unpacked to /opt/ml/model, read-only."""

    model_config = rules(
        cel("has(self.image) != has(self.store)", "a model comes from exactly one of image and store"),
        cel(
            "!has(self.path) || has(self.image)",
            "path is for a model in an image; the path in a DataStore is store.path",
            fieldPath=".path",
        ),
    )

    image: Image | None = None
    store: StorePath | None = None
    path: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1024,
            description="Inside the image: a folder, or a .tar.gz. Default: all of it.",
        ),
    ] = None
    sha256: Annotated[
        str | None,
        Field(
            pattern="^[0-9a-f]{64}$",
            max_length=64,
            description="What it must be (`modelSha256` of an earlier manifest); another one is refused.",
        ),
    ] = None


class Scratch(Model):
    """Where the algorithm may write: /output, /tmp and its container's own file system together."""

    size: Annotated[Quantity, Field(description='All that it may write, such as "30G".')] = "30G"
    medium: Annotated[
        Literal["Disk", "Memory"],
        Field(description="Memory: /output and /tmp are a tmpfs of that size each, counted as memory."),
    ] = "Disk"


class Gpu(Model):
    """Which GPU and how many; type names an entry of the installation's gpuTypes."""

    type: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=63,
            description="An entry of the installation's gpuTypes.",
        ),
    ] = "T4"
    count: Annotated[int, Field(ge=0, le=8, description="How many; 0 runs without a GPU.")] = 1


class Resources(Model):
    """What the algorithm's container gets; requests equal limits."""

    model_config = rules(
        cel(
            "type(self.cpu) == int ? self.cpu > 0 : quantity(self.cpu).isGreaterThan(quantity('0'))",
            "cpu must be more than 0",
            fieldPath=".cpu",
        ),
        cel(
            "type(self.memory) == int ? self.memory >= 16777216 : "
            "quantity(self.memory).compareTo(quantity('16Mi')) >= 0",
            "memory must be at least 16Mi",
            fieldPath=".memory",
        ),
        cel(
            "type(self.scratch.size) == int ? self.scratch.size >= 1048576 : "
            "quantity(self.scratch.size).compareTo(quantity('1Mi')) >= 0",
            "scratch.size must be at least 1Mi",
            fieldPath=".scratch",
        ),
        # Of nothing the kubelet would make all of the Pod's memory.
        cel(
            "!has(self.sharedMemory) || (type(self.sharedMemory) == int ? self.sharedMemory >= 1048576 : "
            "quantity(self.sharedMemory).compareTo(quantity('1Mi')) >= 0)",
            "sharedMemory must be at least 1Mi; leave it out for what the node gives",
            fieldPath=".sharedMemory",
        ),
    )

    cpu: Annotated[Quantity, Field(description='Processors, such as "2" or "500m".')] = "2"
    memory: Annotated[Quantity, Field(description='Memory, such as "24G" (decimal) or "24Gi" (binary).')] = (
        "24G"
    )
    gpu: Gpu = Gpu()
    scratch: Scratch = Scratch()
    shared_memory: Annotated[
        Quantity | None,
        Field(
            description="Size of /dev/shm, counted as memory. Default: what the node gives, mostly 64 MiB."
        ),
    ] = None
    threads: Annotated[int, Field(ge=1, le=32768, description="Threads and processes at the same time.")] = (
        512
    )


class User(Model):
    """Who a job's containers run as."""

    uid: Annotated[int, Field(ge=1, le=2147483647, description="User id.")]
    gid: Annotated[
        int, Field(ge=0, le=2147483647, description="Group id; images for OpenShift have root's, 0.")
    ]


class SecurityUser(Model):
    """Either uid and gid, or `from: Namespace`."""

    model_config = rules(
        cel(
            "has(self.from) ? !has(self.uid) && !has(self.gid) : has(self.uid) && has(self.gid)",
            "give either uid and gid, or from: Namespace",
        )
    )

    from_: Annotated[
        Literal["Namespace"] | None,
        Field(
            alias="from",
            description="Namespace: the cluster's admission chooses the ids, as OpenShift's restricted SCC does.",
        ),
    ] = None
    uid: Annotated[int | None, Field(ge=1, le=2147483647, description="User id.")] = None
    gid: Annotated[int | None, Field(ge=0, le=2147483647, description="Group id; 0 is allowed.")] = None


class Security(Model):
    """Who the algorithm runs as. Without `user`: the USER of the image; never root."""

    user: SecurityUser | None = None


class LogPolicy(Model):
    """Who learns what the algorithm prints."""

    error_in_status: Annotated[
        bool, Field(description="Whether the last line of stderr may be told in a failed job's status.")
    ] = True
    store: Annotated[
        ObjectRef | None,
        Field(
            description="The DataStore that keeps the logs, instead of the job's outputStore; the Pod's own log stays "
            "silent then. Who may connect to that store reads them."
        ),
    ] = None


class AlgorithmSpec(Model):
    """What an algorithm is."""

    title: Annotated[str | None, Field(max_length=255, description="Its name for people.")] = None
    description: Annotated[str | None, Field(max_length=4096, description="What it does, for people.")] = None
    image: Image
    model: AlgorithmModel | None = None
    interfaces: Annotated[
        list[Interface],
        Field(
            min_length=1,
            max_length=16,
            description="The sets of inputs that it takes, and what it writes for each.",
            json_schema_extra=list_map("name"),
        ),
    ]
    resources: Resources = Resources()
    time_limit_seconds: Annotated[
        int, Field(ge=10, le=604800, description="From the start of the Pod: with image pull and staging.")
    ] = 7200
    collect_seconds: Annotated[
        int, Field(ge=5, le=86400, description="For checking and keeping the outputs, after the algorithm.")
    ] = 600
    network: Annotated[
        Literal["None", "Loopback"],
        Field(description="None: no IP sockets at all. Loopback: 127.0.0.1 inside the Pod works."),
    ] = "None"
    security: Security = Security()
    log_policy: LogPolicy = LogPolicy()
    limits: Limits | None = None
    result_template: Annotated[
        str | None,
        Field(
            max_length=16384,
            description="A Jinja template for the job's report, in Markdown; `results` is the content of results.json. "
            "Default: that content as it is.",
        ),
    ] = None


class ResolvedImage(Model):
    """What the registry said about the image when it was resolved."""

    reference: Annotated[str, Field(max_length=512, description="spec.image.reference as it was then.")]
    digest: Annotated[str, Field(max_length=128, description="What runs.")]
    entrypoint: Annotated[
        list[Annotated[str, Field(max_length=4096)]] | None, Field(max_length=64, description="ENTRYPOINT.")
    ] = None
    cmd: Annotated[
        list[Annotated[str, Field(max_length=4096)]] | None, Field(max_length=256, description="CMD.")
    ] = None
    working_dir: Annotated[str | None, Field(max_length=1024, description="WORKDIR.")] = None
    user: Annotated[str | None, Field(max_length=255, description="USER, as the image says it.")] = None
    uid: Annotated[
        int | None, Field(description="USER as a number: its own, or as the image's /etc/passwd has it.")
    ] = None
    gid: Annotated[int | None, Field(description="The group of USER, likewise.")] = None
    home: Annotated[
        str | None, Field(max_length=1024, description="HOME of a USER that was looked up in /etc/passwd.")
    ] = None
    size_bytes: Annotated[int | None, Field(description="Compressed size of its layers.")] = None


class ResolvedModel(Model):
    """The model's image when it was resolved."""

    reference: Annotated[str, Field(max_length=512, description="spec.model.image.reference as it was then.")]
    digest: Annotated[str, Field(max_length=128, description="What is unpacked.")]


class AlgorithmStatus(Model):
    """What the operator found out."""

    observed_generation: Annotated[int | None, Field(description="The generation that this is about.")] = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            description="Ready: jobs can run it.",
            json_schema_extra=list_map("type"),
        ),
    ] = []
    image: ResolvedImage | None = None
    model: ResolvedModel | None = None
    recent_starts: Annotated[
        list[Starts]
        | None,  # an empty list would be written with the rest of the status, and not be left out
        Field(
            max_length=512,
            description="For limits.jobsPerUser: when jobs that no gateway made were let start, the oldest first. "
            "It stays when they are deleted.",
        ),
    ] = None
