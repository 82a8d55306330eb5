"""A test algorithm: carries out the steps that /input/script.json lists, `{"do": [[step, argument, …], …]}`.

Each step is a function of that name below. Paths of outputs are relative to /output. Steps that look at
something add what they saw to one report, which `write_report` writes.
"""

import builtins
import json
import math
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

OUTPUT = Path("/output")
PIXELS = {"MET_UCHAR": "B", "MET_SHORT": "h", "MET_FLOAT": "f"}
report: dict[str, Any] = {}


def _place(path: str) -> Path:
    place = OUTPUT / path
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def stdout(text: str) -> None:
    print(text, flush=True)


def stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def exit(code: int) -> None:
    sys.exit(code)


def write_json(path: str, value: object) -> None:
    _place(path).write_text(json.dumps(value))


def write_text(path: str, text: str) -> None:
    _place(path).write_text(text)


def write_report(path: str = "results.json") -> None:
    write_json(path, report)


def copy_input(source: str, path: str) -> None:
    """The one file of the input folder (or the input file) `source` becomes the output `path`."""
    found = Path("/input") / source
    if found.is_dir():
        (found,) = found.iterdir()
    _place(path).write_bytes(found.read_bytes())


def write_mha(
    path: str, size: list[int], values: list[float], element: str = "MET_UCHAR", data_file: str = "LOCAL"
) -> None:
    """A MetaImage whose voxels repeat `values`; `data_file` other than LOCAL leaves the voxels out."""
    count = math.prod(size)
    voxels = struct.pack(f"<{count}{PIXELS[element]}", *(values[i % len(values)] for i in range(count)))
    header = _mha_header(size, element, data_file)
    _place(path).write_bytes(header + (voxels if data_file == "LOCAL" else b""))


def write_zeros_mha(path: str, size: list[int]) -> None:
    """A MetaImage of zeros, which takes no room here however large it is."""
    header = _mha_header(size, "MET_UCHAR", "LOCAL")
    _place(path).write_bytes(header)
    os.truncate(_place(path), len(header) + math.prod(size))


def _mha_header(size: list[int], element: str, data_file: str) -> bytes:
    lines = [
        "ObjectType = Image",
        f"NDims = {len(size)}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        f"DimSize = {' '.join(map(str, size))}",
        f"ElementSpacing = {' '.join(['1'] * len(size))}",
        f"Offset = {' '.join(['0'] * len(size))}",
        f"ElementType = {element}",
        f"ElementDataFile = {data_file}",
    ]
    return "\n".join(lines).encode() + b"\n"


def symlink(path: str, target: str) -> None:
    _place(path).symlink_to(target)


def mkfifo(path: str) -> None:
    os.mkfifo(_place(path))


def sparse(path: str, size: int) -> None:
    with _place(path).open("wb") as file:
        file.truncate(size)


def allocate_mb(megabytes: int) -> None:
    kept = []
    for _ in range(megabytes):
        block = bytearray(1 << 20)
        block[::4096] = b"\1" * len(block[::4096])
        kept.append(block)


def ignore_sigterm_and_sleep(seconds: float) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)


def connect(targets: list[tuple[str, str, str, int]], seconds: float) -> None:
    """Try all targets (name, protocol, host, port) again and again: `connections[name]` = what came of it."""
    seen: dict[str, dict[str, int]] = {}
    end = time.monotonic() + seconds
    while True:
        for name, protocol, host, port in targets:
            outcomes = seen.setdefault(name, {})
            outcome = _dial(protocol, host, port)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if time.monotonic() >= end:
            break
    report["connections"] = seen


def _dial(protocol: str, host: str, port: int) -> str:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(socket.AF_INET, kind) as dialled:
            dialled.settimeout(0.2)
            dialled.connect((host, port))
            if protocol == "udp":
                # A DNS query for the root's name servers: anybody who speaks DNS answers something.
                dialled.send(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01")
                dialled.recv(512)
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "REACHED"


def look_around() -> None:
    """What the algorithm is and sees: credentials, mounts, folders, environment, processes."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    report["status"] = {key: value.strip() for key, value in status.items()}
    report["mounts"] = {
        words[1]: {"type": words[2], "options": words[3].split(",")}
        for words in (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    }
    report["environment"] = dict(os.environ)
    report["processes"] = sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    report["folders"] = {
        path: {
            "entries": sorted(entry.name for entry in Path(path).iterdir())
            if os.access(path, os.R_OK)
            else None,
            "writable": _writable(path),
        }
        for path in ("/", "/input", "/output", "/tmp", "/var/tmp", os.environ.get("HOME", "/nonexistent"))
    }
    report["exists"] = {
        path: os.access(path, os.F_OK)
        for path in ("/var/run/secrets", "/plan", "/store", "/stores", "/scratch")
    }
    report["time"] = time.time()


def python(code: str) -> None:
    """Anything else that an algorithm may do; `report` and all of this module are there."""
    builtins.exec(code, dict(globals()))


def _writable(path: str) -> bool:
    place = Path(path) / ".probe"
    try:
        place.write_text("x")
        place.unlink()
    except OSError:
        return False
    return True


def main() -> None:
    for step, *arguments in json.loads(Path("/input/script.json").read_text())["do"]:
        globals()[step](*arguments)


if __name__ == "__main__":
    main()
