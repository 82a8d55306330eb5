"""Every answer of docs/faq.md is true: one test each, in the order of the page. All jobs are started together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from tests.cluster import kind
from tests.e2e.conftest import HERE, cluster_command
from tests.e2e.harness import RESULTS, SCRIPT, Job, Namespace, Object, Store, eventually

SPACING, ORIGIN = (0.5, 0.5, 3.0), (-12.0, 7.5, 100.0)
GEOMETRY = {"spacing": list(SPACING), "origin": list(ORIGIN)}
OPTIONS = {"slug": "options", "kind": "Anything"}
WRITES = """
for folder in ("/input", "/output", "/tmp", "/var/tmp", "/opt"):
    report[folder] = _writable(folder)
write_report()
"""
SHARES = """
import mmap
with open("/dev/shm/batch", "w+b") as file:
    file.truncate(100 << 20)
    with mmap.mmap(file.fileno(), 100 << 20) as batch:
        for place in range(0, 100 << 20, 4096):
            batch[place] = 1
report["shared"] = "all"
write_report()
"""
"""What a worker of a DataLoader does with a batch of 100 MiB."""
WORKER = f"""
child = os.fork()
if child == 0:
    exec({SHARES!r})
_, status = os.waitpid(child, 0)
name = signal.strsignal(os.WTERMSIG(status))
sys.exit(f"RuntimeError: DataLoader worker (pid {{child}}) is killed by signal: {{name}}.")
"""
TALKS = """
import threading
listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: listener.accept()[0].sendall(b"hello"), daemon=True).start()
with socket.create_connection(listener.getsockname()) as client:
    report["heard"] = client.recv(5).decode()
write_report()
"""


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    """With a scan, and a mask of it that was made with and without the scan's geometry."""
    store = module_namespace.store()
    scan: Any = sitk.GetImageFromArray(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    scan.SetSpacing(SPACING)
    scan.SetOrigin(ORIGIN)
    mask: Any = sitk.GetImageFromArray((sitk.GetArrayFromImage(scan) > 30).astype(np.uint8))
    _put(store, "cases/scan.mha", scan)
    _put(store, "cases/misplaced.mha", mask)
    mask.CopyInformation(scan)
    _put(store, "cases/mask.mha", mask)
    _put(store, "cases/scan.nii.gz", scan)
    return store


def _put(store: Store, path: str, image: sitk.Image) -> None:
    store.put(path, b"")
    sitk.WriteImage(image, str(Path(store.root) / path))


@pytest.fixture(scope="module")
def onnx(operator: object) -> str:
    """The image with onnxruntime and a model."""
    return cluster_command("build", "algorithm-operator/onnx", str(HERE / "images" / "onnx"))


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, store: Store, onnx: str) -> dict[str, Job]:
    """A job for each answer, all started."""
    namespace = module_namespace
    image = {"slug": "scan", "kind": "Image"}
    made = {"slug": "made", "kind": "Image"}
    mask = {"slug": "mask", "kind": "Heat Map", "overlayOf": "scan"}
    namespace.algorithm()
    namespace.algorithm("loopback", network="Loopback")
    namespace.algorithm("sharing", resources={"cpu": "100m", "memory": "256Mi", "sharedMemory": "128Mi"})
    namespace.algorithm("picture", outputs=[image])
    namespace.algorithm("reader", inputs=[SCRIPT, image], outputs=[{"slug": "read", "kind": "Image"}])
    namespace.algorithm("overlay", inputs=[SCRIPT, image, made], outputs=[mask])
    namespace.algorithm(
        "onnx", image=onnx, inputs=[OPTIONS], outputs=[RESULTS], resources={"cpu": "500m", "memory": "512Mi"}
    )

    def code(name: str, text: str, algorithm: str = "probe") -> Job:
        return namespace.job(name, algorithm=algorithm, do=[["python", text]])

    def infer(name: str, **options: Any) -> Job:
        return namespace.job(name, algorithm="onnx", inputs=[{"slug": "options", "value": options}])

    def stored(slug: str, path: str) -> Object:
        return {"slug": slug, "store": {"name": store.name, "paths": [path]}}

    return {
        "onnx-one-cpu": infer("onnx-one-cpu", waitForOneCpu=40),
        "onnx-options": infer("onnx-options", threads=True),
        "shares": code("shares", SHARES),
        "worker": code("worker", WORKER),
        "sharing": code("sharing", SHARES, "sharing"),
        "writes": code("writes", WRITES),
        "nifti-in": namespace.job(
            "nifti-in",
            algorithm="reader",
            do=[["copy_input", "images/scan", "images/read/out.mha"]],
            inputs=[stored("scan", "cases/scan.nii.gz")],
        ),
        "png-in": namespace.job(
            "png-in", algorithm="reader", do=[], inputs=[stored("scan", "cases/scan.png")]
        ),
        "nifti-out": namespace.job(
            "nifti-out", algorithm="picture", do=[["write_text", "images/scan/scan.nii", "x"]]
        ),
        **{
            name: namespace.job(
                name,
                algorithm="overlay",
                do=[["copy_input", "images/made", "images/mask/out.mha"]],
                inputs=[stored("scan", "cases/scan.mha"), stored("made", f"cases/{name}.mha")],
            )
            for name in ("mask", "misplaced")
        },
        "talks": code("talks", TALKS),
        "loopback": code("loopback", TALKS, "loopback"),
    }


def result(store: Store, job: Job) -> Any:
    """The results.json of a job that succeeds."""
    job.wait("Succeeded", timeout=150)
    return json.loads(store.files(job)["results.json"])


def test_what_resources_are_available(module_namespace: Namespace) -> None:
    created = module_namespace.algorithm("defaults", resources=None, timeLimitSeconds=None, ready=False)

    spec = created["spec"]
    assert spec["timeLimitSeconds"] == 7200
    resources = spec["resources"]
    assert (resources["cpu"], resources["memory"], resources["threads"]) == ("2", "24G", 512)
    assert resources["gpu"] == {"type": "T4", "count": 1}
    assert resources["scratch"] == {"size": "30G", "medium": "Disk"}


def test_where_can_i_write(jobs: dict[str, Job], store: Store) -> None:
    writable = result(store, jobs["writes"])

    # /opt belongs to root in this image, and the algorithm is not root.
    assert writable == {"/input": False, "/output": True, "/tmp": True, "/var/tmp": True, "/opt": False}


def test_which_image_formats(jobs: dict[str, Job]) -> None:
    (read,) = jobs["nifti-in"].wait("Succeeded", timeout=150)["outputs"]
    assert {**read["image"], **GEOMETRY} == read["image"], "what NIfTI said, MetaImage says"

    given = jobs["png-in"].wait("Failed", timeout=150)
    assert (given["reason"], given["blame"]) == ("InputInvalid", "input")
    assert "kind Image takes" in given["message"]
    assert '"cases/scan.png"' in given["message"]
    assert jobs["png-in"].pods() == [], "it cost a GPU"

    written = jobs["nifti-out"].wait("Failed", timeout=150)
    assert (written["reason"], written["blame"]) == ("OutputInvalid", "algorithm")
    assert "scan.nii is no .mha file" in written["message"].replace('"', "")


@pytest.mark.parametrize("name", ["shares", "worker"])
def test_a_dataloader_without_shared_memory(jobs: dict[str, Job], name: str) -> None:
    status = jobs[name].wait("Failed", timeout=150)

    assert status["reason"] == "SharedMemoryExceeded"
    for part in (
        "than /dev/shm has (what the node gives, mostly 64 MiB)",
        "num_workers=0",
        "resources.sharedMemory",
    ):
        assert part in status["message"]
    if name == "worker":
        assert "is killed by signal: Bus error" in status["message"]


def test_a_dataloader_with_shared_memory(jobs: dict[str, Job], store: Store) -> None:
    assert result(store, jobs["sharing"]) == {"shared": "all"}


def test_onnxruntime_with_session_options(jobs: dict[str, Job], store: Store) -> None:
    seen = result(store, jobs["onnx-options"])

    assert seen["sum"] == 256**3
    assert store.files(jobs["onnx-options"])["logs/stderr.log"] == b""
    assert jobs["onnx-options"].condition("StderrOutput") is None


def test_onnxruntime_on_a_node_that_gives_it_one_processor(jobs: dict[str, Job], store: Store) -> None:
    """Where the kubelet pins containers (CPU manager, static): what it would do is done here by hand."""
    if kind.chosen():
        pytest.skip("the cgroups of a kind node are Docker's")
    job = jobs["onnx-one-cpu"]
    pod = job.running(timeout=120)
    (container,) = pod["status"]["containerStatuses"]
    container_id = container["containerID"].rpartition("/")[2]
    files = eventually(
        lambda: list(Path("/sys/fs/cgroup").glob(f"**/*{container_id}*/cpuset.cpus")),
        10,
        "its cpuset is found",
    )
    for file in files:
        file.write_text("0")

    seen = result(store, job)

    assert (seen["sum"], seen["cpus"]) == (256**3, 1), "it ran all the same"
    assert b"pthread_setaffinity_np failed" in store.files(job)["logs/stderr.log"]
    warning = job.condition("StderrOutput")
    assert warning is not None
    assert "a warning, not a failure" in warning["message"]


def test_an_overlay_in_the_wrong_place(jobs: dict[str, Job]) -> None:
    (mask,) = jobs["mask"].wait("Succeeded", timeout=150)["outputs"]
    assert {key: mask["image"][key] for key in ("spacing", "origin")} == GEOMETRY

    failed = jobs["misplaced"].wait("Failed", timeout=150)
    assert (failed["reason"], failed["blame"]) == ("OutputInvalid", "algorithm")
    for part in (
        'The image produced in "images/mask" is not valid. It does not lie on input "scan": its spacing is (1, 1, 1)',
        "its origin is (0, 0, 0) mm, ",
        "output.CopyInformation(input).",
    ):
        assert part in failed["message"]


def test_an_algorithm_that_talks_to_itself(jobs: dict[str, Job], store: Store) -> None:
    status = jobs["talks"].wait("Failed", timeout=150)
    assert status["reason"] == "ExitCode"
    for part in ("Address family not supported", "Network socket refused (AF_INET", "set network: Loopback."):
        assert part in status["message"]

    assert result(store, jobs["loopback"]) == {"heard": "hello"}
