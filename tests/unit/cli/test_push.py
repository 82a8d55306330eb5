"""What goes into a registry, what is refused before a byte does, and what registries do not do."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from algorithm_operator.cli.authoring import app
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.push import archive as archives
from algorithm_operator.cli.push import logins
from tests.unit.cli.registry import REPOSITORY, Registry, running

Files = dict[str, bytes]
AUTH = base64.b64encode(b"me:secret").decode()
LAYERS = [b"first layer " * 1000, b"second layer " * 1000]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config(**changes: Any) -> bytes:
    document: dict[str, Any] = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"User": "user", "Entrypoint": ["python", "inference.py"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer)}" for layer in LAYERS]},
    }
    return json.dumps({**document, **changes}).encode()


def docker(configuration: bytes = config(), layers: list[bytes] = LAYERS) -> Files:
    """As `docker save` wrote it for years: the manifest last."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    name = f"{sha256(configuration)}.json"
    manifest = [{"Config": name, "RepoTags": ["lesions:latest"], "Layers": names}]
    return {
        **dict(zip(names, layers, strict=True)),
        name: configuration,
        "manifest.json": json.dumps(manifest).encode(),
    }


def layout(
    *, layers: list[bytes] = LAYERS, nested: bool = False, platforms: tuple[str, ...] = ("amd64",)
) -> Files:
    """An OCI layout without manifest.json, as buildx and podman write it."""
    files: Files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def put(data: bytes, **more: Any) -> dict[str, Any]:
        files[f"blobs/sha256/{sha256(data)}"] = data
        return {"digest": f"sha256:{sha256(data)}", "size": len(data), **more}

    manifests = []
    for platform in platforms:
        described = {"config": put(config(architecture=platform)), "layers": [put(layer) for layer in layers]}
        manifests.append(
            put(json.dumps(described).encode(), platform={"os": "linux", "architecture": platform})
        )
    if nested:
        manifests.append(put(b"{}", platform={"os": "unknown", "architecture": "unknown"}))
        kind = "application/vnd.oci.image.index.v1+json"
        manifests = [put(json.dumps({"mediaType": kind, "manifests": manifests}).encode(), mediaType=kind)]
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    return files


def tar(files: Files) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with running() as registry:
        yield registry


def push(tmp_path: Path, data: bytes, registry: Registry, *options: str, **more: Any) -> Result:
    file = tmp_path / "image.tar.gz"
    file.write_bytes(data)
    reference = f"{registry.host}/{REPOSITORY}:1"
    return CliRunner().invoke(app, ["push", str(file), reference, "--insecure", *options], **more)


def pushed(result: Result, registry: Registry) -> tuple[dict[str, Any], list[bytes]]:
    """The manifest, and its layers, unpacked."""
    assert result.exception is None, result.exception
    media_type, body = registry.manifests["1"]
    assert result.stdout == f"{registry.host}/{REPOSITORY}@sha256:{sha256(body)}\n"
    assert f'image: {{reference: "{result.stdout.strip()}"}}' in result.stderr
    manifest: dict[str, Any] = json.loads(body)
    assert media_type == manifest["mediaType"]
    for each in [manifest["config"], *manifest["layers"]]:
        assert len(registry.blobs[each["digest"]]) == each["size"]
    assert {each["mediaType"] for each in manifest["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }
    return manifest, [gzip.decompress(registry.blobs[each["digest"]]) for each in manifest["layers"]]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize(
    "files",
    [docker(), layout(), layout(nested=True), layout(nested=True, platforms=("arm64", "amd64"))],
    ids=["docker", "OCI", "OCI with attestation", "OCI of two platforms"],
)
def test_an_image(
    tmp_path: Path, registry: Registry, files: Files, compress: Callable[[bytes], bytes]
) -> None:
    manifest, layers = pushed(push(tmp_path, compress(tar(files)), registry), registry)
    assert layers == LAYERS
    assert registry.blobs[manifest["config"]["digest"]] == config()


def test_layers_that_are_compressed_stay_as_they_are(tmp_path: Path, registry: Registry) -> None:
    packed = [gzip.compress(layer) for layer in LAYERS]
    manifest, _ = pushed(push(tmp_path, tar(layout(layers=packed)), registry), registry)
    assert [each["digest"] for each in manifest["layers"]] == [f"sha256:{sha256(each)}" for each in packed]


def test_a_layer_that_is_a_link_to_another(tmp_path: Path, registry: Registry) -> None:
    """As older versions of Docker save a layer that is there twice."""
    twice = json.loads(config())["rootfs"] | {"diff_ids": [f"sha256:{sha256(LAYERS[0])}"] * 2}
    stream = io.BytesIO(tar(docker(config(rootfs=twice), [LAYERS[0]] * 2)))
    linked = io.BytesIO()
    with tarfile.open(fileobj=stream) as old, tarfile.open(fileobj=linked, mode="w") as new:
        for member in old:
            data = old.extractfile(member)
            if member.name == "1/layer.tar":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "../0/layer.tar", 0
            new.addfile(member, data if member.isfile() else None)
    _, layers = pushed(push(tmp_path, linked.getvalue(), registry), registry)
    assert layers == [LAYERS[0]] * 2


def test_what_is_there_is_not_sent_again(tmp_path: Path, registry: Registry) -> None:
    first = push(tmp_path, tar(docker()), registry)
    registry.asked.clear()
    assert push(tmp_path, tar(docker()), registry).stdout == first.stdout
    assert {each.split()[0] for each in registry.asked} == {"HEAD", "PUT"}
    assert [each for each in registry.asked if each.startswith("PUT")] == [
        f"PUT /v2/{REPOSITORY}/manifests/1"
    ]


def without(name: str) -> bytes:
    return tar({key: data for key, data in docker().items() if key != name})


BIG = docker()["manifest.json"][:-1] + b" " * archives.MAX_DOCUMENT_BYTES + b"]"
REFUSED = {
    "no archive": (b"nothing", "Could not decompress the container image file"),
    "cut off": (gzip.compress(tar(docker()))[:300], "Could not decompress the container image file"),
    "broken gzip": (
        gzip.compress(tar(docker()))[:-20] + b"x" * 20,
        "Could not decompress the container image file",
    ),
    "no manifest": (without("manifest.json"), "Could not find manifest.json in the container image file."),
    "no config": (
        without(f"{sha256(config())}.json"),
        "Could not find the config file in the container image file.",
    ),
    "no layer": (without("1/layer.tar"), 'Layer "1/layer.tar" is not in the container image file'),
    "two images": (
        tar({**docker(), "manifest.json": json.dumps([{}, {}]).encode()}),
        "should only have 1 image. This file contains 2.",
    ),
    "no image": (tar({"manifest.json": b"[]"}), "should only have 1 image. This file contains 0."),
    "two images of one platform": (
        tar(layout(nested=True, platforms=("amd64", "amd64"))),
        "should only have 1 image. This file contains 3.",
    ),
    "manifest is no JSON": (tar({**docker(), "manifest.json": b"["}), "should only have 1 image"),
    "large manifest": (tar({**docker(), "manifest.json": BIG}), "is larger than 4194304 bytes"),
    "another config": (
        tar({**docker(), f"{sha256(config())}.json": config(created="now")}),
        "does not have a valid sha256 hash.",
    ),
    "config is a folder": (
        tar({"manifest.json": b'[{"Config": null, "Layers": null}]'}),
        "Could not find the config file",
    ),
    "runs as root": (
        tar(docker(config(config={"Entrypoint": ["x"]}))),
        "The container runs as root. Add a user, group and USER instruction",
    ),
    "root by number": (
        tar(docker(config(config={"User": "0:0", "Entrypoint": ["x"]}))),
        "The container runs as root.",
    ),
    "no command": (tar(docker(config(config={"User": "user"}))), "neither ENTRYPOINT nor CMD"),
    "for ARM": (tar(docker(config(architecture="arm64"))), "not for linux/amd64: it is for linux/arm64"),
    "another layer": (tar(docker(layers=[LAYERS[0], b"x"])), "is damaged"),
    "another blob": (
        tar({**layout(), f"blobs/sha256/{sha256(LAYERS[1])}": gzip.compress(b"x")}),
        "is damaged",
    ),
    "fewer layers": (tar(docker(layers=LAYERS[:1])), "has 1 layers, and its config file names 2"),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_has_no_manifest(tmp_path: Path, registry: Registry, data: bytes, says: str) -> None:
    result = push(tmp_path, data, registry)
    assert isinstance(result.exception, CliError)
    assert says in str(result.exception)
    assert registry.manifests == {}


@pytest.mark.parametrize("link", ["manifest.json", "../../../../etc/hostname", "/etc/hostname"])
def test_a_link_leads_nowhere_outside(tmp_path: Path, registry: Registry, link: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.type, member.linkname = tarfile.SYMTYPE, link
        archive.addfile(member)
    result = push(tmp_path, stream.getvalue(), registry)
    assert "Could not decompress the container image file" in str(result.exception)


@pytest.mark.parametrize(
    "reference",
    ["UPPER/x:1", f"example.org/x@sha256:{'0' * 64}", "x y", "team/lesions:1", "lesions"],
    ids=["capitals", "digest", "space", "no registry", "a name alone"],
)
def test_a_reference_that_none_can_push_to(tmp_path: Path, reference: str) -> None:
    result = CliRunner().invoke(app, ["push", str(tmp_path / "x"), reference])
    assert isinstance(result.exception, CliError)
    assert result.exception.exit_code == 2


def test_no_file(tmp_path: Path) -> None:
    assert "There is no file" in str(
        CliRunner().invoke(app, ["push", str(tmp_path / "x"), "example.org/b:1"]).exception
    )


def test_a_folder_and_a_file_that_is_no_tar_are_named(tmp_path: Path, registry: Registry) -> None:
    folder = CliRunner().invoke(app, ["push", str(tmp_path), "example.org/b:1"]).exception
    assert str(folder) == f'"{tmp_path}" cannot be read: Is a directory.'
    assert str(push(tmp_path, b"nothing", registry).exception).endswith(
        ": it is no tar file, neither plain nor packed by gzip, bzip2 or xz; docker save writes one."
    )


def test_a_password_does_not_go_over_plain_http(tmp_path: Path, registry: Registry) -> None:
    registry.login = "me:secret"
    result = push(tmp_path, tar(docker()), registry, "--username", "me", "--password-stdin", input="secret\n")
    assert "a password does not go over plain HTTP" in str(result.exception)
    assert registry.blobs == {}


@pytest.fixture
def closed_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Over TLS, for those who log in, with a certificate that REQUESTS_CA_BUNDLE names."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with running(both) as registry:
        registry.login = "me:secret"
        yield registry


def push_closed(tmp_path: Path, registry: Registry, *options: str, **more: Any) -> Result:
    file = tmp_path / "image.tar"
    file.write_bytes(tar(docker()))
    return CliRunner().invoke(app, ["push", str(file), f"{registry.host}/{REPOSITORY}:1", *options], **more)


def test_whoever_logs_in_may_push(tmp_path: Path, closed_registry: Registry) -> None:
    login = ["--username", "me", "--password-stdin"]
    pushed(push_closed(tmp_path, closed_registry, *login, input="secret\n"), closed_registry)


def test_docker_login_is_enough(tmp_path: Path, closed_registry: Registry) -> None:
    (tmp_path / "docker").mkdir()
    auths = {"auths": {closed_registry.host: {"auth": AUTH}}}
    (tmp_path / "docker/config.json").write_text(json.dumps(auths))
    pushed(push_closed(tmp_path, closed_registry), closed_registry)


def test_a_wrong_password_and_none(tmp_path: Path, closed_registry: Registry) -> None:
    login = ["--username", "me", "--password-stdin"]
    for result in (
        push_closed(tmp_path, closed_registry, *login, input="wrong\n"),
        push_closed(tmp_path, closed_registry),
    ):
        assert "does not let you push to team/lesions: docker login" in str(result.exception)
        assert "wrong" not in str(result.exception)
    assert closed_registry.blobs == {}


def test_a_certificate_that_nobody_trusts(
    tmp_path: Path, closed_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "cannot be trusted" in str(push_closed(tmp_path, closed_registry).exception)
    assert closed_registry.asked == []


def test_a_registry_that_refuses_says_why(tmp_path: Path, registry: Registry) -> None:
    registry.refuses = 403
    message = str(push(tmp_path, tar(docker()), registry).exception)
    assert "it refuses the credentials (DENIED: quota\\u202e is used up)." in message


def test_a_registry_that_speaks_plain_http(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "a.tar").write_bytes(tar(docker()))
    result = CliRunner().invoke(app, ["push", str(tmp_path / "a.tar"), f"{registry.host}/{REPOSITORY}:1"])
    assert "add --insecure" in str(result.exception)


def test_nobody_there(tmp_path: Path, registry: Registry) -> None:
    registry.host = "127.0.0.1:1"
    said = str(push(tmp_path, tar(docker()), registry).exception)
    assert said == "127.0.0.1:1 cannot be reached: Connection refused."


def test_tls_is_asked_for_where_there_is_none(tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "image.tar"
    file.write_bytes(tar(docker()))
    said = CliRunner().invoke(app, ["push", str(file), f"{registry.host}/{REPOSITORY}:1"]).exception
    assert str(said) == (
        f"{registry.host} cannot be trusted: wrong version number. If it speaks plain HTTP, add --insecure."
    )


def test_username_and_password_come_together(tmp_path: Path, registry: Registry) -> None:
    assert "together" in str(push(tmp_path, tar(docker()), registry, "--username", "me").exception)


HELPER = """#!/bin/sh
read host
test "$host" = registry.example.org && echo '{"Username": "helped", "Secret": "x"}'
"""


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"auths": {"registry.example.org": {"auth": AUTH}}}, "me"),
        ({"auths": {"https://registry.example.org/v2/": {"auth": AUTH}}}, "me"),
        ({"auths": {"other.example.org": {"auth": AUTH}}}, None),
        ({"auths": {"registry.example.org": {}}, "credsStore": "test"}, "helped"),
        ({"credHelpers": {"registry.example.org": "test"}}, "helped"),
        ({"credsStore": "none", "auths": {"registry.example.org": {"auth": AUTH}}}, "me"),
        ({"credsStore": "../test"}, None),
        ({"auths": []}, None),
        ([], None),
    ],
    ids=[
        "a host",
        "a URL",
        "another host",
        "the store of all",
        "a helper",
        "a store that is not there",
        "a path as store",
        "a list of hosts",
        "a list",
    ],
)
def test_what_docker_login_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: object, name: str | None
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text(json.dumps(document))
    helper = tmp_path / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    found = logins.configured("registry.example.org", "team/x")
    assert (found.name if found else None) == name
    assert found is None or "secret" not in repr(found)
