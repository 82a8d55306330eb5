"""The command: check the archive as the operator will, upload what the registry lacks, say under which digest it is."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from dxf import DXF, DXFBase
from dxf.exceptions import DXFAuthInsecureError, DXFUnauthorizedError

from algorithm_operator.api.algorithm import AlgorithmSpec, Image, ResolvedImage
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli import show
from algorithm_operator.cli.errors import CliError, UsageError, behind
from algorithm_operator.cli.push.archive import Archive, ArchiveError, opened
from algorithm_operator.cli.push.blobs import prepared
from algorithm_operator.cli.push.logins import User, configured
from algorithm_operator.core.acceptable import image_refusal
from algorithm_operator.core.inspection import Ask, ImageError, follow, subject
from algorithm_operator.core.reference import Reference, parse
from algorithm_operator.core.registry import MANIFESTS, digest_of, is_docker_hub

_MANIFEST = MANIFESTS[0]
_CONFIG = "application/vnd.oci.image.config.v1+json"
_TIMEOUT = 300.0
"""Registries answer to the last byte of a layer when they have it in their store."""
_ANY = Interface(inputs=[Socket(slug="any", kind="String")], outputs=[Socket(slug="some", kind="String")])
Begin = Callable[[str, int | None], Callable[[int], None]]


def push(file: Path, text: str, user: str | None, *, password_stdin: bool, insecure: bool) -> None:
    """`push FILE REFERENCE`: prints REPOSITORY@DIGEST."""
    reference = _reference(text)
    if password_stdin != (user is not None):
        raise UsageError("Give --username and --password-stdin together, or neither.")
    if user is not None:
        login: User | None = User(user, sys.stdin.readline().rstrip("\r\n"))
    else:
        login = configured(reference.host, reference.repository)
    with opened(file) as archive, show.transferring() as begin:
        _check(text, archive)
        with _talking(reference, insecure):
            digest = _upload(archive, _registry(reference, login, insecure), reference, begin)
    pushed = f"{reference.registry}/{reference.repository}@{digest}"
    print(pushed)
    show.note(f'in algorithm.yaml: image: {{reference: "{pushed}"}}')


def _reference(text: str) -> Reference:
    try:
        reference = parse(text)
    except ValueError as error:
        raise UsageError(f"{quoted(text, 512)} is no reference of an image: {error}.") from None
    if reference.digest is not None:
        raise UsageError(f"{quoted(text, 512)} names a digest, which is what a push ends with; name a tag.")
    if is_docker_hub(reference.registry) and not is_docker_hub(text.partition("/")[0]):
        # A pull may leave it out; an upload should not go to the whole world by a slip.
        raise UsageError(
            f"{quoted(text, 512)} names no registry; write REGISTRY/{shown(text, 512)}, "
            f"or for Docker Hub docker.io/{reference.repository}:TAG."
        )
    return reference


def _check(text: str, archive: Archive) -> None:
    """Refuse what the operator would refuse, in its words: they are Grand Challenge's."""
    digest = digest_of(archive.config)
    try:
        image = follow(
            subject("image", text), Ask(kind="blobs", version=digest, digest=digest), archive.config
        )
    except ImageError as error:
        raise ArchiveError(error.message) from None
    assert isinstance(image, ResolvedImage)  # noqa: S101 - which is what a configuration leads to
    if refused := image_refusal(AlgorithmSpec(image=Image(reference=text), interfaces=[_ANY]), image):
        raise ArchiveError(refused[1])


def _registry(reference: Reference, login: User | None, insecure: bool) -> DXF:
    def authenticate(registry: DXFBase, response: requests.Response) -> None:
        name, password = (login.name, login.password) if login else (None, None)
        registry.authenticate(name, password, actions=["push", "pull"], response=response)

    return DXF(reference.host, reference.repository, authenticate, insecure=insecure, timeout=_TIMEOUT)


def _upload(archive: Archive, registry: DXF, reference: Reference, begin: Begin) -> str:
    """Layers in the order of the archive, which may be compressed; then the configuration, then the manifest."""
    descriptors: dict[int, dict[str, Any]] = {}
    with registry:
        for place, layer in sorted(enumerate(archive.layers), key=lambda each: each[1].offset):
            name = f"layer {place + 1} of {len(archive.layers)}"
            with prepared(archive, layer, begin(f"{name}: read", layer.size)) as blob:
                descriptors[place] = blob.descriptor
                registry.push_blob(str(blob.file), _progress(begin(f"{name}: sent", blob.size)))
        with tempfile.NamedTemporaryFile() as file:
            file.write(archive.config)
            file.flush()
            digest = registry.push_blob(file.name)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {"mediaType": _CONFIG, "digest": digest, "size": len(archive.config)},
                "layers": [descriptors[place] for place in sorted(descriptors)],
            }
        )
        registry.set_manifest(reference.version, manifest)
    return digest_of(manifest.encode())


def _progress(report: Callable[[int], None]) -> Callable[[str, bytes, int], None]:
    done = 0

    def sent(digest: str, chunk: bytes, size: int) -> None:
        nonlocal done
        done += len(chunk)
        report(done)

    return sent


@contextmanager
def _talking(reference: Reference, insecure: bool) -> Iterator[None]:
    """What a registry does not do, in words."""
    host = shown(reference.host)
    try:
        yield
    except DXFUnauthorizedError:
        raise CliError(
            f"{host} does not let you push to {shown(reference.repository)}: docker login {host}, or give --username "
            "and --password-stdin."
        ) from None
    except DXFAuthInsecureError:
        raise CliError(
            f"{host} asks who you are, and a password does not go over plain HTTP: leave --insecure out."
        ) from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        why = "it refuses the credentials" if status == 403 else f"it answers HTTP {status}"
        raise CliError(f"The push to {host} failed: {why}{_said(error.response)}.") from None
    except requests.exceptions.SSLError as error:
        hint = "" if insecure else " If it speaks plain HTTP, add --insecure."
        raise CliError(f"{host} cannot be trusted: {behind(error, _TIMEOUT)}.{hint}") from None
    except requests.RequestException as error:
        raise CliError(f"{host} cannot be reached: {behind(error, _TIMEOUT)}.") from None


def _said(response: requests.Response | None) -> str:
    """The registry's own words, if it has some."""
    try:
        first = response.json()["errors"][0] if response is not None else {}
        words = f"{first['code']}: {first['message']}"
    except (ValueError, LookupError, TypeError):
        return ""
    return f" ({shown(words, 256)})"
