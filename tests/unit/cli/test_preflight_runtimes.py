"""Container runtimes against the known escapes."""

import pytest

from algorithm_operator.core import runtimes


@pytest.mark.parametrize(
    ("version", "is_open"),
    [
        pytest.param("1.7.32", True, id="before the correction"),
        pytest.param("1.7.33", False, id="the correction"),
        pytest.param("2.0.9", True, id="another line, before"),
        pytest.param("2.0.10", False, id="another line: numbers, not text"),
        pytest.param("2.2.4", True, id="2.2 before"),
        pytest.param("2.3.2", False, id="newest listed line"),
        pytest.param("2.3.2-rc.1", True, id="a release candidate is before its version"),
        pytest.param("2.4.0", False, id="a newer line"),
        pytest.param("1.6.38", True, id="a line that was given up"),
        pytest.param("v2.3.7", False, id="with a v"),
    ],
)
def test_containerd(version: str, is_open: bool) -> None:
    found = runtimes.known("containerd", version)
    assert found is not None
    assert [escape.cve for escape in found.escapes] == (["CVE-2026-53488"] if is_open else [])
    assert not found.patched


@pytest.mark.parametrize("version", ["1.7.28-0ubuntu1~24.04.1", "2.1.5-k3s1", "1.7.27+azure"])
def test_a_distributions_suffix_may_stand_for_the_correction(version: str) -> None:
    found = runtimes.known("containerd", version)
    assert found is not None
    assert found.escapes
    assert found.patched


@pytest.mark.parametrize(
    ("runtime", "version"),
    [("cri-o", "1.34.1"), ("docker", "28.0.0"), ("containerd", ""), ("containerd", "9" * 400), ("", "")],
)
def test_nothing_is_claimed_of_what_is_not_listed(runtime: str, version: str) -> None:
    assert runtimes.known(runtime, version) is None


def test_mended_versions_have_no_escape() -> None:
    assert runtimes.mended("containerd") == "1.7.33, 2.0.10, 2.1.9, 2.2.5, 2.3.2 or newer"
    assert runtimes.mended("runc") == "1.3.6, 1.4.3 or newer"
    assert runtimes.mended("nvidia-container-toolkit") == "1.17.8 or newer"
