"""What a person who means harm can try at the gateway's door, on the cluster over TLS."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.gateway import Address
from tests.e2e.gateway import GATEWAY_LABELS, Person, lungs, person
from tests.e2e.harness import OPERATOR_NAMESPACE, Namespace, Store

ELSEWHERE = [
    "https://169.254.169.254/latest/meta-data/",
    "https://kubernetes.default.svc/api/v1/secrets",
    "http://127.0.0.1:8443/healthz",
    "file:///etc/passwd",
    "//evil.example.org/uploads/1/",
    "../../../../uploads/",
]


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    return module_namespace.store()


@pytest.fixture(scope="module")
def somebody(module_namespace: Namespace, store: Store, lungs_image: str, gateway: Address) -> Person:
    lungs(module_namespace, lungs_image)
    return person(module_namespace, gateway)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..", "a/b.dcm", "a\\b.dcm", "a\x00.dcm", "a\n.dcm", "", "x" * 129, "/etc/passwd"],
    ids=["up", "dots", "slash", "backslash", "nul", "newline", "empty", "long", "absolute"],
)
def test_names_that_lead_elsewhere(name: str, somebody: Person, store: Store) -> None:
    before = sorted(store.root.rglob("*"))
    answer = somebody.request("POST", "uploads/", {"filename": name})
    assert answer.status == 400, answer.data
    assert b"filename" in answer.data
    assert sorted(store.root.rglob("*")) == before


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("key", ["user_upload", "user_uploads", "image", "upload_session"])
def test_urls_are_never_fetched(url: str, key: str, somebody: Person) -> None:
    """They are taken apart and compared, and name nothing."""
    algorithm = somebody.json("GET", "algorithms/?slug=lung-analysis")["results"][0]["api_url"]
    given = [url] if key == "user_uploads" else url
    inputs = [{"interface": "ct-image", key: given}, {"interface": "lung-volume", "value": 1}]
    answer = somebody.request("POST", "algorithms/jobs/", {"algorithm": algorithm, "inputs": inputs})
    assert answer.status == 400, answer.data
    if key != "user_upload":  # which is not looked at for an image
        assert b"does not exist" in answer.data
    answer = somebody.request("POST", "algorithms/jobs/", {"algorithm": url, "inputs": inputs})
    assert answer.status == 400


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_huge_bodies_are_refused_unread(chunked: bool, somebody: Person) -> None:
    with connected(somebody) as sock:
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {1 << 40}"
        head = [
            f"POST {path(somebody)}uploads/ HTTP/1.1",
            f"Host: {host(somebody)}",
            f"Authorization: Bearer {somebody.token}",
            "Content-Type: application/json",
            length,
        ]
        sock.sendall("\r\n".join([*head, "", ""]).encode())
        block = b"100000\r\n" + b" " * (1 << 20) + b"\r\n" if chunked else b" " * (1 << 20)
        answer, sent = b"", 0
        try:
            for _ in range(64):
                sock.sendall(block)
                sent += 1
            answer = sock.recv(4096)
        except OSError:
            pass
        if not answer:
            sock.settimeout(5)
            try:
                answer = sock.recv(4096)
            except OSError:
                answer = b""
    assert b" 413 " in answer.split(b"\r\n", 1)[0] or sent < 64, answer


def test_slow_clients_do_not_hold_a_connection(somebody: Person) -> None:
    """One that never ends its request's head is let go; others are served meanwhile."""
    with connected(somebody) as sock:
        sock.sendall(f"GET {path(somebody)}algorithms/ HTTP/1.1\r\nHost: {host(somebody)}\r\n".encode())
        started = time.monotonic()
        sock.settimeout(60)
        assert somebody.request("GET", "algorithms/").status == 200
        try:
            ended = sock.recv(4096)
        except OSError:
            ended = b""
        assert ended == b"" or b" 408 " in ended
        assert time.monotonic() - started < 45


def test_presigned_urls_cannot_be_bent(somebody: Person) -> None:
    upload = somebody.json("POST", "uploads/", {"filename": "a.zip"})
    place = f"uploads/{upload['pk']}/{upload['s3_upload_id']}"
    url = somebody.json("PATCH", f"{place}/generate-presigned-urls/", {"part_numbers": [1]})[
        "presigned_urls"
    ]["1"]
    other = url.replace("/parts/1/", "/parts/2/")
    assert other != url
    assert somebody.request("PUT", other, b"x", token=None).status == 403
    assert (
        somebody.request("PUT", url[:-1] + ("0" if url[-1] != "0" else "1"), b"x", token=None).status == 403
    )
    assert somebody.request("PUT", url.partition("?")[0], b"x", token=None).status in (401, 403)
    assert somebody.request("PUT", url, b"x", token=None).status == 200


def test_no_token_and_no_signature_in_the_log(
    somebody: Person, module_namespace: Namespace, tmp_path: Path
) -> None:
    """Whatever happened in this file."""
    upload = somebody.json("POST", "uploads/", {"filename": "secret-name-of-a-patient.zip"})
    place = f"uploads/{upload['pk']}/{upload['s3_upload_id']}"
    urls = somebody.json("PATCH", f"{place}/generate-presigned-urls/", {"part_numbers": [1]})
    url = urls["presigned_urls"]["1"]
    somebody.request("PUT", url, b"x", token=None)
    somebody.request("GET", f"algorithms/?token={somebody.token}", token=None)
    somebody.request("GET", f"no-such/{somebody.token}/")
    signature = url.rpartition("signature=")[2]
    (pod,) = module_namespace.kube.list("pods", OPERATOR_NAMESPACE, GATEWAY_LABELS)
    log = module_namespace.kube.logs(OPERATOR_NAMESPACE, pod["metadata"]["name"], "gateway")
    assert len(log.splitlines()) > 10
    for secret in (somebody.token, somebody.token.rpartition(".")[2], signature, "secret-name-of-a-patient"):
        assert secret not in log


def host(somebody: Person) -> str:
    return urlsplit(somebody.base_url).netloc


def path(somebody: Person) -> str:
    return urlsplit(somebody.base_url).path


def connected(somebody: Person) -> ssl.SSLSocket:
    """A bare TLS connection."""
    context = ssl.create_default_context(cafile=str(somebody.address.ca))
    name, _, port = host(somebody).partition(":")
    sock = socket.create_connection((name, int(port)), timeout=20)
    return context.wrap_socket(sock, server_hostname=name)
