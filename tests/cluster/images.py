"""Images: the node's own, the Python base, and builds of Dockerfiles with buildah, pushed to the registry."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.cluster import build, packages, registry
from tests.cluster.settings import CACHE, CONFIG, LOG, REGISTRY, RUN
from tests.cluster.shell import ClusterError, output, run, run_logged, say

PYTHON_BASE: Final = f"{REGISTRY}/python-base:1"
# Change the number when what goes into the image changes.
_PYTHON_BASE_PACKAGES: Final = ("ca-certificates", "python3", "python3-pip", "python3-venv")
_BUSYBOX: Final = Path("/bin/busybox")
_CERTIFICATES: Final = Path("/etc/ssl/certs")


def publish_system() -> None:
    """Put what the cluster itself runs into the registry: pause, busybox, CoreDNS, the volume provisioner."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if registry.digest("busybox", "1") is None or registry.digest("pause", "1") is None:
            (root / "bin").mkdir()
            shutil.copyfile(_BUSYBOX, root / "bin/busybox")
            (root / "bin/busybox").chmod(0o755)
            for applet in output(_BUSYBOX, "--list").split():
                if applet != "busybox":
                    (root / "bin" / applet).symlink_to("busybox")
            for name, command in (("busybox", '["sh"]'), ("pause", '["sleep", "infinity"]')):
                (root / "Dockerfile").write_text(
                    f"FROM scratch\nCOPY bin /bin\nENV PATH=/bin\nCMD {command}\n"
                )
                dockerfile(root / "Dockerfile", root, f"{REGISTRY}/{name}:1")
        for recipe in build.NODE:
            if recipe.name in ("coredns", "local-path-provisioner") and _missing(system(recipe.name)):
                shutil.copyfile(recipe.folder / recipe.name, root / recipe.name)
                (root / recipe.name).chmod(0o755)
                (root / "Dockerfile").write_text(
                    f'FROM scratch\nCOPY {recipe.name} /bin/{recipe.name}\nENTRYPOINT ["/bin/{recipe.name}"]\n'
                )
                dockerfile(root / "Dockerfile", root, system(recipe.name))
                (root / recipe.name).unlink()


def system(name: str) -> str:
    """Reference of the image of one of the cluster's own programs."""
    recipe = next(recipe for recipe in build.NODE if recipe.name == name)
    return f"{REGISTRY}/{recipe.folder.name.rpartition('-')[0]}:{recipe.folder.name.rpartition('-')[2]}"


def python_base() -> str:
    """A small Debian with Python, made with debootstrap: nothing but Debian's own packages is in it."""
    if not _missing(PYTHON_BASE):
        return PYTHON_BASE
    packages.install(packages.IMAGES)
    suite, mirror = _debian()
    with tempfile.TemporaryDirectory(prefix=".python-base-", dir=CACHE) as scratch:
        root = Path(scratch) / "root"
        include = ",".join(_PYTHON_BASE_PACKAGES)
        argv: list[str | Path] = [
            "debootstrap",
            "--variant=minbase",
            f"--include={include}",
            suite,
            root,
            mirror,
        ]
        say(f"python-base: a minimal Debian {suite}")
        run_logged("python-base", argv, LOG / "python-base.log", {}, Path(scratch))
        for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log"):
            for path in (root / folder).rglob("*"):
                if path.is_file():
                    path.unlink()
        archive = Path(scratch) / "base.tar"
        run("tar", "-C", root, "--exclude=./dev/*", "--exclude=./proc/*", "-cf", archive, ".")
        file = Path(scratch) / "Dockerfile"
        file.write_text('FROM scratch\nADD base.tar /\nCMD ["python3"]\n')
        (Path(scratch) / ".dockerignore").write_text("root\n")
        dockerfile(file, Path(scratch), PYTHON_BASE)
    return PYTHON_BASE


def build_folder(name: str, folder: Path, arguments: Mapping[str, str], target: str = "") -> str:
    """Build a folder's Dockerfile unless the registry has it; returns `registry/name@sha256:…`.

    The tag is a hash of the Dockerfile, of what it copies and of the arguments. `BASE_IMAGE`, where the
    Dockerfile asks for it, is the Python base.
    """
    file = folder / "Dockerfile"
    if not file.is_file():
        raise ClusterError(f"{folder}: there is no Dockerfile")
    text = file.read_text()
    arguments = dict(arguments)
    if re.search(r"^ARG BASE_IMAGE\b", text, re.MULTILINE):
        arguments.setdefault("BASE_IMAGE", python_base())
    pairs = sorted(f"{key}={value}" for key, value in arguments.items())
    tag = _hash_of_inputs(folder, text, [*pairs, target])
    reference = f"{REGISTRY}/{name}:{tag}"
    if _missing(reference):
        dockerfile(file, folder, reference, arguments, target)
    return f"{REGISTRY}/{name}@{registry.digest(name, tag)}"


def dockerfile(
    file: Path, context: Path, reference: str, arguments: Mapping[str, str] | None = None, target: str = ""
) -> None:
    """Build one Dockerfile and push it under `reference`."""
    packages.install(packages.IMAGES)
    pip = _pip_configuration()
    argv: list[str | Path] = [*_buildah(), "build", "--isolation", "chroot", "--layers", "--tls-verify=false"]
    argv += [*_policy(), "--format", "oci", "--file", file, "--tag", reference]
    # The way to the package registries is the machine's, so it is lent to the build and stays out of the image.
    argv += ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro", "--volume", f"{pip}:/etc/pip.conf:ro"]
    for key, value in (arguments or {}).items():
        argv += ["--build-arg", f"{key}={value}"]
    if target:
        argv += ["--target", target]
    log = LOG / f"image-{reference.partition('/')[2].replace('/', '-').partition(':')[0]}.log"
    run_logged(f"image {reference}", [*argv, context], log, _environment(), context)
    run(*_buildah(), "push", "--quiet", "--tls-verify=false", *_policy(), reference, env=_environment())


def push_archive(archive: Path, name: str) -> str:
    """Push an image archive (`docker save` or OCI layout as a tar); returns `registry/name@sha256:…`."""
    packages.install(packages.IMAGES)
    with archive.open("rb") as stream:
        tag = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    if registry.digest(name, tag) is None:
        entries = {entry.removeprefix("./") for entry in output("tar", "-tf", archive).split()}
        kind = "oci-archive" if "oci-layout" in entries else "docker-archive"
        pull = (*_buildah(), "pull", "--quiet", *_policy(), f"{kind}:{archive}")
        image = run(*pull, env=_environment()).stdout.split()[-1]
        target = f"docker://{REGISTRY}/{name}:{tag}"
        push = (*_buildah(), "push", "--quiet", "--tls-verify=false", *_policy())
        run(*push, image, target, env=_environment())
    return f"{REGISTRY}/{name}@{registry.digest(name, tag)}"


def save_archive(reference: str, archive: Path) -> None:
    """Write an image of the registry to a file, as `docker save` does."""
    packages.install(packages.IMAGES)
    pull = (*_buildah(), "pull", "--quiet", "--tls-verify=false", *_policy(), f"docker://{reference}")
    image = run(*pull, env=_environment()).stdout.split()[-1]
    push = (*_buildah(), "push", "--quiet", *_policy(), image, f"docker-archive:{archive}")
    run(*push, env=_environment())


def _missing(reference: str) -> bool:
    repository, _, tag = reference.removeprefix(f"{REGISTRY}/").partition(":")
    return registry.digest(repository, tag) is None


def _hash_of_inputs(folder: Path, text: str, extra: Iterable[str]) -> str:
    digest = hashlib.sha256("\0".join([text, *extra]).encode())
    for path in sorted(_inputs(folder, text)):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_mode & 0o111:o}\0".encode())
        digest.update(path.readlink().as_posix().encode() if path.is_symlink() else path.read_bytes())
    return digest.hexdigest()[:16]


def _inputs(folder: Path, text: str) -> set[Path]:
    """The files that COPY and ADD bring in; of a git checkout only those that git would keep."""
    patterns: list[str] = []
    for instruction in re.sub(r"\\\n", " ", text).splitlines():
        words = instruction.split()
        if words and words[0].upper() in ("COPY", "ADD") and not any(w.startswith("--from=") for w in words):
            patterns += [word.strip('[],"') for word in words[1:-1] if not word.startswith("--")]
    listed = run("git", "-C", folder, "ls-files", "-co", "--exclude-standard", "-z", check=False)
    kept = {folder / name for name in listed.stdout.split("\0") if name} if listed.returncode == 0 else None
    found: set[Path] = set()
    for pattern in patterns:
        for path in folder.glob(pattern.lstrip("/") or "*") if pattern not in (".", "./") else [folder]:
            found |= {p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()}
    return {path for path in found if "__pycache__" not in path.parts and (not kept or path in kept)}


def _debian() -> tuple[str, str]:
    """Suite and mirror that this machine's own apt uses."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE))
    suite = release.get("VERSION_CODENAME", "")
    columns = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listed = output("apt-get", "indextargets", "--format", columns, "Created-By: Packages")
    for line in listed.splitlines():
        uri, name, component = line.split()
        if name == suite and component == "main":
            return suite, uri
    raise ClusterError(f"apt has no source for {suite} main: the Python base image is made from one")


def _pip_configuration() -> Path:
    """What this machine's pip knows about its index, without the paths that an image does not have."""
    CONFIG.mkdir(parents=True, exist_ok=True)
    lines = [f"cert = {_CERTIFICATES / 'ca-certificates.crt'}"]
    for line in run("python3", "-m", "pip", "config", "list", check=False).stdout.splitlines():
        found = re.match(
            r"(?:global|:env:|install)\.(index-url|extra-index-url|trusted-host|proxy)='(.*)'$", line
        )
        if found:
            lines.append(f"{found[1]} = {found[2]}")
    path = CONFIG / "pip.conf"
    path.write_text("[global]\n" + "\n".join(lines) + "\n")
    return path


def _buildah() -> tuple[str | Path, ...]:
    storage = CACHE / "buildah"
    return ("buildah", "--root", storage, "--runroot", RUN / "buildah", "--storage-driver", "overlay")


def _policy() -> tuple[str, str]:
    path = CONFIG / "policy.json"
    CONFIG.mkdir(parents=True, exist_ok=True)
    path.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    return ("--signature-policy", str(path))


def _environment() -> dict[str, str]:
    """Our own configuration alone, whatever /etc/containers says or lacks."""
    registries = CONFIG / "registries.conf"
    registries.write_text("unqualified-search-registries = []\n")
    return {
        "CONTAINERS_REGISTRIES_CONF": str(registries),
        "PATH": f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}",
    }
