"""An algorithm's log on a terminal."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from algorithm_operator.api.job import AlgorithmJobStatus
from algorithm_operator.cli import logs, show
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.logs import lines, safe_line


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], []),
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a\nb"], [b"a", b"b"]),
        ([b"a", b"b\nc", b"\n"], [b"ab", b"c"]),
        ([b"a\r\nb"], [b"a", b"b"]),
        ([b"\n\n"], [b"", b""]),
        ([b"x" * 65537 + b"\n"], [b"x" * 65537]),
        ([b"x" * 65537], [b"x" * 65536, b"x"]),
    ],
)
def test_lines(pieces: list[bytes], expected: list[bytes]) -> None:
    assert list(lines(pieces)) == expected


def test_nothing_steers_the_terminal() -> None:
    assert safe_line(b"\x1b]0;owned\x07\tok \xff\xe2\x80\xae") == "\\x1b]0;owned\\x07\tok \\xff\\u202e"


def test_names_are_never_turned_into_emoji() -> None:
    with show.out.capture() as printed:
        show.out.print(show.text("results:a:b.json"))
    assert printed.get() == "results:a:b.json\n"


@pytest.mark.parametrize(("ran", "expected"), [(True, "from the Pod\n"), (False, "")])
def test_a_log_that_the_algorithm_removed_is_read_from_its_pod(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ran: bool, expected: str
) -> None:
    status = {
        "state": "Failed",
        "attempts": [{"number": 1, "pod": "case-1-run"}],
        "algorithm": None,
        **({"logs": {"stdoutBytes": 5, "stderrBytes": 0}} if ran else {}),
    }
    job = SimpleNamespace(
        name="case",
        finished=True,
        output_store="results",
        folder="f",
        status=AlgorithmJobStatus.model_validate(status),
    )
    empty = SimpleNamespace(stat=lambda path: None)
    monkeypatch.setattr(logs, "open_store", lambda cluster, store, say: nullcontext(empty))
    cluster = SimpleNamespace(pod_log=lambda pod, container, follow: [b"from the Pod\n"])
    with nullcontext() if ran else pytest.raises(CliError, match="never started"):
        logs.print_log(cluster, job, stderr=False, follow=False)  # type: ignore[arg-type]
    assert capsys.readouterr().out == expected
