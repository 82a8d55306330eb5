"""Raw system calls, foreign machine code, and children that may be killed for trying."""

import ctypes
import errno
import json
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
DONE = "DONE"
X32 = 0x40000000


def report(seen: object) -> None:
    """One line on stdout, past every buffer: it is in the log whatever comes next."""
    sys.stdout.flush()
    os.write(1, b"\nSEEN " + json.dumps(seen).encode() + b"\n")


def call(number: int, *arguments: object) -> int:
    """The system call's answer; OSError when it is refused. Integers are passed as 64 bits, bytes as pointers."""
    passed = [ctypes.c_ulong(a & (2**64 - 1)) if isinstance(a, int) else a for a in arguments]
    ctypes.set_errno(0)
    _libc.syscall.restype = ctypes.c_long
    answer = int(_libc.syscall(ctypes.c_long(number), *passed))
    if answer == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def outcome(act: Callable[[], Any]) -> str:
    """DONE, the name of the errno, or the name of another error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except Exception as error:
        return type(error).__name__
    return DONE


def in_child(act: Callable[[], Any]) -> str:
    """The outcome in a process of its own, or the signal that ended that."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, outcome(act).encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 4096).decode()
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else said


def machine_code(code: bytes) -> Callable[..., int]:
    """A function of up to four int arguments; its memory lies below 4 GiB and stays."""
    low = mmap.mmap(
        -1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, 7
    )  # MAP_32BIT, read write execute
    low.write(code)
    _kept.append(low)
    address = ctypes.addressof(ctypes.c_char.from_buffer(low))
    return ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 4)(address)


_kept: list[Any] = []

INT_80 = bytes.fromhex("53 89f8 89f3 87d1 cd80 5b c3")
"""(number, a, b, c) through the i386 system call table, from 64-bit code."""
SYSENTER = bytes.fromhex("53 89f8 89f3 87d1 0f34 5b c3")


def checked(answer: int) -> int:
    """What the kernel answered; OSError for -4095 to -1."""
    if -4096 < answer < 0:
        raise OSError(-answer, os.strerror(-answer))
    return answer


def elf(code: bytes, *, bits: int) -> int:
    """A descriptor of a program in memory that is nothing but this machine code."""
    at = 0x10000
    if bits == 64:
        size = 64 + 56
        header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, at + size, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        segment = struct.pack("<IIQQQQQQ", 1, 7, 0, at, at, size + len(code), size + len(code), 4096)
    else:
        size = 52 + 32
        header = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, at + size, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        segment = struct.pack("<IIIIIIII", 1, 0, at, at, size + len(code), size + len(code), 7, 4096)
    ident = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    program = os.memfd_create("attack")
    os.write(program, ident + header + segment + code)
    os.fchmod(program, 0o755)
    return program


def execute(program: int) -> None:
    """Become that program."""
    os.execve(program, ["attack"], {})
