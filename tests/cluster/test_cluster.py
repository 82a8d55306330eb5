"""What the cluster's scripts decide without a cluster; `python3 tests/cluster smoke` checks a running one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import build, images, network, processes


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records and logs go to a folder of the test's own."""
    monkeypatch.setattr(processes, "RUN", tmp_path / "run")
    monkeypatch.setattr(processes, "LOG", tmp_path / "log")
    return tmp_path / "run"


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that no record of ours may reach."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_stopped_by_its_record(run_folder: Path) -> None:
    processes.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert processes.alive("sleeper")
    processes.stop(("sleeper",))
    assert not processes.alive("sleeper")
    assert processes.recorded() == []


@pytest.mark.parametrize("stale", [{"boot": "another"}, {"started": "1"}])
def test_a_stale_record_ends_no_process(
    run_folder: Path, bystander: subprocess.Popen[bytes], stale: dict[str, str]
) -> None:
    stat = Path(f"/proc/{bystander.pid}/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record = {"pid": bystander.pid, "started": stat[19], "boot": boot, **stale}
    run_folder.mkdir()
    (run_folder / "etcd.process").write_text(json.dumps(record))
    processes.stop(("etcd",))
    assert bystander.poll() is None
    assert processes.recorded() == []


def test_an_images_tag_follows_its_inputs_alone(tmp_path: Path) -> None:
    text = (
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY --chown=1:1 program data \\\n  /srv/\nCOPY --from=x /a /b\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "program").write_text("1")
    (tmp_path / "data/file").write_text("1")

    def tag() -> str:
        return images._hash_of_inputs(tmp_path, text, [])

    before = tag()
    (tmp_path / "README").write_text("not copied")
    assert tag() == before
    (tmp_path / "data/file").write_text("2")
    assert tag() != before


def test_every_program_is_locked() -> None:
    for recipe in (*build.NODE, *build.TOOLS, build.KIND):
        assert {"go.mod", "go.sum"} <= {path.name for path in recipe.source.iterdir()}, recipe.name


@pytest.mark.parametrize(
    ("chain", "ours"),
    [
        ("KUBE-SERVICES", True),
        ("KUBE-POD-FW-ABC", True),
        ("CNI-HOSTPORT-DNAT", True),
        ("DOCKER", False),
        ("INPUT", False),
        ("MY-KUBE-", False),
    ],
)
def test_only_a_clusters_chains_are_removed(chain: str, ours: bool) -> None:
    assert bool(network._OUR_CHAINS.match(chain)) is ours
