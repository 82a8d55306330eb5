"""What the kernel, the filter and the mounts refuse: each attempt's outcome by its name. x86-64 only."""

import ctypes
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .kernel import INT_80, SYSENTER, X32, call, checked, elf, execute, in_child, machine_code, outcome

_SOCKET, _SOCKETPAIR = 41, 53
_TYPES = (1, 2, 3, 4, 5, 6, 10)
NAMESPACES = {
    "user": 0x10000000,
    "net": 0x40000000,
    "mount": 0x20000,
    "pid": 0x20000000,
    "ipc": 0x8000000,
    "uts": 0x4000000,
    "cgroup": 0x2000000,
}


def families() -> dict[str, dict[str, list[str]]]:
    """Outcomes over all types, by system call and family."""
    pair = (ctypes.c_int * 2)()
    calls: dict[str, Callable[[int, int], Any]] = {
        "socket": lambda family, kind: os.close(call(_SOCKET, family, kind, 0)),
        "socketpair": lambda family, kind: call(_SOCKETPAIR, family, kind, 0, pair),
    }
    return {
        name: {
            str(family): sorted({outcome(partial(act, family, kind)) for kind in _TYPES})
            for family in range(46)
        }
        for name, act in calls.items()
    }


def _socketcall() -> None:
    arguments = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40)
    arguments.write(struct.pack("<III", socket.AF_INET, socket.SOCK_STREAM, 0))
    address = ctypes.addressof(ctypes.c_char.from_buffer(arguments))
    checked(machine_code(INT_80)(102, 1, address, 0))


def _i386() -> None:
    # socket(AF_INET, SOCK_STREAM, 0) by its own number; DONE is exit code 0.
    code = "b867010000 bb02000000 b901000000 31d2 cd80 c1e81f 89c3 b801000000 cd80"
    execute(elf(bytes.fromhex(code), bits=32))


def _native() -> None:
    code = "b829000000 bf02000000 be01000000 31d2 0f05 c1e81f 89c7 b83c000000 0f05"
    execute(elf(bytes.fromhex(code), bits=64))


def _program(act: Callable[[], None]) -> str:
    """The end of a process that becomes a program: DONE, its exit code, or its signal."""

    def run() -> None:
        child = os.fork()
        if child == 0:
            try:
                act()
            finally:
                os._exit(99)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
            os.kill(os.getpid(), os.WTERMSIG(status))
        if status:
            raise OSError(os.WEXITSTATUS(status), "exit code")

    return in_child(run)


def _dial(family: int, kind: int, address: Any) -> Callable[[], None]:
    def act() -> None:
        with socket.socket(family, kind) as dialled:
            dialled.settimeout(0.3)
            dialled.connect(address)
            dialled.send(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01")
            dialled.recv(512)

    return act


def sockets() -> dict[str, str]:
    """Every way to a socket but the plain one."""
    inet, stream = socket.AF_INET, socket.SOCK_STREAM
    return {
        "high bits of the family": in_child(lambda: call(_SOCKET, inet | 1 << 32, stream, 0)),
        "negative family": in_child(lambda: call(_SOCKET, -2, stream, 0)),
        "flags in the type": in_child(lambda: call(_SOCKET, inet, stream | 0o2004000, 0)),
        "a child program": in_child(
            lambda: subprocess.run(
                ["python3", "-c", "import socket; socket.socket()"], check=True, stderr=subprocess.DEVNULL
            )
        ),
        "a 64-bit program without libc": _program(_native),
        "an i386 program": _program(_i386),
        "int 0x80 socketcall": in_child(_socketcall),
        "int 0x80 socket": in_child(lambda: checked(machine_code(INT_80)(359, inet, stream, 0))),
        "int 0x80 getpid": in_child(lambda: checked(machine_code(INT_80)(20, 0, 0, 0))),
        "sysenter": in_child(lambda: checked(machine_code(SYSENTER)(359, inet, stream, 0))),
        "x32 socket": in_child(lambda: call(X32 + _SOCKET, inet, stream, 0)),
        "x32 getpid": in_child(lambda: call(X32 + 39)),
        "io_uring_setup": in_child(lambda: call(425, 8, ctypes.create_string_buffer(120))),
        "io_uring_enter": in_child(lambda: call(426, 0, 0, 0, 0, 0, 0)),
        "io_uring_register": in_child(lambda: call(427, 0, 0, 0, 0)),
        "bpf": in_child(lambda: call(321, 0, ctypes.create_string_buffer(128), 128)),
        "DNS over UDP": in_child(_dial(inet, socket.SOCK_DGRAM, ("10.96.0.10", 53))),
        "DNS over TCP": in_child(_dial(inet, stream, ("10.96.0.10", 53))),
        "DNS by the resolver": in_child(lambda: socket.getaddrinfo("example.org", 80)),
        "IPv6": in_child(_dial(socket.AF_INET6, stream, ("::1", 80))),
        "API server": in_child(_dial(inet, stream, ("10.96.0.1", 443))),
        "kubelet": in_child(_dial(inet, stream, (os.environ.get("NODE", "10.244.0.1"), 10250))),
        "metadata address": in_child(_dial(inet, stream, ("169.254.169.254", 80))),
        "ping": in_child(lambda: call(_SOCKET, inet, socket.SOCK_DGRAM, 1)),
        "netlink": in_child(lambda: call(_SOCKET, 16, 3, 0)),
        "packet": in_child(lambda: call(_SOCKET, 17, 3, 0x300)),
        "vsock": in_child(lambda: call(_SOCKET, 40, stream, 0)),
        "AF_ALG": in_child(lambda: call(_SOCKET, 38, socket.SOCK_SEQPACKET, 0)),
    }


def _clone(flags: int) -> Callable[[], None]:
    def act() -> None:
        if call(56, flags | 17, 0, 0, 0, 0) == 0:
            os._exit(0)

    return act


def privileges() -> dict[str, str]:
    """More rights than it has."""
    text = ctypes.create_string_buffer
    tries: dict[str, Callable[[], Any]] = {
        "setuid 0": lambda: os.setuid(0),
        "setgid 0": lambda: os.setgid(0),
        "setgroups": lambda: os.setgroups([0]),
        "capset": lambda: call(126, text(struct.pack("<II", 0x20080522, 0)), text(b"\xff" * 24)),
        "chroot": lambda: os.chroot("/"),
        "mount tmpfs": lambda: call(165, b"t", b"/tmp", b"tmpfs", 0, 0),
        "remount /input": lambda: call(165, b"x", b"/input", 0, 0x1020, 0),
        "umount /input": lambda: call(166, b"/input", 2),
        "pivot_root": lambda: call(155, b"/", b"/tmp"),
        "fsopen": lambda: call(430, b"tmpfs", 0),
        "open_tree": lambda: call(428, -100, b"/input", 1),
        "move_mount": lambda: call(429, -100, b"/tmp", -100, b"/input", 0),
        "mount_setattr": lambda: call(442, -100, b"/input", 0, text(32), 32),
        "mknod": lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(8, 0)),
        "clone3": lambda: call(435, text(88), 88),
        "setns": lambda: call(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0),
        "open_by_handle_at": lambda: call(304, -100, text(136), 0),
        "nice -5": lambda: os.nice(-5),
        "real-time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "no_new_privs off": lambda: checked(call(157, 38, 0, 0, 0, 0)),
        "seccomp off": lambda: call(157, 22, 0, 0),
        "more memory locked": lambda: call(302, 0, 8, struct.pack("<QQ", 2**40, 2**40), 0),
    }
    for name, flag in NAMESPACES.items():
        tries[f"unshare {name}"] = partial(call, 272, flag)
        tries[f"clone {name}"] = _clone(flag)
    return {name: in_child(act) for name, act in tries.items()}


def setuid_program() -> str:
    """Who a setuid-root program of the image is, when the algorithm starts it."""
    return subprocess.run(["/opt/rooted", "-u"], capture_output=True, text=True, check=False).stdout.strip()


def kernel() -> dict[str, str]:
    """What belongs to the node's kernel."""
    text = ctypes.create_string_buffer
    tries: dict[str, Callable[[], Any]] = {
        "perf_event_open": lambda: call(298, text(128), 0, -1, -1, 0),
        "userfaultfd": lambda: call(323, 1),
        "keyctl": lambda: call(250, 0, -3, 0),
        "add_key": lambda: call(248, b"user", b"x", b"y", 1, -3),
        "request_key": lambda: call(249, b"user", b"x", 0, 0),
        "init_module": lambda: call(175, text(8), 8, b""),
        "finit_module": lambda: call(313, 0, b"", 0),
        "delete_module": lambda: call(176, b"x", 0),
        "kexec_load": lambda: call(246, 0, 0, 0, 0),
        "kexec_file_load": lambda: call(320, 0, 0, 0, b"", 0),
        "reboot": lambda: call(169, 0xFEE1DEAD, 672274793, 0, 0),  # "Ctrl-Alt-Del off": harmless if it is let
        "swapon": lambda: call(167, b"/tmp/x", 0),
        "swapoff": lambda: call(168, b"/tmp/x"),
        "settimeofday": lambda: call(164, struct.pack("<qq", 0, 10**9), 0),  # EINVAL if it is let
        "clock_settime": lambda: call(227, 0, struct.pack("<qq", 0, 10**10)),
        "adjtimex": lambda: call(159, text(struct.pack("<I", 1), 208)),
        "sethostname": lambda: call(170, b"algorithm", 9),
        "setdomainname": lambda: call(171, b"x", 1),
        "acct": lambda: call(163, 0),
        "quotactl": lambda: call(179, 0x800007 << 8, 0, 0, 0),
        "syslog": lambda: call(103, 3, text(16), 16),
        "iopl": lambda: call(172, 3),
        "ioperm": lambda: call(173, 0x80, 1, 1),
        "fanotify_init": lambda: call(300, 0, 0),
        "vhangup": lambda: call(153),
        "lookup_dcookie": lambda: call(212, 0, text(16), 16),
        "process_madvise": lambda: call(440, 0, 0, 0, 0, 0),
    }
    return {name: in_child(act) for name, act in tries.items()}


def _write(path: str, data: str = "1") -> Callable[[], Any]:
    # Not created: a place that is not there must not count as refused.
    def act() -> None:
        file = os.open(path, os.O_WRONLY)
        os.write(file, data.encode())

    return act


def _new(path: str) -> Callable[[], Any]:
    return lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def files() -> dict[str, str]:
    """Writing where it must not, and reading what is others'."""
    tries: dict[str, Callable[[], Any]] = {
        "core_pattern": _write("/proc/sys/kernel/core_pattern", "|/tmp/x"),
        "modprobe": _write("/proc/sys/kernel/modprobe", "/tmp/x"),
        "sysrq-trigger": _write("/proc/sysrq-trigger", "h"),
        "drop_caches": _write("/proc/sys/vm/drop_caches"),
        "pid_max": _write("/proc/sys/kernel/pid_max", "400"),
        "uevent_helper": _write("/sys/kernel/uevent_helper", "/tmp/x"),
        "another cgroup": _new(
            "/sys/fs/cgroup/pids/mine" if Path("/sys/fs/cgroup/pids").exists() else "/sys/fs/cgroup/mine"
        ),
        "/input": _new("/input/more.json"),
        "an input": _write("/input/attempt.json"),
        "the runner": _write("/.algorithm-operator/bin/runner"),
        "run.json": _write("/.algorithm-operator/bin/run.json", "{}"),
        "stage.json": _write("/.algorithm-operator/bin/stage.json", "{}"),
        "beside run.json": _new("/.algorithm-operator/bin/x"),
        "unlink run.json": Path("/.algorithm-operator/bin/run.json").unlink,
        "chmod run.json": lambda: Path("/.algorithm-operator/bin/run.json").chmod(0o666),
        "rename the runner's folder": lambda: Path("/.algorithm-operator/bin").rename(
            "/.algorithm-operator/b"
        ),
        "replace /output": Path("/output").rmdir,
        "chmod /output": lambda: Path("/output").chmod(0),
        "/etc/hosts": _write("/etc/hosts"),
        "/etc/resolv.conf": _write("/etc/resolv.conf"),
        "/etc/hostname": _write("/etc/hostname"),
        "/etc/passwd": _write("/etc/passwd"),
        "the root": _new("/x"),
        "a disk": lambda: os.open("/dev/sda", os.O_RDONLY),
        "memory": lambda: os.open("/dev/mem", os.O_RDONLY),
        "kernel log": lambda: os.open("/dev/kmsg", os.O_RDONLY),
        "kernel memory": lambda: os.read(os.open("/proc/kcore", os.O_RDONLY), 1),
        "tokens": Path("/var/run/secrets").stat,
        "containerd": Path("/run/containerd").stat,
        "the kubelet's folder": Path("/var/lib/kubelet").stat,
        "the store": Path("/store").stat,
        "the plan": Path("/plan").stat,
    }
    return {name: in_child(act) for name, act in tries.items()}


def sight() -> dict[str, Any]:
    """What it sees of others."""
    processes = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            processes[path.name] = (path / "comm").read_text().strip()
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "processes": processes,
        "descriptors": sorted(path.name for path in Path("/proc/self/fd").iterdir()),
        "hostname": os.uname().nodename,
        "resolv.conf": Path("/etc/resolv.conf").read_text(),
        "hosts": Path("/etc/hosts").read_text(),
        "environment": dict(os.environ),
        "capabilities": {
            key: int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        },
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "cgroup": Path("/proc/self/cgroup").read_text(),
    }


def dial_and_fail() -> None:
    """An honest program that wants a socket and does not get it."""
    print(f"cannot connect: {in_child(socket.socket)}", file=sys.stderr, flush=True)
    os._exit(9)


def everything() -> dict[str, Any]:
    """All of it."""
    seen = sight()  # before the others leave descriptors open
    return {
        "sight": seen,
        "families": families(),
        "sockets": sockets(),
        "privileges": privileges(),
        "setuid": setuid_program(),
        "kernel": kernel(),
        "files": files(),
    }
