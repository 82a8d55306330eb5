"""`make fuzz MINUTES=…`: the heavy part of the corpus once, then the property tests round after round, with other
examples each time, until the minutes are over or something fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PROFILE = ["--hypothesis-profile=fuzz", "--timeout=0", "-q", "--no-header", "--exitfirst"]


def run(name: str, *options: str) -> int:
    """One pytest; its exit code."""
    command = [sys.executable, "-m", "pytest", str(HERE / name), *PROFILE, *options]
    return subprocess.run(command, check=False).returncode


def main(minutes: float) -> int:
    began = time.monotonic()
    code = run("test_corpus.py")
    number = 0
    while code == 0 and time.monotonic() - began < minutes * 60:
        number += 1
        code = run("test_properties.py", str(HERE / "test_properties_inputs.py"), "--durations=3")
        print(
            f"round {number}: {'nothing found' if code == 0 else 'FAILED'} after "
            f"{(time.monotonic() - began) / 60:.1f} of {minutes:g} minutes",
            flush=True,
        )
    return code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
