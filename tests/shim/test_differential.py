"""The same command at Grand Challenge and here: the published sagemaker-shim against our runner.

Each case tells how it ends there, and either that it ends the same here, or exactly how else and why: a row of
docs/grand-challenge.md. A change on either side fails the test.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.settings import PROJECT
from tests.shim.box import Outcome, Run
from tests.shim.grand_challenge import grand_challenge
from tests.shim.ours import ours

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="to become other users and make namespaces takes root"
)

DOCS: Final = PROJECT / "docs" / "grand-challenge.md"
NO_ERRORS: Final = "No errors were reported in the logs."
NOT_THERE: Final = "The command defined by the containers ENTRYPOINT and CMD instructions does not exist"
NOT_ALLOWED: Final = (
    "The user defined in the containers USER instruction does not have permission to execute the command defined by "
    "the containers ENTRYPOINT and CMD instructions"
)
CANNOT: Final = "The command defined by the containers ENTRYPOINT and CMD instructions cannot be executed"
NO_USER: Final = "The user defined in the containers USER instruction does not exist"
NO_GROUP: Final = "The group defined in the containers USER instruction does not exist"


@dataclass(frozen=True, slots=True)
class Case:
    """A run and how it ends there; `here` is None where it ends the same."""

    run: Run
    there: Outcome
    here: Outcome | None = None
    why: str = ""
    """The row of the table of differences."""


def sh(script: str, **more: object) -> Run:
    """A run of the image's shell."""
    return Run(["/bin/sh", "-c", script], **more)  # type: ignore[arg-type]


def ended(code: int, line: str) -> str:
    """Our sentence about an exit code."""
    return f"The algorithm ended with exit code {code}: {line}"


def unexpected(crash: str) -> Outcome:
    """How it ends where the shim itself crashes."""
    return Outcome(None, "An unexpected error occurred", crash=crash)


def refused(message: str) -> Outcome:
    """How the shim says that it could not start: the sentence, on stderr too."""
    return Outcome(1, message, stderr=(message,))


def not_started(code: int, message: str) -> Outcome:
    """How we say it."""
    return Outcome(code, f"The algorithm could not be started: {message}", stderr=(message,))


CASES: Final = {
    # --- how it ends
    "exit-0": Case(sh("echo out; echo err >&2"), Outcome(0, "", ("out",), ("err",))),
    "exit-3": Case(
        sh("echo first >&2; echo boom >&2; echo >&2; exit 3"),
        Outcome(3, "boom", (), ("first", "boom", "")),
        Outcome(3, ended(3, "boom"), (), ("first", "boom", "")),
        "Sentence of a failure",
    ),
    "exit-3-in-silence": Case(
        sh("echo out; exit 3"),
        Outcome(3, NO_ERRORS, ("out",)),
        Outcome(3, ended(3, NO_ERRORS), ("out",)),
        "Sentence of a failure",
    ),
    "killed": Case(
        sh("echo bye >&2; kill -KILL $$"),
        Outcome(-9, "bye", (), ("bye",)),
        Outcome(-9, ended(137, "bye"), (), ("bye",)),
        "Sentence of a failure",
    ),
    "exit-137": Case(
        sh("echo bye >&2; exit 137"),
        Outcome(137, "The container was killed as it exceeded its memory limit", (), ("bye",)),
        Outcome(137, ended(137, "bye"), (), ("bye",)),
        "Exit code 137",
    ),
    "time-limit": Case(
        sh("trap 'echo saved; exit 0' TERM; echo begun; while :; do sleep 0.1; done 2>/dev/null", seconds=2),
        Outcome(1, "Time limit exceeded", ("begun", "saved"), ("Time limit exceeded",)),
        Outcome(
            124,
            "Time limit exceeded: the limit is 2 s, with image pull and staging.",
            ("begun", "saved"),
            ("Time limit exceeded",),
        ),
        "Time limit",
    ),
    "time-limit-sigterm-ignored": Case(
        sh("trap '' TERM; echo begun; while :; do sleep 0.1; done", seconds=2),
        Outcome(1, "Time limit exceeded", ("begun",), ("Time limit exceeded",)),
        Outcome(
            124,
            "Time limit exceeded: the limit is 2 s, with image pull and staging.",
            ("begun",),
            ("Time limit exceeded",),
        ),
        "Time limit",
    ),
    "daemon-left-behind": Case(
        sh("setsid sleep 60 </dev/null >/dev/null 2>&1 & echo done", seconds=5), Outcome(0, "", ("done",))
    ),
    "grandchild-holds-the-pipe": Case(
        sh("sleep 60 & echo done", seconds=4),
        Outcome(1, "Time limit exceeded", ("done",), ("Time limit exceeded",)),
        Outcome(0, "", ("done",)),
        "Held pipes",
    ),
    # --- lines
    "both-streams": Case(
        sh("for i in 1 2 3; do echo o$i; echo e$i >&2; done"),
        Outcome(0, "", ("o1", "o2", "o3"), ("e1", "e2", "e3")),
    ),
    "no-newline-at-the-end": Case(
        sh("printf partial; printf oops >&2; exit 1"),
        Outcome(1, "oops", ("partial",), ("oops",)),
        Outcome(1, ended(1, "oops"), ("partial",), ("oops",)),
        "Sentence of a failure",
    ),
    "blank-lines": Case(sh("echo; echo a; echo; echo b"), Outcome(0, "", ("", "a", "", "b"))),
    "colours": Case(sh(r"printf '\033[31mred\033[0m\n'"), Outcome(0, "", ("\x1b[31mred\x1b[0m",))),
    "nul-bytes": Case(sh(r"printf 'a\000b\n'"), Outcome(0, "", ("ab",))),
    "carriage-return": Case(
        sh(r"printf '10%%\r20%%\n'"),
        Outcome(0, "", ("10%", "20%")),
        Outcome(0, "", ("10%\r20%",)),
        "Carriage returns",
    ),
    "invalid-utf-8": Case(
        sh(r"printf 'a\377b\n'"),
        unexpected("UnicodeDecodeError"),
        Outcome(0, "", (r"a\xffb",)),
        "Bytes that are not UTF-8",
    ),
    # --- how it starts
    "cmd-alone": Case(Run(None, ["echo", "hi"]), Outcome(0, "", ("hi",))),
    "entrypoint-and-cmd": Case(
        Run(["echo"], ["$(A)", "$$", "${A}", "$A", "a b", ""], env={"A": "4"}),
        Outcome(0, "", ("$(A) $$ ${A} $A a b ",)),
    ),
    "shell-form": Case(
        Run(["/bin/sh", "-c", 'echo $A "$@"'], ["ignored", "word"], env={"A": "4"}),
        Outcome(0, "", ("4 word",)),
    ),
    "path-of-the-image": Case(
        Run(["mine"], ["x"], env={"PATH": "{home}:/bin"}, files={"mine": "#!/bin/sh\necho mine $1\n"}),
        Outcome(0, "", ("mine x",)),
    ),
    "working-directory": Case(
        Run(["./mine"], files={"mine": "#!/bin/sh\npwd\n"}), Outcome(0, "", ("{home}",))
    ),
    "nothing-on-stdin": Case(sh("cat; echo end"), Outcome(0, "", ("end",))),
    "no-such-command": Case(
        Run(["no-such-program"]),
        refused(NOT_THERE),
        not_started(127, f'{NOT_THERE}: "no-such-program" is not in the PATH "/usr/local/bin:/usr/bin:/bin"'),
        "Command that does not start",
    ),
    "no-such-file": Case(
        Run(["/no/such/program"]),
        refused(NOT_THERE),
        not_started(127, f'{NOT_THERE}: there is no "/no/such/program"'),
        "Command that does not start",
    ),
    "no-interpreter": Case(
        Run(["{home}/run"], files={"run": "#!/no/such/python\n"}),
        refused(NOT_THERE),
        not_started(
            127, f'{NOT_THERE}: the interpreter or loader that "{{home}}/run" names is not in the image'
        ),
        "Command that does not start",
    ),
    "not-executable": Case(
        Run(["{home}/data"], files={"data-": "#!/bin/sh\n"}),
        refused(NOT_ALLOWED),
        not_started(126, f'{NOT_ALLOWED}: "{{home}}/data"'),
        "Command that does not start",
    ),
    "a-folder": Case(
        Run(["{home}"]),
        refused(NOT_ALLOWED),
        not_started(126, f'{NOT_ALLOWED}: "{{home}}"'),
        "Command that does not start",
    ),
    "no-program": Case(
        Run(["{home}/run"], files={"run": "just text\n"}),
        unexpected("OSError"),
        not_started(
            126, f'{CANNOT}: "{{home}}/run" is no program for this processor, or a script without a #! line'
        ),
        "Command that is no program",
    ),
    "neither-entrypoint-nor-cmd": Case(
        Run(),
        unexpected("ValueError"),
        not_started(127, "The image has neither ENTRYPOINT nor CMD"),
        "No command at all",
    ),
    "both-empty": Case(
        Run([], []),
        unexpected("TypeError"),
        not_started(127, "The image has neither ENTRYPOINT nor CMD"),
        "No command at all",
    ),
    # --- as whom
    "user-by-name": Case(sh("id -u; id -g; echo $HOME"), Outcome(0, "", ("4711", "4712", "{home}"))),
    "user-by-number": Case(
        sh("id -u; id -g; echo $HOME", user="4711"), Outcome(0, "", ("4711", "4712", "{home}"))
    ),
    "user-without-account": Case(sh("id -u; id -g", user="4999"), Outcome(0, "", ("4999", "0"))),
    "user-and-group": Case(sh("id -u; id -g", user="algorithm:4800"), Outcome(0, "", ("4711", "4800"))),
    "no-such-user": Case(
        sh("echo", user="nobody-here"),
        refused(NO_USER),
        Outcome(None, f'{NO_USER}: "nobody-here": it is not in /etc/passwd'),
        "USER that does not exist",
    ),
    "no-such-group": Case(
        sh("echo", user="algorithm:nothing"),
        refused(NO_GROUP),
        Outcome(None, f'{NO_GROUP}: "nothing": it is not in /etc/group'),
        "USER that does not exist",
    ),
    "home-of-the-image": Case(sh("echo $HOME", env={"HOME": "/opt"}), Outcome(0, "", ("{home}",))),
    "home-that-is-not-there": Case(
        sh("echo $HOME", user="homeless"),
        Outcome(0, "", ("/nowhere",)),
        Outcome(0, "", ("/tmp",)),
        "HOME that is not there",
    ),
    "secrets-of-the-platform": Case(
        sh(
            "env | grep -i ^grand_; echo $A",
            env={"GRAND_CHALLENGE_X": "1", "grand_challenge_y": "2", "A": "4"},
        ),
        Outcome(0, "", ("4",)),
    ),
    "variables-of-kubernetes": Case(
        sh("echo $KUBERNETES_PORT", env={"KUBERNETES_PORT": "3"}),
        Outcome(0, "", ("3",)),
        Outcome(0, "", ("",)),
        "Variables of Kubernetes",
    ),
}
LONG: Final = sh("head -c 100000 /dev/zero | tr '\\0' x; echo; echo after")


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Where the runs go on side by side: each mostly waits for an interpreter to start."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture(scope="module")
def outcomes(shim: Path, runner: Path, pool: ThreadPoolExecutor) -> dict[str, tuple[Future[Outcome], ...]]:
    """For each case how it ends there, and here."""
    runs = {**{name: case.run for name, case in CASES.items()}, "long-line": LONG}
    return {
        name: (pool.submit(grand_challenge, shim, run), pool.submit(ours, runner, run))
        for name, run in runs.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_a_command_ends_as_at_grand_challenge_or_as_the_docs_say(
    outcomes: dict[str, tuple[Future[Outcome], ...]], name: str
) -> None:
    case = CASES[name]
    there, here = (outcome.result() for outcome in outcomes[name])

    assert there == case.there
    assert here == (case.here or case.there)


def test_a_line_of_more_than_64_kib_is_skipped_there_and_cut_here(
    outcomes: dict[str, tuple[Future[Outcome], ...]],
) -> None:
    # What is left of the line there depends on the pace of its pieces.
    there, here = (outcome.result() for outcome in outcomes["long-line"])

    assert set(there.stderr) == {"WARNING: A log line was skipped as it was too long"}
    assert there.stdout[-1] == "after"
    assert not [line for line in there.stdout if "100000" in line]
    assert (here.code, here.message, here.stderr) == (0, "", ())
    assert here.stdout == (f"xxxxxxxx… {65536 + len(' [… 34464 bytes more …]')} characters", "after")


def test_the_log_files_have_every_byte_as_it_was_written(
    outcomes: dict[str, tuple[Future[Outcome], ...]],
) -> None:
    raw = {name: outcomes[name][1].result().raw for name in ("nul-bytes", "invalid-utf-8", "long-line")}

    assert raw == {
        "nul-bytes": b"a\0b\n",
        "invalid-utf-8": b"a\xffb\n",
        "long-line": b"x" * 100_000 + b"\nafter\n",
    }


def test_every_difference_is_told_in_the_docs_and_the_docs_tell_no_other() -> None:
    table = DOCS.read_text().partition("<!-- tests/shim -->")[2].partition("<!-- end -->")[0]
    told = set(re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)) - {"what", "---"}

    assert told == {case.why for case in CASES.values() if case.here} | {"Long lines"}
    assert all((case.here is None) == (case.why == "") for case in CASES.values())
