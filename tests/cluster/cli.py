"""The commands of `python3 tests/cluster`."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from tests.cluster import addons, images, kind, lifecycle, node, smoke
from tests.cluster.settings import BIN, CACHE, KUBECONFIG, PROJECT, REGISTRY
from tests.cluster.shell import ClusterError, say


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(globals()[f"_{arguments.command.replace('-', '_')}"](arguments) or 0)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 tests/cluster", description="A Kubernetes cluster for tests."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="bring it up, building what is missing; at once when it is up")
    commands.add_parser("status", help="say what runs; exit 1 when something does not")
    stop = commands.add_parser(
        "stop", help="stop one process, to see what happens then; `up` starts it again"
    )
    stop.add_argument("process")
    down = commands.add_parser("down", help="stop it and take away what it made")
    down.add_argument(
        "--check", action="store_true", help="change nothing; list what is left, exit 1 if anything is"
    )
    down.add_argument("--purge", action="store_true", help="forget images, certificates and logs as well")
    down.add_argument(
        "--force", action="store_true", help="clear also what no record of ours names (KUBE-* chains, …)"
    )
    commands.add_parser("env", help="shell lines that make kubectl and helm speak to it, for eval")
    commands.add_parser(
        "build-images", help="build the project's images and push them; prints NAME REFERENCE lines"
    )
    image = commands.add_parser("build", help="build a folder's Dockerfile and push it; prints the reference")
    image.add_argument("image")
    image.add_argument("folder", type=Path)
    image.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    image.add_argument("--target", default="")
    push = commands.add_parser("push", help="push an image archive (a tar); prints the reference")
    push.add_argument("archive", type=Path)
    push.add_argument("image")
    save = commands.add_parser("save", help="write an image of the registry to a file, as docker save does")
    save.add_argument("reference")
    save.add_argument("archive", type=Path)
    kwok = commands.add_parser("kwok-nodes", help="T4 nodes on paper, for scheduling tests")
    kwok.add_argument("state", choices=("up", "down"))
    commands.add_parser("smoke", help="check on the running cluster that it does what tests rely on")
    commands.add_parser("keep-node", help="(a process of the cluster) keep the simulated GPUs advertised")
    return parser


def _up(_: argparse.Namespace) -> None:
    with _alone():
        kind.up() if kind.chosen() else lifecycle.up()


def _status(_: argparse.Namespace) -> int:
    parts = kind.status() if kind.chosen() else lifecycle.status()
    for name, well in parts:
        _result(f"{'ok  ' if well else 'DOWN'}  {name}")
    return 0 if all(well for _, well in parts) else 1


def _stop(arguments: argparse.Namespace) -> None:
    with _alone():
        lifecycle.stop(arguments.process)


def _down(arguments: argparse.Namespace) -> int:
    if kind.chosen():
        with _alone():
            kind.down()
        return 0
    if not arguments.check:
        with _alone():
            (lifecycle.purge if arguments.purge else lifecycle.down)(arguments.force)
    left = lifecycle.leftovers()
    for phrase in left:
        _result(phrase)
    return 1 if left else 0


def _env(_: argparse.Namespace) -> None:
    _result(f"export KUBECONFIG={shlex.quote(str(KUBECONFIG))}")
    _result(f"export ALGORITHM_OPERATOR_REGISTRY={shlex.quote(kind.REGISTRY if kind.chosen() else REGISTRY)}")
    _result(f'export PATH={shlex.quote(str(BIN))}:"$PATH"')


def _build_images(_: argparse.Namespace) -> None:
    for name, folder, target in (
        ("operator", PROJECT, "operator"),
        ("steps", PROJECT, "steps"),
        ("gateway", PROJECT, "gateway"),
        ("brain-tissue", PROJECT / "examples/brain-tissue", ""),
    ):
        with _alone("images"):
            _result(f"{name} {_builder().build_folder(f'algorithm-operator/{name}', folder, {}, target)}")


def _build(arguments: argparse.Namespace) -> None:
    pairs = dict(pair.partition("=")[::2] for pair in arguments.build_arg)
    with _alone("images"):
        _result(_builder().build_folder(arguments.image, arguments.folder.resolve(), pairs, arguments.target))


def _push(arguments: argparse.Namespace) -> None:
    with _alone("images"):
        _result(_builder().push_archive(arguments.archive.resolve(), arguments.image))


def _save(arguments: argparse.Namespace) -> None:
    with _alone("images"):
        _builder().save_archive(arguments.reference, arguments.archive.resolve())


def _kwok_nodes(arguments: argparse.Namespace) -> None:
    with _alone():
        addons.kwok_up() if arguments.state == "up" else addons.kwok_down()


def _smoke(_: argparse.Namespace) -> int:
    return smoke.run()


def _keep_node(_: argparse.Namespace) -> None:
    node.keep()


def _builder() -> ModuleType:
    return kind if kind.chosen() else images


def _result(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _alone(what: str = "cluster") -> Iterator[None]:
    """One such command at a time; a second one waits for the first."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another command on the cluster to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
