"""Limits that hold: what the algorithm sees of them, what happens above them, and who the manifest says holds them.

All jobs are started together. CPU time and the time limit itself: test_failures.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.harness import Job, Namespace, Object, Store

MIB = 1024**2
SCRATCH_MIB = 64
FILL = """
stdout("filling")
with open(PLACE + "/large", "wb") as file:
    for _ in range(500):
        file.write(b"x" * (1 << 20))
        file.flush()
time.sleep(60)
"""
"""As fast as the disk lets it; then it would go on, as an algorithm does that has no idea."""
NO_SPACE = """
try:
    with open("/output/large", "wb") as file:
        for _ in range(500):
            file.write(b"x" * (1 << 20))
            file.flush()
except OSError as error:
    report["error"] = error.strerror
report["wrote"] = os.path.getsize("/output/large")
os.unlink("/output/large")
for path in ("/output", "/tmp", "/dev/shm"):
    found = os.statvfs(path)
    report[path] = found.f_blocks * found.f_frsize
write_report()
"""
THREADS = """
import threading
stdout("starting")
for _ in range(80):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
time.sleep(60)
"""
CHILD = """
child = os.fork()
if child == 0:
    allocate_mb(400)
    os._exit(0)
_, status = os.waitpid(child, 0)
stderr("the worker is gone")
sys.exit(1 if os.WIFSIGNALED(status) else 0)
"""
SEEN = """
found = os.statvfs("/dev/shm")
report["/dev/shm"] = found.f_blocks * found.f_frsize
def first(*paths):
    for path in paths:
        if os.path.exists("/sys/fs/cgroup/" + path):
            return pathlib.Path("/sys/fs/cgroup/" + path).read_text().split()
import pathlib
report["cpu"] = first("cpu.max") or first("cpu/cpu.cfs_quota_us") + first("cpu/cpu.cfs_period_us")
report["memory"] = first("memory.max", "memory/memory.limit_in_bytes")
report["swap"] = first("memory.swap.max")
report["with swap"] = first("memory/memory.memsw.limit_in_bytes")
report["pids"] = first("pids.max", "pids/pids.max")
began, used = time.monotonic(), time.process_time()
while time.monotonic() < began + 2:
    pass
report["busy"] = (time.process_time() - used) / (time.monotonic() - began)
write_report()
"""


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    return module_namespace.store()


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, store: Store) -> dict[str, Job]:
    """All of them, started together; the names of the algorithms say what is small."""
    small = {"cpu": "100m", "memory": "128Mi", "scratch": {"size": f"{SCRATCH_MIB}Mi"}}
    in_memory = {"size": f"{SCRATCH_MIB}Mi", "medium": "Memory"}
    module_namespace.algorithm(resources=small)
    # The runner looks at the disk with what the algorithm leaves it of its processors.
    module_namespace.algorithm("writer", resources={**small, "cpu": "300m"})
    module_namespace.algorithm("few-threads", resources={**small, "threads": 32})
    module_namespace.algorithm(
        "in-memory", resources={**small, "memory": "512Mi", "scratch": in_memory, "sharedMemory": "256Mi"}
    )

    def start(name: str, code: str, algorithm: str = "probe") -> Job:
        return module_namespace.job(name, algorithm=algorithm, do=[["python", code]])

    places = {"output": "/output", "tmp": "/tmp", "root": "/var/tmp"}
    return {
        **{
            name: start(f"fills-{name}", FILL.replace("PLACE", repr(place)), "writer")
            for name, place in places.items()
        },
        "threads": start("threads", THREADS, "few-threads"),
        "child": start("child", CHILD),
        "no-space": start("no-space", NO_SPACE, "in-memory"),
        "full": start("full", FILL.replace("PLACE", repr("/output")), "in-memory"),
        "seen": start("seen", SEEN),
    }


def failed(job: Job) -> Object:
    """The status of a job that failed, after what holds for each: it was not tried again, nor evicted."""
    status = job.wait("Failed", timeout=150)
    assert status["blame"] == "algorithm"
    assert [attempt["number"] for attempt in status["attempts"]] == [1]
    (pod,) = job.pods()
    assert "reason" not in pod["status"], "the kubelet was quicker"
    return status


@pytest.mark.parametrize("place", ["output", "tmp", "root"])
def test_who_fills_the_disk_is_ended_before_the_kubelet_evicts(
    jobs: dict[str, Job], store: Store, place: str
) -> None:
    status = failed(jobs[place])

    assert status["reason"] == "DiskLimitExceeded"
    assert f"resources.scratch.size is {SCRATCH_MIB}Mi" in status["message"]
    assert "were seen there" in status["message"]
    assert store.files(jobs[place])["logs/stdout.log"].startswith(b"filling\n")
    (container,) = jobs[place].pods()[0]["status"]["containerStatuses"]
    assert container["state"]["terminated"]["exitCode"] == 137


def test_too_many_threads(jobs: dict[str, Job], store: Store) -> None:
    status = failed(jobs["threads"])

    assert status["reason"] == "ThreadLimitExceeded"
    assert "more than 32 threads" in status["message"]
    assert store.files(jobs["threads"])["logs/stdout.log"] == b"starting\n"


def test_memory_of_a_child_while_the_main_process_lives_on(jobs: dict[str, Job]) -> None:
    status = failed(jobs["child"])

    assert status["reason"] == "OutOfMemory"
    assert (
        "was killed as it exceeded its memory limit of 128Mi (the most that was seen: " in status["message"]
    )
    if status["exitCode"] == 1:  # A kernel, or a kubelet, that kills one process alone.
        assert status["message"].startswith("A process of the container was killed")
        assert status["message"].endswith("exit code 1: the worker is gone")


def test_scratch_in_memory_is_full_at_its_size(jobs: dict[str, Job], store: Store) -> None:
    jobs["no-space"].wait("Succeeded")

    report = json.loads(store.files(jobs["no-space"])["results.json"])
    assert report["error"] == "No space left on device"
    assert report["wrote"] == SCRATCH_MIB * MIB
    assert report["/output"] == report["/tmp"] == SCRATCH_MIB * MIB
    assert report["/dev/shm"] == 256 * MIB
    told = manifest(jobs["no-space"], store)["limits"]["enforcedBy"]
    assert told["scratch"].startswith(f"kernel: /output and /tmp are a tmpfs of {SCRATCH_MIB}Mi each")
    assert told["sharedMemory"] == "kernel: /dev/shm is a tmpfs of 256Mi"


def test_who_cannot_go_on_without_space_is_told_which_limit(jobs: dict[str, Job]) -> None:
    status = failed(jobs["full"])

    assert status["reason"] == "DiskLimitExceeded"
    assert "/output was full; resources.scratch.size is 64Mi (in memory)" in status["message"]
    assert status["message"].endswith("exit code 1: OSError: [Errno 28] No space left on device")


def test_the_manifest_tells_who_holds_each_limit_as_it_is_in_the_box(
    jobs: dict[str, Job], store: Store
) -> None:
    jobs["seen"].wait("Succeeded")

    report = json.loads(store.files(jobs["seen"])["results.json"])
    assert report["/dev/shm"] == 64 * MIB
    # 100m of a processor.
    quota, period = (int(word) for word in report["cpu"])
    assert quota / period == pytest.approx(0.1)
    assert report["busy"] < 0.2
    assert report["memory"] == [str(128 * MIB)]
    told = manifest(jobs["seen"], store)["limits"]["enforcedBy"]
    assert told["cpu"] == "kernel: a CPU quota of 0.1"
    assert told["memory"].startswith(f"kernel: {128 * MIB} bytes")
    no_swap = report["swap"] == ["0"] or report["with swap"] == report["memory"]
    assert ("and no swap" in told["memory"]) == no_swap
    # What bounds the Pod as a whole is not seen from inside a container: only what is seen is told.
    (pids,) = report["pids"]
    assert told["threads"] == "runner: counts, and ends the algorithm above 512; " + (
        "no limit of the kernel was seen"
        if pids == "max"
        else f"kernel: pids.max {pids}, as the wall behind it"
    )
    assert told["scratch"].startswith(f"runner: measures, and ends the algorithm above {SCRATCH_MIB}Mi")
    assert told["time"].startswith("runner (a little before 120 s)")


def manifest(job: Job, store: Store) -> dict[str, Any]:
    """The run record as it is kept."""
    found: dict[str, Any] = json.loads(store.files(job)["manifest.json"])
    return found
