"""Image references as runtimes read them."""

import pytest

from algorithm_operator.core.reference import Reference, parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", Reference("docker.io", "library/busybox", "latest", None)),
        ("docker.io/busybox:1", Reference("docker.io", "library/busybox", "1", None)),
        ("index.docker.io/a/b", Reference("docker.io", "a/b", "latest", None)),
        ("a/b:1.2", Reference("docker.io", "a/b", "1.2", None)),
        ("localhost/b", Reference("localhost", "b", "latest", None)),
        ("10.0.0.1:5000/x/y/z:t", Reference("10.0.0.1:5000", "x/y/z", "t", None)),
        ("[fd00::1]:5000/x:t", Reference("[fd00::1]:5000", "x", "t", None)),
        (f"ghcr.io/o/n@{DIGEST}", Reference("ghcr.io", "o/n", None, DIGEST)),
        (f"ghcr.io/o/n:1@{DIGEST}", Reference("ghcr.io", "o/n", "1", DIGEST)),
        ("host.example/a__b/c-d.e_f:T_1", Reference("host.example", "a__b/c-d.e_f", "T_1", None)),
    ],
)
def test_references(text: str, expected: Reference) -> None:
    assert parse(text) == expected


def test_versions_and_hosts() -> None:
    assert parse(f"a:1@{DIGEST}").version == DIGEST
    assert parse("a").version == "latest"
    assert parse("a").host == "registry-1.docker.io"
    assert parse("h:5/a").host == "h:5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A/b",
        "a/B",
        "http://h/a",
        "h.example/../a",
        "h.example/a?x=y",
        "h.example/a:",
        "h.example/a:-t",
        "h.example/a@sha256:abc",
        "h.example/a@md5:" + "a" * 32,
        "user@h.example/a",
        "h.example:port/a",
        "h.example/a b",
        "h.example//a",
        "a\n",
        "-h.example/a",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
