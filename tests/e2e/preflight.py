"""`kubectl algorithm preflight` as people run it, for the tests of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "kubectl-algorithm")


@dataclass(frozen=True, slots=True)
class Result:
    """What it said: exit code and checks by (group, name)."""

    code: int
    checks: dict[tuple[str, str], dict[str, str]]

    def check(self, name: str, group: str | None = None) -> dict[str, str]:
        """The one check of that name."""
        (found,) = [
            check for (of, called), check in self.checks.items() if called == name and group in (None, of)
        ]
        return found

    def level(self, name: str) -> str:
        """pass, unknown, warn or fail."""
        return self.check(name)["level"]


def preflight(*arguments: str) -> Result:
    """Run it against the test cluster; AssertionError unless it says something, and its exit code fits."""
    done = subprocess.run(
        [COMMAND, "preflight", "-o", "json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert (done.returncode == 1) == (found["level"] == "fail") == (found["summary"]["fail"] > 0)
    return Result(done.returncode, {(each["group"], each["name"]): each for each in found["checks"]})
