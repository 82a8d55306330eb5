"""Up, status and down of the cluster that runs as processes of this machine."""

from __future__ import annotations

import os
import shutil
import time
from typing import Final

from tests.cluster import (
    addons,
    build,
    control_plane,
    images,
    network,
    node,
    packages,
    pki,
    processes,
    registry,
    traces,
)
from tests.cluster.settings import (
    CACHE,
    CONFIG,
    DATA,
    KUBECONFIG,
    LOG,
    LONGEST_STATE,
    NODE_ADDRESS,
    RUN,
    STATE,
)
from tests.cluster.shell import ClusterError, run, say, wait_for

_EXPECTED: Final = (*control_plane.PROCESSES, *node.PROCESSES, "registry")
_RECIPES: Final = (*build.NODE, *build.TOOLS)


def up() -> None:
    """Bring the cluster up: at once where it is healthy, what has ended where it lives, else from the ground."""
    if healthy():
        say("the cluster is up")
        return
    if os.geteuid() != 0:
        raise ClusterError("the test cluster needs root: it makes network interfaces, mounts and cgroups")
    if len(str(STATE)) > LONGEST_STATE:
        raise ClusterError(f"{STATE}: sockets below it need it to be {LONGEST_STATE} characters at most")
    packages.install((*packages.NODE, *packages.IMAGES))
    renewed = not build.linked(_RECIPES)
    build.build(_RECIPES)
    if DATA.exists() or RUN.exists():
        # etcd of this boot: the cluster is there, and what has ended can join it again.
        if processes.alive("etcd") and not renewed:
            say("starting what has ended")
            try:
                _start()
                return
            except ClusterError as error:
                say(f"that did not help: {error}")
        say("clearing what is left of the cluster before")
        down()
    network.refuse_foreign()
    processes.forget_logs()
    _start()


def _start() -> None:
    """Every step leaves alone what is there already."""
    started = time.monotonic()
    DATA.mkdir(parents=True, exist_ok=True)
    traces.remember()
    pki.create()
    say("network, registry, control plane")
    network.set_up()
    registry.start()
    control_plane.start()
    images.publish_system()
    say("node")
    node.start()
    addons.apply()
    wait_for("node ready with its GPUs", node.ready, 90, f"See {LOG / 'kubelet.log'}", every=0.5)
    say("DNS and volumes")
    wait_for("DNS and volume provisioner", addons.ready, 120, "See: kubectl get pods -A", every=0.5)
    for name in _EXPECTED:
        processes.require_alive(name)
    say(f"the cluster is up after {time.monotonic() - started:.0f} s: export KUBECONFIG={KUBECONFIG}")


def stop(name: str) -> None:
    """Stop one process of the cluster, for tests of what happens then; `up` starts it again."""
    if name not in _EXPECTED:
        raise ClusterError(f"there is no {name}; the processes are {', '.join(sorted(_EXPECTED))}")
    processes.stop((name,))


def healthy() -> bool:
    """Whether everything runs and answers."""
    if not (build.linked(_RECIPES) and all(map(processes.alive, _EXPECTED))):
        return False
    return control_plane.ready() and node.ready() and addons.ready()


def status() -> list[tuple[str, bool]]:
    """Each part and whether it is well."""
    parts = [(name, processes.alive(name)) for name in _EXPECTED]
    answers = control_plane.ready()
    parts.append((f"API server at {NODE_ADDRESS}", answers))
    parts.append(("node Ready with its GPUs", answers and node.ready()))
    parts.append(("DNS and volumes", answers and addons.ready()))
    return parts


def down(force: bool = False) -> None:
    """Stop what `up` started and take away what it made. Binaries, images in the registry and logs stay.

    Where nothing of ours is recorded nothing is touched, unless forced.
    """
    if not (force or DATA.exists() or RUN.exists()):
        say("nothing is up")
        return
    processes.stop(("kwok", *node.PROCESSES[:-1]))
    processes.stop(("containerd",))
    processes.kill_containers()
    node.clean()
    # What they stored is thrown away, so there is nothing to wait for.
    processes.stop(("scheduler", "controller-manager", "apiserver", "registry"), patience=2)
    processes.stop(processes.recorded())
    network.tear_down(force)
    traces.remove()
    for folder in (DATA, CONFIG, RUN):
        shutil.rmtree(folder, ignore_errors=True)
    KUBECONFIG.unlink(missing_ok=True)


def purge(force: bool = False) -> None:
    """`down`, and forget images, certificates and logs as well; the built programs stay in the cache."""
    down(force)
    storage = CACHE / "buildah"
    if storage.exists():
        for mount in node.mounts(storage):
            run("umount", "--lazy", mount, check=False)
        shutil.rmtree(storage)
    shutil.rmtree(STATE, ignore_errors=True)


def leftovers() -> list[str]:
    """What of a cluster is still on this machine, in short phrases; empty after `down`."""
    found = [f"process {name}" for name in processes.recorded() if processes.alive(name)]
    found += [f"containerd shim {pid}" for pid in processes.shims()]
    found += [f"mount {point}" for point in node.mounts(STATE)]
    found += [f"cgroup {group}" for group in node.cgroups() if group.name == "kubepods"]
    found += [f"folder {folder}" for folder in (DATA, CONFIG, RUN, *traces.left()) if folder.exists()]
    found += network.leftovers()
    return found
