"""Cluster programs from their Go modules, kept in the cache under the hash of what they are built from.

Each folder below `go/` is a module of its own (go.mod and go.sum committed), so one can change without the
others being rebuilt.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.cluster import packages
from tests.cluster.settings import BIN, CACHE, HERE, PROJECT
from tests.cluster.shell import ClusterError, run_logged, say

GO: Final = PROJECT / "scripts" / "go"
"""The go command, installed where the machine has none that is new enough."""
KUBERNETES: Final = "1.36.3"
_VERSION_PACKAGES: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One Go module to build: `programs` are the files that must come out of it."""

    name: str
    programs: tuple[str, ...]
    package: str = "tool"
    tags: str = ""
    cgo: bool = False
    values: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """Its module's folder."""
        return HERE / "go" / self.name

    @property
    def folder(self) -> Path:
        """Where its programs are kept; a change of any input is another folder."""
        digest = hashlib.sha256(repr(self).encode())
        for path in sorted(self.source.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return CACHE / f"{self.name}-{digest.hexdigest()[:12]}"

    @property
    def built(self) -> bool:
        """Whether the cache holds it."""
        return self.folder.is_dir()

    def links(self) -> list[tuple[Path, Path]]:
        """For each program its link in the state folder's `bin` and its file in the cache."""
        folder = self.folder
        return [(BIN / program, folder / program) for program in self.programs]

    def command(self) -> list[str]:
        """The arguments of `go` that build it."""
        values = " ".join(f"-X {value}" for value in self.values)
        argv = ["install", "-v", "-trimpath", "-ldflags", f"-s -w {values}".rstrip()]
        return [*argv, *(["-tags", self.tags] if self.tags else []), self.package]


_KUBERNETES_PROGRAMS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
NODE: Final = (
    Recipe(
        "kubernetes",
        _KUBERNETES_PROGRAMS,
        values=tuple(
            f"{package}.{value}"
            for package in _VERSION_PACKAGES
            for value in (f"gitVersion=v{KUBERNETES}", "gitMajor=1", "gitMinor=36")
        ),
    ),
    Recipe("etcd", ("etcd",), renamed={"server": "etcd"}),
    Recipe(
        "containerd",
        ("containerd", "containerd-shim-runc-v2", "ctr"),
        tags="no_btrfs,no_zfs,no_devmapper",
        values=("github.com/containerd/containerd/v2/version.Version=2.3.7",),
    ),
    Recipe("runc", ("runc",), tags="seccomp", cgo=True),
    Recipe(
        "kube-router",
        ("kube-router",),
        values=("github.com/cloudnativelabs/kube-router/v2/pkg/version.Version=v2.1.0",),
    ),
    Recipe("registry", ("registry",)),
    Recipe("coredns", ("coredns",), package="."),
    Recipe("local-path-provisioner", ("local-path-provisioner",)),
)
HELM: Final = Recipe("helm", ("helm",), values=("helm.sh/helm/v4/internal/version.version=v4.3.1",))
TOOLS: Final = (HELM, Recipe("kwok", ("kwok",)))
KUBECTL: Final = Recipe(
    "kubernetes", ("kubectl",), package="k8s.io/kubernetes/cmd/kubectl", values=NODE[0].values
)
KIND: Final = Recipe("kind", ("kind",))


def build(recipes: tuple[Recipe, ...]) -> None:
    """Build what the cache lacks and link every program into the state folder's `bin`."""
    missing = [recipe for recipe in recipes if not recipe.built]
    if missing:
        say(
            f"building {', '.join(recipe.name for recipe in missing)} (once; Kubernetes takes about 10 minutes)"
        )
        for recipe in missing:
            _build(recipe)
    BIN.mkdir(parents=True, exist_ok=True)
    for recipe in recipes:
        for link, program in recipe.links():
            if not link.is_symlink() or link.readlink() != program:
                link.unlink(missing_ok=True)
                link.symlink_to(program)


def linked(recipes: tuple[Recipe, ...]) -> bool:
    """Whether `bin` has the programs of these very recipes."""
    return all(
        link.is_symlink() and link.readlink() == program and program.exists()
        for recipe in recipes
        for link, program in recipe.links()
    )


def _build(recipe: Recipe) -> None:
    if recipe.cgo:
        packages.install(packages.BUILD)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{recipe.name}-", dir=CACHE) as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        env = {
            "GOBIN": str(out),
            "GOFLAGS": "-mod=readonly -buildvcs=false",
            # A module that asks for a later patch of Go than the one here gets it from the Go module proxy.
            "GOTOOLCHAIN": "auto",
            "GOWORK": "off",
            "CGO_ENABLED": "1" if recipe.cgo else "0",
        }
        say(f"{recipe.name}: building")
        log = CACHE / "log" / f"{recipe.name}.log"
        run_logged(recipe.name, [GO, *recipe.command()], log, env, recipe.source)
        for old, new in recipe.renamed.items():
            (out / old).rename(out / new)
        lost = [program for program in recipe.programs if not (out / program).is_file()]
        if lost:
            raise ClusterError(f"{recipe.name}: the build made no {', '.join(lost)}")
        # One rename: a build that was stopped half way leaves nothing that looks finished.
        out.rename(recipe.folder)
