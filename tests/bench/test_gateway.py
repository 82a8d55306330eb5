"""The gateway by the newest gcapi: 200 jobs in a loop beside the API server's own create, a GiB beside `cp`,
and its memory while that streams.

The jobs are suspended by a quota of no Pods: what is measured is the submission, not the cluster's 200 Pods.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import threading
import time
from pathlib import Path

import pytest

from scripts.gateway import Address
from scripts.gateway import gateway as gateway_of_the_cluster
from scripts.install_operator import install
from tests.bench.conftest import Record
from tests.e2e.gateway import Person, person
from tests.e2e.harness import Namespace, Store
from tests.e2e.kube import Kube
from tests.gcapi.environments import NEWEST

JOBS = 200
GIB = 1 << 30
LOOP = f"""
import json, time
from gcapi import SocketValueSpec

requests, send = [], client.send
def counted(request, **options):
    begun = time.monotonic()
    answer = send(request, **options)
    requests.append((request.method, request.url.path, time.monotonic() - begun))
    return answer
client.send = counted
for number in range({JOBS}):
    client.start_algorithm_job(
        algorithm_slug="probe",
        inputs=[SocketValueSpec(socket_slug="script", value={{"do": [["write_json", "results.json", number]]}})],
    )
print(json.dumps(requests))
"""
TRANSFER = """
import json, time
begun = time.monotonic()
with open("big.zip", "rb") as file:
    upload = client.uploads.upload_fileobj(fileobj=file, filename="big.zip")
print(json.dumps({"pk": upload.pk, "seconds": time.monotonic() - begun}))
"""


@pytest.fixture(scope="module")
def gateway(cluster: Kube) -> Address:
    """The operator with the chart's own values, and its gateway."""
    values, address = gateway_of_the_cluster()
    install([], {"gateway": values})
    return address


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_jobs_in_a_loop(
    gateway: Address, namespace: Namespace, store: Store, record: Record, tmp_path: Path
) -> None:
    namespace.algorithm(limits={"activeJobsPerUser": 10000})
    quota = {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}}
    namespace.kube.create("resourcequotas", {"kind": "ResourceQuota", **quota}, namespace.name)
    somebody = person(namespace, gateway)
    requests = json.loads(somebody.run(NEWEST, LOOP, tmp_path, timeout=600))
    posts = sorted(seconds for method, _, seconds in requests if method == "POST")
    floor = []
    for number in range(50):
        begun = time.monotonic()
        namespace.job(f"direct-{number}", do=[["write_json", "results.json", number]])
        floor.append(time.monotonic() - begun)
    assert len(posts) == JOBS
    jobs = namespace.kube.list("algorithmjobs", namespace.name, "algorithm-operator.dev/pk")
    assert len(jobs) == JOBS
    record(
        "gateway: jobs by gcapi in a loop",
        {
            "jobs": JOBS,
            "requests a job": round(len(requests) / JOBS, 3),
            "POST, median ms": round(1000 * statistics.median(posts), 1),
            "POST, 95th of 100, ms": round(1000 * posts[int(JOBS * 0.95)], 1),
            "POST, last 20 / first 20": round(
                statistics.median([s for m, _, s in requests if m == "POST"][-20:])
                / statistics.median([s for m, _, s in requests if m == "POST"][:20]),
                2,
            ),
            "create of the API server alone, median ms": round(1000 * statistics.median(floor), 1),
            "ratio": round(statistics.median(posts) / statistics.median(floor), 2),
        },
    )


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_a_gibibyte(
    gateway: Address, namespace: Namespace, store: Store, record: Record, folder: Path
) -> None:
    somebody = person(namespace, gateway)
    source = folder / "big.zip"
    with source.open("wb") as file:
        for _ in range(GIB >> 20):
            file.write(os.urandom(1 << 20))
    copied = []
    for number in range(3):
        begun = time.monotonic()
        with source.open("rb") as read, (store.root / f"copy-{number}").open("wb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            os.fsync(written.fileno())
        copied.append(time.monotonic() - begun)
    memory = Memory()
    up = json.loads(somebody.run(NEWEST, TRANSFER, folder, timeout=600))
    stored = store.root / "gateway" / "uploads" / up["pk"] / "big.zip"
    assert stored.stat().st_size == GIB
    during_upload = memory.peak()
    record(
        "gateway: 1 GiB by gcapi",
        {
            "cp with fsync, s": round(statistics.median(copied), 2),
            "upload, s": round(up["seconds"], 2),
            "upload, MiB/s": round(1024 / up["seconds"]),
            "upload / cp": round(up["seconds"] / statistics.median(copied), 2),
            "gateway before, MiB": memory.before,
            "gateway at most while it streams, MiB": during_upload,
        },
    )
    assert during_upload < memory.before + 96, "the gateway keeps what it streams"
    download(somebody, namespace, store, folder, record)


def download(somebody: Person, namespace: Namespace, store: Store, folder: Path, record: Record) -> None:
    """An output of half a GiB, read as fast as it comes, beside reading the file."""
    outputs = [{"slug": "big", "kind": "Image", "relativePath": "images/big"}]
    resources = {"cpu": "1", "memory": "256Mi", "scratch": {"size": "2Gi"}}
    namespace.algorithm("large", outputs=outputs, resources=resources)
    size = [1024, 1024, 512]
    job = namespace.job("large", algorithm="large", do=[["write_zeros_mha", "images/big/big.mha", size]])
    stored = job.wait("Succeeded", 180)["outputs"][0]
    value = somebody.json("GET", f"algorithms/jobs/{job.uid}/")["outputs"][0]
    url = somebody.json("GET", value["image"])["files"][0]["file"]
    memory = Memory()
    begun = time.monotonic()
    received = somebody.download(url)
    seconds = time.monotonic() - begun
    assert received == stored["bytes"] > GIB // 2
    record(
        "gateway: half a GiB down",
        {
            "download, MiB/s": round(512 / seconds),
            "gateway before, MiB": memory.before,
            "gateway at most while it streams, MiB": memory.peak(),
        },
    )


class Memory:
    """The gateway's resident memory in MiB, looked at twenty times a second: its process is one of this machine's."""

    def __init__(self) -> None:
        self._pid = _gateway_pid()
        self.before = self._now()
        self._most, self._over = self.before, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def peak(self) -> int:
        """The most until now; looking ends."""
        self._over.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self._most = max(self._most, self._now())

    def _now(self) -> int:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) >> 10


def _gateway_pid() -> int:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"algorithm_operator.gateway" in command:
                return int(process.name)
    pytest.skip("the gateway is no process of this machine (kind): its memory cannot be seen")
