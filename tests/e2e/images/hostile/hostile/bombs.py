"""Processes: too many, too many threads, such that outlive the main one, such that do not listen, such that crash."""

import os
import resource
import signal
import threading
import time
from pathlib import Path

from .kernel import elf, execute, report

# setsid, then fork for ever: parent and child alike, each in a session of its own.
_FORKS = bytes.fromhex("b870000000 0f05 b839000000 0f05 ebf0")


def forks() -> None:
    """A program of a few bytes that only forks: wide, deep, and in no process group that anybody could kill."""
    report("forking")
    execute(elf(_FORKS, bits=64))


def threads(processes: int, each: int) -> int:
    """That many threads, which do nothing; how many there could be."""
    threading.stack_size(65536)
    started = 0
    for number in range(processes):
        if number < processes - 1 and os.fork() != 0:
            continue
        try:
            for _ in range(each):
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                started += 1
        except RuntimeError:
            pass
        report({"started": started})
        time.sleep(20)
        os._exit(0)
    return started


def deaf(but: set[int]) -> None:
    """Ignore every signal but these, real-time ones too."""
    for number in set(range(1, 65)) - but:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue


def daemon() -> str:
    """Twice forked, deaf, holding stdout and stderr, a descriptor of the output, and writing on for ever."""
    Path("/output/results.json").write_text('"before"')
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            deaf(set())
            held = os.open("/output/results.json", os.O_RDWR)
            while True:
                os.pwrite(held, b'"afterX"', 0)
                Path("/output/next.json").write_text('"after"')
                Path("/output/next.json").rename("/output/results.json")
                os.write(1, b"I live\n")
        os._exit(0)
    time.sleep(0.5)
    report("main leaves")
    os._exit(0)


def ignore_everything(processes: int = 3) -> None:
    """Burn the processor, in sessions of their own, whatever signal comes."""
    deaf(set())
    for _ in range(processes):
        if os.fork() == 0:
            os.setsid()
    report("burning")
    while True:
        pass


def core(megabytes: int = 100) -> None:
    """Die with much memory and the wish for a core dump."""
    os.chdir("/output")
    soft_hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (soft_hard[1], soft_hard[1]))
    kept = b"\1" * (megabytes << 20)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        os.abort()
    os.waitpid(child, 0)
    dumped = {path.name: path.stat().st_size for path in Path("/output").iterdir()}
    report({"limit": soft_hard[1], "dumped": dumped, "held": len(kept)})
    os._exit(4)
