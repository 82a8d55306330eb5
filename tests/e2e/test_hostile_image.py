"""An algorithm that attacks (images/hostile), attempt by attempt: how its job ends, what it saw from inside, and a
neighbour on the same node that works undisturbed all the while. docs/attacks.md has the table for people.

Jobs are started together and run three at a time beside the neighbour, as the node's GPUs allow.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from algorithm_operator.core import names
from tests.e2e.attempts import ATTEMPTS
from tests.e2e.conftest import HERE, cluster_command
from tests.e2e.harness import Job, Kube, Namespace, Object, Store, bare_pod, eventually

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the attempts are made of x86-64's system calls and machine code"
)

ATTEMPT: Final[Object] = {"slug": "attempt", "kind": "Anything"}
RESOURCES: Final[Object] = {
    "cpu": "200m",
    "memory": "256Mi",
    "scratch": {"size": "96Mi"},
    "threads": 512,
}
COLLECT_SECONDS: Final = 10
LOG_BYTES: Final = 16 << 20
"""What is kept of a stream."""
REFUSED: Final = {"EACCES", "EPERM", "EROFS", "ENOENT", "ENOSYS", "EINVAL", "EBUSY"}

NEIGHBOUR: Final = """
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
beats, words = [], b""
while not told and len(beats) < 4000:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    here, there = socket.socketpair()
    here.sendall(b"beat")
    assert there.recv(4) == b"beat"
    here.close(); there.close()
    block = os.urandom(1 << 16)
    for place in ("/tmp/block", "/dev/shm/block", "/output/block"):
        Path(place).write_bytes(block)
        assert Path(place).read_bytes() == block
        os.unlink(place)
    beats.append(time.time())
    time.sleep(0.1)
write_json("results.json", {"beats": beats, "told": len(told)})
"""
MOST_SILENCE: Final = 8.0
"""Seconds without a beat that are not the attacks' doing: two processors are shared with all the rest."""


@pytest.fixture(scope="module")
def hostile() -> str:
    """The hostile image by digest."""
    return cluster_command("build", "algorithm-operator/hostile", str(HERE / "images" / "hostile"))


@pytest.fixture(scope="module")
def store(module_namespace: Namespace) -> Store:
    return module_namespace.store()


@pytest.fixture(scope="module")
def neighbour(module_namespace: Namespace, store: Store) -> Job:
    """A job that works, and says so ten times a second, from before the attacks until it is told to end."""
    module_namespace.algorithm("neighbour", timeLimitSeconds=280)
    job = module_namespace.job("neighbour", algorithm="neighbour", do=[["python", NEIGHBOUR]])
    job.running()
    return job


@pytest.fixture(scope="module")
def jobs(module_namespace: Namespace, store: Store, hostile: str, neighbour: Job) -> dict[str, Job]:
    """All attempts, started together."""
    for name, limit, network in (
        ("hostile", 60, "None"),
        ("short", 20, "None"),
        ("loopback", 60, "Loopback"),
    ):
        module_namespace.algorithm(
            name,
            image=hostile,
            inputs=[ATTEMPT],
            resources=RESOURCES,
            timeLimitSeconds=limit,
            network=network,
            collectSeconds=COLLECT_SECONDS,
        )
    return {
        name: module_namespace.job(
            name, algorithm=attempt.algorithm, inputs=[{"slug": "attempt", "value": attempt.given}]
        )
        for name, attempt in ATTEMPTS.items()
    }


@pytest.fixture(scope="module")
def unsealed(module_namespace: Namespace, hostile: str) -> Object:
    """What the same attempts give in a Pod that is none of ours: restricted, and that is all."""
    code = "import json; from hostile import refusals; print(json.dumps(refusals.everything()))"
    module_namespace.pod("unsealed", bare_pod(hostile, ["python3", "-S", "-E", "-c", code]))
    module_namespace.pod_ended("unsealed")
    found: Object = json.loads(module_namespace.kube.logs(module_namespace.name, "unsealed", "main"))
    return found


def ended(job: Job, timeout: float = 240) -> Object:
    """Its status once it is over, however it ended."""

    def look() -> Object | None:
        status = job.status
        return status if status.get("finishedAt") else None

    return eventually(look, timeout, f"job {job.name} ends")


def seen_by(job: Job, store: Store) -> Any:
    """What the attempt saw: its result, or the last that it printed."""
    files = store.files(job)
    if "results.json" in files and not files["results.json"].startswith(b'"'):
        return json.loads(files["results.json"])
    lines = re.findall(rb"^SEEN (.+)$", files["logs/stdout.log"], re.MULTILINE)
    assert lines, files
    return json.loads(lines[-1])


def test_a_stop_signal_of_the_image_s_choice_keeps_the_gpu_no_longer_than_collecting_may_take(
    jobs: dict[str, Job],
) -> None:
    """SIGWINCH is what its kubelet sends; the runner cannot know it for a stop. What stays is said in the docs.

    (Deleting the Pod does not help: a kubelet that waits out the grace of a deadline was seen not to shorten it.)
    """
    job = jobs["stop-signal"]
    job.running(120)
    asked = time.monotonic()
    job.patch({"cancel": True})
    status = ended(job)
    assert status["state"] == "Cancelled"
    assert time.monotonic() - asked < COLLECT_SECONDS + 30 + 15


@pytest.mark.parametrize("name", ATTEMPTS)
def test_attempt(jobs: dict[str, Job], store: Store, name: str) -> None:
    attempt, job = ATTEMPTS[name], jobs[name]
    status = ended(job)
    message = status.get("message") or ""
    assert (status["state"], status["reason"]) == (attempt.state, attempt.reason), message
    assert re.fullmatch(attempt.message, message), message
    assert message.isprintable()
    assert len(status["attempts"]) == 1
    if attempt.seen is not None:
        seen = seen_by(job, store)
        if callable(attempt.seen):
            assert attempt.seen(seen), seen
        else:
            assert {key: seen.get(key) for key in attempt.seen} == attempt.seen


# --- what is refused to it -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def refused(jobs: dict[str, Job], store: Store) -> Object:
    ended(jobs["refusals"])
    seen: Object = seen_by(jobs["refusals"], store)
    return seen


def test_the_attempts_succeed_where_nothing_seals(unsealed: Object) -> None:
    """They are alive: the same code, namespace and standard, without runner and policy."""
    for name in ("a child program", "a 64-bit program without libc", "flags in the type", "API server"):
        assert unsealed["sockets"][name] == "DONE", name
    # These go round a filter that the container runtime's own does not even have an opinion on.
    for name in ("an i386 program", "int 0x80 socketcall", "int 0x80 socket"):
        assert unsealed["sockets"][name] in ("DONE", "ENOSYS"), name  # a kernel may be built without
    assert {f for f, seen in unsealed["families"]["socket"].items() if "DONE" in seen} >= {"1", "2", "10"}
    assert unsealed["sight"]["environment"]["KUBERNETES_SERVICE_HOST"]


def test_families(refused: Object) -> None:
    """`socket` and `socketpair`, families 0 to 45, seven types each."""
    for call, by_family in refused["families"].items():
        assert len(by_family) == 46
        assert "DONE" in by_family.pop("1"), call
        # Where RuntimeDefault has refused already, its answer counts: EPERM.
        assert {outcome for seen in by_family.values() for outcome in seen} <= {"EAFNOSUPPORT", "EPERM"}, call
        assert by_family["2"] == by_family["10"] == ["EAFNOSUPPORT"]


def test_sockets(refused: Object) -> None:
    by_filter = dict.fromkeys(
        (
            "flags in the type",
            "DNS over UDP",
            "DNS over TCP",
            "IPv6",
            "API server",
            "kubelet",
            "metadata address",
            "ping",
            "netlink",
            "packet",
        ),
        "EAFNOSUPPORT",
    )
    killed = dict.fromkeys(
        (
            "an i386 program",
            "int 0x80 socketcall",
            "int 0x80 socket",
            "int 0x80 getpid",
            "x32 socket",
            "x32 getpid",
        ),
        "SIGSYS",
    )
    gone = dict.fromkeys(("io_uring_setup", "io_uring_enter", "io_uring_register"), "ENOSYS")
    others = {
        "a child program": "CalledProcessError",
        "a 64-bit program without libc": "EPERM",  # its exit code 1
        "DNS by the resolver": "gaierror",
        "bpf": "EPERM",
    }
    seen = dict(refused["sockets"])
    for name in ("high bits of the family", "negative family", "vsock", "AF_ALG"):
        # Families that RuntimeDefault may refuse as well; its answer comes first.
        assert seen.pop(name) in ("EAFNOSUPPORT", "EPERM"), name
    assert seen.pop("sysenter") in ("SIGSYS", "SIGILL", "SIGSEGV")  # as the processor's maker likes
    assert seen == {**by_filter, **killed, **gone, **others}


def test_loopback_has_ip_alone_and_nobody_to_talk_to(jobs: dict[str, Job], store: Store) -> None:
    job = jobs["refusals-loopback"]
    ended(job)
    seen = seen_by(job, store)
    opened = {family for family, outcomes in seen["families"]["socket"].items() if "DONE" in outcomes}
    assert opened == {"1", "2", "10", "16"}
    for name in ("an i386 program", "int 0x80 socket", "x32 socket"):
        assert seen["sockets"][name] == "SIGSYS", name
    for name in ("DNS over UDP", "DNS over TCP", "API server", "kubelet", "metadata address"):
        assert seen["sockets"][name] not in ("DONE", "EAFNOSUPPORT"), name
    assert seen["sockets"]["DNS by the resolver"] == "gaierror"


@pytest.mark.parametrize("group", ["privileges", "kernel", "files"])
def test_refused(refused: Object, group: str) -> None:
    assert refused[group]
    assert {name: outcome for name, outcome in refused[group].items() if outcome not in REFUSED} == {}


def test_sight(refused: Object) -> None:
    seen = refused["sight"]
    assert sorted(seen["processes"].values()) == ["python3", "runner"]
    assert seen["processes"]["1"] == "runner"
    # Its own three, and the one that looks.
    assert seen["descriptors"] == ["0", "1", "2", "3"]
    assert seen["hostname"] == "algorithm"
    assert seen["resolv.conf"].split() == ["nameserver", "127.0.0.1"]
    assert {line.split()[1] for line in seen["hosts"].splitlines() if line and line[0].isdigit()} <= {
        "localhost",
        "algorithm",
    }
    assert set(seen["capabilities"].values()) == {0}
    assert not [name for name in seen["environment"] if name.upper().startswith("KUBERNETES")]
    for place in ("serviceaccount", "docker.sock", "containerd.sock", " /store", " /plan"):
        assert place not in seen["mounts"]
    assert refused["setuid"] == "1000"


def test_the_runner_is_out_of_reach(jobs: dict[str, Job], store: Store) -> None:
    job = jobs["runner"]
    ended(job)
    outcomes = dict(seen_by(job, store)["outcomes"])
    # Sent, and without effect: it lives, and the job has Succeeded. One processor for it is enough.
    signals = ["SIGKILL", "SIGKILL by pidfd", "SIGKILL by tgkill", "SIGKILL by fcntl", "SIGSTOP"]
    for name in [*signals, "all signals", "a flood of signals", "one processor"]:
        outcomes.pop(name)
    assert {name: seen for name, seen in outcomes.items() if seen not in ("EPERM", "EACCES", "ESRCH")} == {}
    assert {"prlimit", "niceness", "idle class", "ptrace attach", "pidfd_getfd 3", "read mem"} <= set(
        outcomes
    )
    assert seen_by(job, store)["niceness"] == 0


# --- what is left of it ----------------------------------------------------------------------------------------------


def test_nothing_is_written_after_the_end(jobs: dict[str, Job], store: Store) -> None:
    status = ended(jobs["daemon"])
    kept = store.files(jobs["daemon"])["results.json"]
    assert kept in (b'"after"', b'"afterX"')
    assert len(kept) == status["outputs"][0]["bytes"]
    assert status["timing"]["ranSeconds"] < 15


@pytest.mark.parametrize("name", ["fork-bomb", "thread-bomb", "thread-bomb-in-two"])
def test_a_bomb_is_over_soon(jobs: dict[str, Job], name: str) -> None:
    """A runner that has to wait its turn among a thousand others took 144 s."""
    assert ended(jobs[name])["timing"]["ranSeconds"] < 45


def test_what_is_forged_is_not_believed(jobs: dict[str, Job], store: Store) -> None:
    ended(jobs["forge"])
    files = store.files(jobs["forge"])
    assert "manifest.json" not in files
    assert "results.json" not in files
    assert b"AOM1 end" in files["logs/stdout.log"]
    failure = json.loads(files["failure.json"])
    assert failure["exit"]["exitCode"] == 3


def test_floods_are_kept_within_their_caps_and_counted_to_the_byte(
    jobs: dict[str, Job], store: Store
) -> None:
    status = ended(jobs["flood"])
    files, sent = store.files(jobs["flood"]), json.loads(store.files(jobs["flood"])["results.json"])
    printed = len(b"\nSEEN " + json.dumps(sent).encode() + b"\n")
    assert status["logs"]["stdoutBytes"] == sent["stdout"] + printed
    # On stderr Go's own words come first, for the image asks for them.
    assert 0 <= status["logs"]["stderrBytes"] - sent["stderr"] < 1000
    for stream in ("stdout", "stderr"):
        kept = files[f"logs/{stream}.log"]
        assert len(kept) <= LOG_BYTES
        assert b"the first words\n" in kept[:1000]
        assert b"the last words" in kept[-1000:]
        assert re.search(rb"\d+ bytes dropped", kept)
    for line in files["logs/combined.jsonl"].splitlines():
        json.loads(line)
    assert len(files["logs/combined.jsonl"]) <= LOG_BYTES


def test_the_manifest_tells_what_did_not_end_the_job(jobs: dict[str, Job], store: Store) -> None:
    """A child killed for want of memory, /dev/shm full: the algorithm ended well all the same."""
    ended(jobs["memory-child"])
    ended(jobs["shm"])
    child = json.loads(store.files(jobs["memory-child"])["manifest.json"])["exit"]
    assert child["oomKills"] >= 1
    full = json.loads(store.files(jobs["shm"])["manifest.json"])["exit"]
    assert full["fullFilesystems"] == ["/dev/shm"]


def test_refused_sockets_are_counted_by_family(jobs: dict[str, Job], store: Store) -> None:
    ended(jobs["refusals"])
    denied = json.loads(store.files(jobs["refusals"])["manifest.json"])["exit"]["deniedSockets"]
    assert denied["AF_INET"] >= 14
    assert {"AF_INET6", "AF_NETLINK", "AF_PACKET"} <= set(denied)


# --- and the neighbour (last: it works until all the others are over) ------------------------------------------------


def test_the_neighbour_worked_undisturbed(
    operator: Kube, neighbour: Job, jobs: dict[str, Job], store: Store
) -> None:
    began = time.time()
    for job in jobs.values():
        ended(job)
    pod = neighbour.pod()
    assert pod is not None
    _signal_runner(pod, signal.SIGUSR1)
    status = neighbour.wait("Succeeded", 60)

    assert len(status["attempts"]) == 1
    result = json.loads(store.files(neighbour)["results.json"])
    assert result["told"] == 1
    beats = result["beats"]
    gaps = [after - before for before, after in itertools.pairwise(beats)]
    assert max(gaps) < MOST_SILENCE, sorted(gaps)[-5:]
    started = [_seconds(job.body["metadata"]["creationTimestamp"]) for job in jobs.values()]
    assert beats[0] < max(started) < began <= beats[-1] + MOST_SILENCE
    for node in operator.list("nodes"):
        bad = [
            c["type"]
            for c in node["status"]["conditions"]
            if c["type"].endswith("Pressure") and c["status"] != "False"
        ]
        assert not bad, bad


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _signal_runner(pod: Object, number: signal.Signals) -> None:
    """To PID 1 of the algorithm's container, which passes it on; by its pid on this machine."""
    all_ = pod["status"]["containerStatuses"]
    wanted = next(c["containerID"] for c in all_ if c["name"] == names.ALGORITHM).rpartition("/")[2]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                own = (entry / "cgroup").read_text()
                pids = re.search(r"^NSpid:\s+(.+)$", (entry / "status").read_text(), re.MULTILINE)
            except OSError:  # it has ended
                continue
            if wanted in own and pids and pids[1].split()[-1] == "1":
                found.append(int(entry.name))
    assert len(found) == 1, found
    os.kill(found[0], number)
