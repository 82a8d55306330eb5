"""The house rules that no linter knows: the source root, the locks."""

import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def pins(lock: Path) -> set[tuple[str, str]]:
    return {(match["name"], match["version"]) for match in PIN.finditer(lock.read_text())}


def test_operator_is_the_standard_librarys() -> None:
    """operator/ is a source root: a package of that name would break every program started from here."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    command = [sys.executable, "-S", "-c", "import operator; print(operator.__file__)"]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    assert Path(found) == Path(sysconfig.get_path("stdlib")) / "operator.py"


def test_package_root_imports_nothing() -> None:
    source = (ROOT / "operator" / "algorithm_operator" / "__init__.py").read_text()
    assert not re.search(r"^\s*(import|from)\s", source, re.MULTILINE)


def test_there_is_a_lock_for_each_use() -> None:
    assert {"operator.txt", "steps.txt", "cli.txt", "gateway.txt", "dev.txt", "go.txt"} <= {
        lock.name for lock in LOCKS
    }


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_pins_by_hash_and_names_no_host(lock: Path) -> None:
    """An entry is `name==version \\` and its hashes; an option line or an URL would bind it to one index."""
    text = lock.read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", text, flags=re.MULTILINE).strip())
    for entry in entries:
        assert PIN.match(entry), f"not a pin: {entry.splitlines()[0]}"
        assert "--hash=sha256:" in entry, f"no hash: {entry.splitlines()[0]}"


@pytest.mark.parametrize("name", ["operator", "steps", "cli", "gateway"])
def test_images_run_what_was_tested(name: str) -> None:
    assert pins(ROOT / "requirements" / f"{name}.txt") <= pins(ROOT / "requirements" / "dev.txt")


def test_images_carry_only_their_own() -> None:
    """What has credentials holds no image parser and no heavy client; the steps image no controller."""
    in_operator = {name for name, _ in pins(ROOT / "requirements" / "operator.txt")}
    in_steps = {name for name, _ in pins(ROOT / "requirements" / "steps.txt")}
    assert "kopf" in in_operator
    assert not in_operator & {"simpleitk", "kubernetes"}
    assert "simpleitk" in in_steps
    assert not in_steps & {"kopf", "kubernetes", "aiohttp"}
    in_gateway = {name for name, _ in pins(ROOT / "requirements" / "gateway.txt")}
    assert "fastapi" in in_gateway
    assert not in_gateway & {"simpleitk", "pydicom", "kopf", "kubernetes"}


def test_the_wheel_carries_what_no_import_asks_for(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"algorithm_operator/cli/page.html", "algorithm_operator/cli/page.css"} <= names
    migrations = "algorithm_operator/gateway/database/migrations"
    assert {f"{migrations}/env.py", f"{migrations}/versions/first_tables.py"} <= names
