"""The gateway is killed in the middle of an upload, of a job and of a download: nothing accepted is lost, and what the
client does by itself, or the same loop again, ends well."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
import urllib3

from scripts.gateway import Address
from tests.e2e.gateway import GATEWAY_LABELS, Person, lungs, person
from tests.e2e.harness import OPERATOR_NAMESPACE, Namespace, Object, Store
from tests.e2e.kube import Kube, eventually
from tests.gcapi.environments import NEWEST

MIB = 1 << 20


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    return module_namespace.store()


@pytest.fixture(scope="module")
def somebody(module_namespace: Namespace, store: Store, lungs_image: str, gateway: Address) -> Person:
    lungs(module_namespace, lungs_image)
    module_namespace.algorithm("probe")
    return person(module_namespace, gateway)


def kill_the_gateway(kube: Kube, somebody: Person) -> None:
    """As a node that dies does it: at once, no goodbye. Another one is reached afterwards."""
    before = {pod["metadata"]["uid"] for pod in kube.list("pods", OPERATOR_NAMESPACE, GATEWAY_LABELS)}
    for pod in kube.list("pods", OPERATOR_NAMESPACE, GATEWAY_LABELS):
        path = kube.path("pods", OPERATOR_NAMESPACE, pod["metadata"]["name"])
        kube.request("DELETE", path, {"gracePeriodSeconds": 0})

    def ready() -> bool:
        return any(
            pod["metadata"]["uid"] not in before
            and any(
                c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or []
            )
            for pod in kube.list("pods", OPERATOR_NAMESPACE, GATEWAY_LABELS)
        )

    def reached() -> bool:
        try:
            return somebody.request("GET", "gcapi/", token=None).status == 200
        except urllib3.exceptions.HTTPError:
            return False  # a Pod is ready before the node's rules lead to it

    eventually(ready, 90, "another gateway is ready")
    eventually(reached, 30, "another gateway is reached")


LOOP = """
import httpx, sys, time
def steadily(action):
    # What a script that is to survive does: the same again. Requests that got no answer are safe to repeat.
    for attempt in range(60):
        try:
            return action()
        except (httpx.TransportError, httpx.HTTPStatusError, KeyError) as error:
            print("again:", type(error).__name__, file=sys.stderr)
            time.sleep(1)
    raise SystemExit("given up")
"""


def test_in_the_middle_of_an_upload(
    somebody: Person, module_namespace: Namespace, store: Store, tmp_path: Path
) -> None:
    """Parts that arrived are there, the same URL takes the part again, and the upload is completed."""
    data = b"0123456789abcdef" * (64 * MIB // 16)
    upload = somebody.json("POST", "uploads/", {"filename": "half.zip"})
    place = f"uploads/{upload['pk']}/{upload['s3_upload_id']}"
    urls = somebody.json("PATCH", f"{place}/generate-presigned-urls/", {"part_numbers": [1, 2]})[
        "presigned_urls"
    ]
    first = somebody.request("PUT", urls["1"], data[: 32 * MIB], token=None)
    assert first.status == 200
    kill_the_gateway(module_namespace.kube, somebody)
    assert [p["PartNumber"] for p in somebody.json("GET", f"{place}/list-parts/")["parts"]] == [1]
    second = somebody.request("PUT", urls["2"], data[32 * MIB :], token=None)
    assert second.status == 200
    parts = [
        {"PartNumber": number, "ETag": answer.headers["ETag"]}
        for number, answer in enumerate((first, second), 1)
    ]
    done = somebody.json("PATCH", f"{place}/complete-multipart-upload/", {"parts": parts})
    assert done["status"] == "Completed"
    stored = store.root / "gateway" / "uploads" / upload["pk"] / "half.zip"
    assert hashlib.sha256(stored.read_bytes()).digest() == hashlib.sha256(data).digest()


def test_while_the_client_uploads_and_submits(
    somebody: Person, module_namespace: Namespace, tmp_path: Path
) -> None:
    """A loop over cases, with the gateway killed under it: every case has one job that succeeds."""
    for number in range(6):
        header = b"ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 128 128 64\n"
        header += b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
        (tmp_path / f"ct-{number}.mha").write_bytes(header + bytes([number]) * (1 << 20))
    script = (
        LOOP
        + """
import glob, json
from gcapi import SocketValueSpec
pks = []
for ct in sorted(glob.glob("ct-*.mha")):
    pks.append(steadily(lambda: client.start_algorithm_job(
        algorithm_slug="lung-analysis",
        inputs=[SocketValueSpec(socket_slug="ct-image", file=ct), SocketValueSpec(socket_slug="lung-volume", value=7)],
    )).pk)
    print(len(pks), flush=True)
while True:
    states = [steadily(lambda: client.algorithm_jobs.detail(pk)).status for pk in pks]
    if all(state in ("Succeeded", "Failed", "Cancelled") for state in states):
        break
    time.sleep(1)
print(json.dumps([pks, states]))
"""
    )
    running = somebody.start(NEWEST, script, tmp_path)
    assert running.stdout is not None
    assert running.stdout.readline() == "1\n"
    kill_the_gateway(module_namespace.kube, somebody)
    said, errors = running.communicate(timeout=240)
    assert running.returncode == 0, errors
    pks, states = json.loads(said.splitlines()[-1])
    assert states == ["Succeeded"] * 6, errors
    assert len(set(pks)) == 6


def test_in_the_middle_of_a_job(somebody: Person, module_namespace: Namespace) -> None:
    """A job does not need the gateway; its pk is known to the next one."""
    algorithm = somebody.json("GET", "algorithms/?slug=probe")["results"][0]["api_url"]
    script = {"do": [["sleep", 4], ["write_json", "results.json", "survived"]]}
    body = {"algorithm": algorithm, "inputs": [{"interface": "script", "value": script}]}
    pk = somebody.json("POST", "algorithms/jobs/", body)["pk"]
    kill_the_gateway(module_namespace.kube, somebody)

    def ended() -> Object | None:
        job: Object = somebody.json("GET", f"algorithms/jobs/{pk}/")
        return job if job["status"] == "Succeeded" else None

    assert eventually(ended, 90, "the job has succeeded")["outputs"][0]["value"] == "survived"


def test_in_the_middle_of_a_download(
    somebody: Person, module_namespace: Namespace, store: Store, tmp_path: Path
) -> None:
    """The client sees an error and no half file; the next try has all of it."""
    size = [700, 700, 640]
    outputs = [{"slug": "big", "kind": "Image", "relativePath": "images/big"}]
    module_namespace.algorithm(
        "large", outputs=outputs, resources={"cpu": "100m", "memory": "128Mi", "scratch": {"size": "1Gi"}}
    )
    job = module_namespace.job(
        "large", algorithm="large", do=[["write_zeros_mha", "images/big/big.mha", size]]
    )
    stored = job.wait("Succeeded", 120)["outputs"][0]
    value = somebody.json("GET", f"algorithms/jobs/{job.uid}/")["outputs"][0]
    image = somebody.json("GET", value["image"])
    assert image["shape"] == size[::-1]
    script = (
        LOOP
        + f"""
import hashlib
print("begun", flush=True)
answer = steadily(lambda: client(url={image["files"][0]["file"]!r}, follow_redirects=True))
print(hashlib.sha256(answer.content).hexdigest())
"""
    )
    running = somebody.start(NEWEST, script, tmp_path)
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"
    time.sleep(0.5)
    kill_the_gateway(module_namespace.kube, somebody)
    said, errors = running.communicate(timeout=240)
    assert running.returncode == 0, errors
    assert said.strip() == stored["sha256"]
    assert "again" in errors, "the gateway was killed too late"
