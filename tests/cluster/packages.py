"""Debian packages: installed when missing, and only then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from tests.cluster.shell import ClusterError, run, say

NODE = (
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "containernetworking-plugins",
    "iproute2",
    "ipset",
    "iptables",
    "kmod",
    "openssl",
    "procps",
    "util-linux",
)
BUILD = ("gcc", "libc6-dev", "libseccomp-dev", "pkg-config")
IMAGES = ("buildah", "debootstrap")


def install(names: Iterable[str]) -> None:
    """Install those of the named packages that are missing.

    ClusterError where this is no Debian, or not root and packages are missing.
    """
    missing = [name for name in names if not _installed(name)]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"needs {' '.join(missing)} (Debian's names): install them, there is no apt-get here"
        )
    if os.geteuid() != 0:
        raise ClusterError(f"needs root to install {' '.join(missing)}: apt-get install {' '.join(missing)}")
    say(f"installing {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq")
    run(*apt, "update", env=quiet)
    run(*apt, "install", "--yes", "--no-install-recommends", *missing, env=quiet)


def _installed(name: str) -> bool:
    if shutil.which("dpkg-query") is None:
        raise ClusterError("there is no dpkg-query here: without Docker this test cluster needs a Debian")
    status = run("dpkg-query", "--show", "--showformat=${db:Status-Status}", name, check=False)
    return status.stdout == "installed"
