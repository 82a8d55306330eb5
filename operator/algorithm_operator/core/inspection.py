"""What an image reference means: which question to its registry comes next, and what the answers say. Pure.

    ask = first(subject)
    while True: ask-or-result = follow(subject, ask, the bytes that the registry gave)

Both ways of asking (the operator itself, and Pods with pull secrets) share this course. The same answers lead to the
same questions, so a look-up by Pods is replayed from their logs after a restart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from algorithm_operator.api.algorithm import ResolvedImage, ResolvedModel
from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import shown
from algorithm_operator.contract.fetching import FetchKind, FetchReport, Outcome
from algorithm_operator.core.reference import DIGEST, Reference, parse
from algorithm_operator.core.registry import INDEXES, digest_of

What = Literal["image", "model"]

_IDS = re.compile(r"([0-9]{1,10}):([0-9]{1,10})")
_MAX_ID = 2**32 - 2
_HOOKS = ("LD_PRELOAD", "LD_AUDIT")
_ANY_GPU = ("", "all", "none", "void")
"""What CUDA's own base images say: the cluster's device plugin, or the Pod, says it anew."""


class ImageError(Exception):
    """Why an image cannot be used: a reason of the catalogue, and its sentence."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked up: the algorithm's image, or the image that holds its model."""

    what: What
    text: str
    reference: Reference

    @property
    def field(self) -> str:
        """Where it stands in the Algorithm."""
        return "spec.image" if self.what == "image" else "spec.model.image"

    def refuse(self, reason: Reason, **facts: object) -> ImageError:
        """The error, in words that say which of the two is meant."""
        noun = "image" if self.what == "image" else "model image"
        own = {"image": shown(self.text), "noun": noun, "Noun": noun.capitalize(), "field": self.field}
        return ImageError(reason, sentence(reason, **{**own, **facts}))


@dataclass(frozen=True, slots=True)
class Ask:
    """The next thing to fetch, and what is settled by then: the image's own manifest, once it was seen."""

    kind: FetchKind
    version: str
    round: int = 1
    of_index: bool = False
    """It was chosen from an index."""
    digest: str | None = None
    size_bytes: int | None = None


def subject(what: What, text: str) -> Subject:
    """The reference of an Algorithm; ImageError if it is none."""
    try:
        return Subject(what, text, parse(text))
    except ValueError as error:
        field = "spec.image" if what == "image" else "spec.model.image"
        message = f"{field}.reference {shown(text)} is not valid: {error}."
        raise ImageError(Reason.SPEC_INVALID, message) from error


def first(of: Subject) -> Ask:
    """Where every look-up begins: whatever the tag or digest names."""
    return Ask(kind="manifests", version=of.reference.version)


def follow(of: Subject, ask: Ask, body: bytes) -> Ask | ResolvedImage | ResolvedModel:
    """What the answer to `ask` leads to. ImageError if the image is none that can run here.

    The digest is that of the image's own manifest, even if the reference names an index of several platforms.
    Whether command and user are acceptable is for others to say (acceptable.py).
    """
    digest = digest_of(body)
    if DIGEST.fullmatch(ask.version) and digest != ask.version:
        raise of.refuse(Reason.REGISTRY_UNREACHABLE, why=f"it answers with other bytes than {ask.version}")
    document = _json(body)
    if ask.kind == "blobs":
        return _configured(of, ask, document)
    if not isinstance(document, dict):
        raise of.refuse(Reason.IMAGE_PLATFORM, why="its manifest is not an OCI or Docker image")
    if document.get("mediaType") in INDEXES or isinstance(document.get("manifests"), list):
        if ask.of_index:
            raise of.refuse(Reason.IMAGE_PLATFORM, why="its index names another index")
        return Ask(kind="manifests", version=_of_platform(of, document), round=ask.round + 1, of_index=True)
    config = document.get("config")
    if not isinstance(config, dict):
        raise of.refuse(Reason.IMAGE_PLATFORM, why="its manifest is not an OCI or Docker image")
    if of.what == "model":
        return ResolvedModel(reference=of.text, digest=digest)
    described = config.get("digest")
    if not isinstance(described, str) or not DIGEST.fullmatch(described):
        raise of.refuse(Reason.IMAGE_PLATFORM, why="its manifest names no configuration")
    return Ask(
        kind="blobs",
        version=described,
        round=ask.round + 1,
        digest=digest,
        size_bytes=_size(document),
    )


def refused(of: Subject, report: FetchReport, secrets: Sequence[str], namespace: str) -> ImageError:
    """The words for a fetch that gave nothing. `secrets`: those that the Algorithm names for it."""
    host = shown(of.reference.registry)
    absent = [shown(name) for name in report.missing]
    if report.outcome is Outcome.UNREACHABLE:
        return of.refuse(Reason.REGISTRY_UNREACHABLE, why=report.why)
    if absent:  # a registry may well say 404 to those whom it does not let in
        facts = {"secrets": " and ".join(absent), "secret": absent[0], "namespace": namespace, "host": host}
        return of.refuse(Reason.PULL_SECRET_NOT_FOUND, **facts)
    if report.outcome is Outcome.NOT_FOUND:
        return of.refuse(Reason.IMAGE_NOT_FOUND)
    if report.refused is not None:
        why = (
            f"its registry refuses the credentials of Secret {shown(report.refused)}. Correct the Secret: "
            f"kubectl create secret docker-registry {shown(report.refused)} --namespace {namespace} "
            f"--docker-server={host} --docker-username=… --docker-password=… --dry-run=client -o yaml "
            "| kubectl apply -f -"
        )
    elif report.unusable:
        why = (
            f"Secret {shown(report.unusable[0])} is not one for registries (type kubernetes.io/dockerconfigjson). "
            "Make it anew: kubectl create secret docker-registry"
        )
    elif secrets:
        why = (
            f"its registry does not let anonymous readers in, and Secret {' and '.join(map(shown, secrets))} of "
            f"{of.field}.pullSecrets names no credentials for {host}. Name one that does: "
            f"kubectl create secret docker-registry registry --namespace {namespace} --docker-server={host} "
            "--docker-username=… --docker-password=…"
        )
    else:
        why = (
            "its registry does not let anonymous readers in. Name a Secret with credentials in "
            f"{of.field}.pullSecrets: kubectl create secret docker-registry registry --namespace {namespace} "
            f"--docker-server={host} --docker-username=… --docker-password=…"
        )
    return of.refuse(Reason.IMAGE_UNAUTHORIZED, why=why)


def _configured(of: Subject, ask: Ask, document: object) -> ResolvedImage:
    config = _mapping(document)
    if (platform := (config.get("os"), config.get("architecture"))) != ("linux", "amd64"):
        raise of.refuse(Reason.IMAGE_PLATFORM, why=shown(f"it is for {platform[0]}/{platform[1]}"))
    if ask.digest is None:
        raise ValueError("a configuration is asked for once its manifest is known")
    run = _mapping(config.get("config"))
    _check_environment(of, run.get("Env"))
    user = _text(of, "USER", run.get("User"), 255) or None
    uid, gid = _numeric(user or "")
    return ResolvedImage(
        reference=of.text,
        digest=ask.digest,
        entrypoint=_words(of, "ENTRYPOINT", run.get("Entrypoint"), 64),
        cmd=_words(of, "CMD", run.get("Cmd"), 256),
        working_dir=_text(of, "WORKDIR", run.get("WorkingDir"), 1024) or None,
        user=user,
        uid=uid,
        gid=gid,
        size_bytes=ask.size_bytes,
    )


def _numeric(user: str) -> tuple[int | None, int | None]:
    """uid and gid where USER states both. The group of one alone is in the image's /etc/passwd, as Docker has it."""
    match = _IDS.fullmatch(user)
    uid, gid = (int(match[1]), int(match[2])) if match else (_MAX_ID + 1, 0)
    return (uid, gid) if max(uid, gid) <= _MAX_ID else (None, None)


def _check_environment(of: Subject, entries: object) -> None:
    for entry in entries if isinstance(entries, list) else []:
        name, _, value = entry.partition("=") if isinstance(entry, str) else ("", "", "")
        if name in _HOOKS and value:
            why = (
                f"its ENV sets {name}={shown(value, 100)}, which is loaded into programs of the node that set the "
                "container up, too. Set it where it is needed alone, in the start script or by "
                f'ENTRYPOINT ["env", "{name}=…", "program"]'
            )
            raise of.refuse(Reason.IMAGE_INVALID, why=why)
        if name == "NVIDIA_VISIBLE_DEVICES" and value not in _ANY_GPU:
            why = (
                f"its ENV sets NVIDIA_VISIBLE_DEVICES={shown(value, 100)}; which GPU a job gets is for the cluster to "
                "say. Remove that line from the Dockerfile"
            )
            raise of.refuse(Reason.IMAGE_INVALID, why=why)


def _of_platform(of: Subject, index: Mapping[str, Any]) -> str:
    offered: list[str] = []
    entries = index.get("manifests")
    for entry in entries if isinstance(entries, list) else []:
        platform = _mapping(_mapping(entry).get("platform"))
        name = f"{platform.get('os')}/{platform.get('architecture')}"
        digest = _mapping(entry).get("digest")
        if name == "linux/amd64" and isinstance(digest, str) and DIGEST.fullmatch(digest):
            return digest
        if name != "unknown/unknown":  # attestations
            offered.append(name)
    names = ", ".join(sorted(set(offered))) or "nothing"
    raise of.refuse(Reason.IMAGE_PLATFORM, why=shown(f"it offers {names}"))


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(of: Subject, what: str, value: object, limit: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise of.refuse(Reason.IMAGE_INVALID, why=f"its {what} is not text")
    if len(value) > limit:
        why = f"its {what} has {len(value)} characters, more than {limit} in one piece"
        raise of.refuse(Reason.IMAGE_INVALID, why=why)
    if any(0xD800 <= ord(char) < 0xE000 for char in value):
        raise of.refuse(Reason.IMAGE_INVALID, why=f"its {what} is not valid Unicode")
    return value


def _words(of: Subject, what: str, value: object, limit: int) -> list[str] | None:
    """A list of words as `ResolvedImage` takes it."""
    if not value:
        return None
    if not isinstance(value, list):
        raise of.refuse(Reason.IMAGE_INVALID, why=f"its {what} is not a list")
    if len(value) > limit:
        why = f"its {what} has {len(value)} words, more than {limit}"
        raise of.refuse(Reason.IMAGE_INVALID, why=why)
    return [_text(of, what, word, 4096) for word in value]


def _size(manifest: Mapping[str, Any]) -> int | None:
    layers = manifest.get("layers")
    sizes = [_mapping(layer).get("size") for layer in layers] if isinstance(layers, list) else []
    return sum(size for size in sizes if type(size) is int and 0 <= size < 2**50) or None
