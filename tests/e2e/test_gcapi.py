"""What people do with gcapi beside docs/gcapi.md: uploads of every size, lists, refusals, limits, jobs of long ago."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from scripts.gateway import Address
from tests.e2e.cli import call
from tests.e2e.gateway import Person, lungs, person
from tests.e2e.harness import Namespace, Object, Store
from tests.e2e.kube import eventually
from tests.gcapi.environments import MINORS, NEWEST, OLDEST

both = pytest.mark.parametrize("minor", [OLDEST, NEWEST])
FILE: Object = {"slug": "some-file", "kind": "ZIP file"}
MIB = 1 << 20


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    return module_namespace.store()


@pytest.fixture(scope="module")
def somebody(module_namespace: Namespace, store: Store, lungs_image: str, gateway: Address) -> Person:
    """With two algorithms to run: docs/gcapi.md's, and the probe."""
    lungs(module_namespace, lungs_image)
    module_namespace.algorithm("probe")
    return person(module_namespace, gateway)


@pytest.mark.parametrize("minor", MINORS)
def test_every_client_finds_the_algorithm(minor: str, somebody: Person, tmp_path: Path) -> None:
    said = somebody.run(
        minor,
        """
algorithm = client.algorithms.detail(slug="lung-analysis")
assert client.algorithms.detail(pk=algorithm.pk).slug == "lung-analysis"
print([[s.slug, s.kind, s.super_kind] for s in algorithm.interfaces[0].inputs])
print(sorted(a.slug for a in client.algorithms.iterate_all()))
""",
        tmp_path,
    )
    assert said.splitlines() == [
        "[['lung-volume', 'Integer', 'Value'], ['ct-image', 'Image', 'Image']]",
        "['lung-analysis', 'probe']",
    ]


UPLOAD = """
import sys
made = {}
for size in (0, 1, 33 << 20, 200 << 20):
    with open(f"{size}.zip", "rb") as file:
        upload = client.uploads.upload_fileobj(fileobj=file, filename=f"{size}.zip")
    assert upload.status == "Completed", upload
    made[size] = upload.pk
import json
print(json.dumps(made))
"""


@both
def test_uploads_of_every_size(minor: str, somebody: Person, store: Store, tmp_path: Path) -> None:
    """What arrives in the store is what was sent, byte by byte."""
    sizes = (0, 1, 33 * MIB, 200 * MIB)
    block = bytes(range(256)) * 4096
    sent = {}
    for size in sizes:
        data = (block * (size // len(block) + 1))[:size]
        (tmp_path / f"{size}.zip").write_bytes(data)
        sent[size] = hashlib.sha256(data).hexdigest()
    made = json.loads(somebody.run(minor, UPLOAD, tmp_path))
    for size in sizes:
        pk = made[str(size)]
        stored = store.root / "gateway" / "uploads" / pk / f"{size}.zip"
        assert hashlib.sha256(stored.read_bytes()).hexdigest() == sent[size]
        assert [path.name for path in stored.parent.iterdir()] == [stored.name]  # no part is left


def test_an_upload_that_is_aborted_leaves_nothing(somebody: Person, store: Store, tmp_path: Path) -> None:
    """The client aborts by itself when reading its file fails."""
    said = somebody.run(
        NEWEST,
        """
class Breaks:
    def __init__(self): self.parts = 0
    def read(self, size):
        self.parts += 1
        if self.parts == 3:
            raise OSError("the disk is gone")
        return b"x" * size

try:
    client.uploads.upload_fileobj(fileobj=Breaks(), filename="broken.zip")
except OSError as error:
    print(error)
(upload,) = [u for u in client.uploads.iterate_all() if u.filename == "broken.zip"]
print(upload.pk, upload.status)
""",
        tmp_path,
    )
    error, upload = said.splitlines()
    pk, status = upload.split()
    assert (error, status) == ("the disk is gone", "Aborted")
    folder = store.root / "gateway" / "uploads" / pk
    assert not list(folder.rglob("*")) if folder.exists() else True


def test_lists_are_whole_page_by_page(somebody: Person, module_namespace: Namespace, tmp_path: Path) -> None:
    """`iterate_all` gives every job once, also those that kubectl made."""
    jobs = [
        module_namespace.job(f"by-kubectl-{number}", do=[["write_json", "results.json", number]])
        for number in range(5)
    ]
    said = somebody.run(
        NEWEST,
        """
import json
every = [job.pk for job in client.algorithm_jobs.iterate_all(params={"limit": 2})]
assert len(every) == len(set(every))
page = client.algorithm_jobs.page(offset=1, limit=3)
assert [job.pk for job in page] == every[1:4]
print(json.dumps(every))
""",
        tmp_path,
    )
    assert {job.uid for job in jobs} <= set(json.loads(said))


@both
def test_what_does_not_exist(minor: str, somebody: Person, tmp_path: Path) -> None:
    said = somebody.run(
        minor,
        """
from gcapi.exceptions import ObjectNotFound
for ask in (
    lambda: client.algorithms.detail(slug="no-such"),
    lambda: client.algorithm_jobs.detail("6b5a8a1e-1f5e-4c8f-a2a8-0f8f2b8a6c11"),
    lambda: client.images.detail(pk="6b5a8a1e-1f5e-4c8f-a2a8-0f8f2b8a6c11"),
    lambda: client.archives.detail(slug="no-such"),
):
    try:
        ask()
    except ObjectNotFound:
        print("not found")
""",
        tmp_path,
    )
    assert said.splitlines() == ["not found"] * 4


ASK = """
import httpx
try:
    client.algorithms.detail(slug="lung-analysis")
except httpx.HTTPStatusError as error:
    print(error.response.status_code, error.response.json()["detail"])
"""


@both
@pytest.mark.parametrize("kind", ["wrong", "of the API server", "of somebody who was deleted"])
def test_tokens_that_do_not_count(
    minor: str, kind: str, somebody: Person, module_namespace: Namespace, gateway: Address, tmp_path: Path
) -> None:
    if kind == "wrong":
        token = "wrong"
    elif kind == "of the API server":
        path = f"/api/v1/namespaces/{somebody.namespace}/serviceaccounts/{somebody.name}/token"
        token = module_namespace.kube.request("POST", path, {"spec": {}})["status"]["token"]
    else:
        name = f"left-{minor.replace('.', '-')}"
        token = person(module_namespace, gateway, name, role=None).token
        accounts = f"/api/v1/namespaces/{somebody.namespace}/serviceaccounts"
        module_namespace.kube.request("DELETE", f"{accounts}/{name}")
    said = somebody.run(minor, ASK, tmp_path, token=token)
    assert said.startswith("401 "), said
    assert "kubectl algorithm token" in said


def test_our_tokens_are_worth_nothing_to_the_api_server(
    somebody: Person, module_namespace: Namespace
) -> None:
    """That is what the audience is for: a gateway that is broken into loses no cluster."""
    import urllib3

    kube = module_namespace.kube
    authority = kube._pool.connection_pool_kw["ca_certs"]
    with urllib3.PoolManager(ca_certs=authority) as pool:
        headers = {"Authorization": f"Bearer {somebody.token}"}
        assert pool.request("GET", f"{kube._host}/api/v1/namespaces", headers=headers).status == 401


def test_somebody_elses_does_not_exist(
    somebody: Person, make_namespace: object, module_namespace: Namespace, gateway: Address, tmp_path: Path
) -> None:
    """Jobs, algorithms and images of a namespace where one has no rights; uploads are their owner's alone."""
    job = module_namespace.job("private", do=[["write_json", "results.json", 1]])
    stranger = person(module_namespace, gateway, "stranger", role=None)
    assert stranger.request("GET", f"algorithms/jobs/{job.uid}/").status == 404
    assert stranger.json("GET", "algorithms/jobs/")["count"] == 0
    assert stranger.json("GET", "algorithms/?slug=lung-analysis")["count"] == 0
    upload = somebody.json("POST", "uploads/", {"filename": "mine.zip"})
    colleague = person(module_namespace, gateway, "colleague")
    assert colleague.request("GET", f"uploads/{upload['pk']}/").status == 404
    algorithm = somebody.json("GET", "algorithms/?slug=probe")["results"][0]
    body = {"algorithm": algorithm["api_url"], "inputs": [{"interface": "script", "value": {"do": []}}]}
    viewer = person(module_namespace, gateway, "viewer", role="algorithm-operator-viewer")
    assert viewer.request("GET", f"algorithms/jobs/{job.uid}/").status == 200
    refusal = viewer.request("POST", "algorithms/jobs/", body)
    assert refusal.status == 400, refusal.data
    assert b"Invalid hyperlink - Object does not exist." in refusal.data


def test_a_repeated_post_makes_no_second_job(somebody: Person, module_namespace: Namespace) -> None:
    """As after a lost answer; the same once it has succeeded and time has passed is refused in upstream's words."""
    algorithm = somebody.json("GET", "algorithms/?slug=probe")["results"][0]["api_url"]
    script = {"do": [["write_json", "results.json", "once"]]}
    body = {"algorithm": algorithm, "inputs": [{"interface": "script", "value": script}]}
    first, second = (somebody.json("POST", "algorithms/jobs/", body) for _ in range(2))
    assert first["pk"] == second["pk"]
    assert first["status"] == "Validating inputs"
    jobs = module_namespace.kube.list("algorithmjobs", module_namespace.name)
    assert [job["metadata"]["name"] for job in jobs if first["pk"] in job["metadata"]["name"]] == [
        f"gcapi-{first['pk']}"
    ]


def test_limits_as_the_seed_says(
    somebody: Person, module_namespace: Namespace, lungs_image: str, gateway: Address, tmp_path: Path
) -> None:
    """Jobs at the same time, and jobs in a period: 400 with upstream's words; deleting gives nothing back."""
    limits = {"activeJobsPerUser": 1, "jobsPerUser": {"count": 2, "period": "1h"}}
    module_namespace.algorithm("limited", limits=limits)
    eager = person(module_namespace, gateway, "eager")
    said = eager.run(
        NEWEST,
        """
import httpx, time
from gcapi import SocketValueSpec

def start(number, seconds):
    script = {"do": [["sleep", seconds], ["write_json", "results.json", number]]}
    return client.start_algorithm_job(
        algorithm_slug="limited", inputs=[SocketValueSpec(socket_slug="script", value=script)]
    )

def refusal(number):
    try:
        start(number, 0)
    except httpx.HTTPStatusError as error:
        return error.response.status_code, error.response.json()["non_field_errors"][0]

first = start(1, 6)
print(*refusal(2))
while client.algorithm_jobs.detail(first.pk).status != "Succeeded":
    time.sleep(0.5)
second = start(3, 0)
while client.algorithm_jobs.detail(second.pk).status != "Succeeded":
    time.sleep(0.5)
print(*refusal(4))
print(first.pk)
""",
        tmp_path,
    )
    active, period, pk = said.splitlines()
    assert active == "400 You have too many active jobs, please try again after they have completed"
    assert period.startswith("400 You have run out of algorithm credits")
    module_namespace.kube.delete("algorithmjobs", f"gcapi-{pk}", module_namespace.name)
    algorithm = eager.json("GET", "algorithms/?slug=limited")["results"][0]["api_url"]
    again = {"do": [["write_json", "results.json", 5]]}
    body = {"algorithm": algorithm, "inputs": [{"interface": "script", "value": again}]}
    answer = eager.request("POST", "algorithms/jobs/", body)
    assert answer.status == 400
    assert b"run out of algorithm credits" in answer.data


def test_a_job_outlives_its_object(somebody: Person, module_namespace: Namespace) -> None:
    """Asked for by its pk, it is answered from the run record, with outputs that can be downloaded."""
    algorithm = somebody.json("GET", "algorithms/?slug=probe")["results"][0]["api_url"]
    script = {"do": [["write_json", "results.json", {"kept": True}]]}
    body = {"algorithm": algorithm, "inputs": [{"interface": "script", "value": script}]}
    pk = somebody.json("POST", "algorithms/jobs/", body)["pk"]

    def job() -> Object:
        found: Object = somebody.json("GET", f"algorithms/jobs/{pk}/")
        return found

    before = eventually(
        lambda: found if (found := job())["status"] == "Succeeded" else None, 90, "it succeeds"
    )
    module_namespace.kube.delete("algorithmjobs", f"gcapi-{pk}", module_namespace.name)
    eventually(
        lambda: module_namespace.kube.get("algorithmjobs", f"gcapi-{pk}", module_namespace.name) is None,
        60,
        "its object is gone",
    )
    after = job()
    for key in ("pk", "status", "outputs", "api_url"):
        assert after[key] == before[key], key
    assert after["outputs"][0]["value"] == {"kept": True}


def test_the_snippet_of_kubectl_algorithm_token(somebody: Person, tmp_path: Path) -> None:
    """All that it prints, pasted: the shell's line into a shell, the rest into Python."""
    done = call("token", "-n", somebody.namespace, "--service-account", somebody.name, "--duration", "1h")
    assert done.returncode == 0, done.stderr
    assert f'base_url="{somebody.base_url}"' in done.stdout
    assert somebody.base_url.endswith("/api/v1/")
    assert "SSL_CERT_FILE" in done.stdout
