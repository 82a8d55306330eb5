"""The corpus (corpus/) against the real collect and stage: what is said, that nothing outside is read, that memory is
bounded. Most outputs lie in one attempt: a job is all or nothing, and every finding is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests.hostile import attacks
from tests.hostile.canary import Canary
from tests.hostile.corpus import INPUTS, OUTPUTS, Entry, Input, Output
from tests.hostile.runs import PEAK, STAGE_PEAK, Run, Staging, collect, place_of, write
from tests.hostile.words import unsafe

FUZZ = settings.get_current_profile_name() == "fuzz"
LIGHT = [entry for entry in OUTPUTS if FUZZ or not entry.heavy]
APART = [entry for entry in LIGHT if entry.alone or entry.settings]
TOGETHER = {
    "refused": [entry for entry in LIGHT if entry not in APART and entry.says is not None],
    "taken": [entry for entry in LIGHT if entry not in APART and entry.says is None],
}
BATCHES: dict[str, list[Output]] = TOGETHER | {entry.id: [entry] for entry in APART}
BATCH_OF = {entry.id: name for name, entries in BATCHES.items() for entry in entries}
Collected = Callable[[str], Run]


def ids(entry: Entry) -> str:
    return entry.id


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """The run of a batch, by its name; each is run once."""

    @cache
    def run(name: str) -> Run:
        return collect(tmp_path_factory.mktemp(name), BATCHES[name])

    return run


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staging]:
    """What stages inputs."""
    made = Staging(tmp_path_factory.mktemp("staged"))
    yield made
    made.close()


@pytest.mark.parametrize("entry", LIGHT, ids=ids)
def test_output(entry: Output, collected: Collected) -> None:
    run = collected(BATCH_OF[entry.id])
    if entry.id in run.unmade:
        pytest.skip("this user may not make it")
    told = run.told.get(entry.id, [])
    if entry.says is None:
        assert run.code == 0, run.told
        assert entry.id in run.taken
        assert not told
    else:
        assert run.code == 65
        assert any(entry.is_said(message) for message in told), told


@pytest.mark.parametrize("batch", BATCHES)
def test_outputs_leave_nothing_else(batch: str, collected: Collected) -> None:
    run = collected(batch)
    assert "" not in run.told, "a finding of none of them"
    check(run)


@pytest.mark.parametrize("entry", [each for each in INPUTS if FUZZ or not each.heavy], ids=ids)
def test_input(entry: Input, staging: Staging) -> None:
    run = staging.stage(entry)
    told = run.told.get("given", [])
    if entry.says is None:
        assert (run.code, told) == (0, [])
        assert run.taken
        assert not entry.absent or not any(entry.absent in data for data in run.kept)
    else:
        assert run.code == 65, (run.code, run.texts)
        assert any(entry.is_said(message) for message in told), told
    check(run, STAGE_PEAK)


def check(run: Run, peak: int = PEAK) -> None:
    """What holds whatever the entry is."""
    assert run.opened == 0, "the secret was opened"
    assert not run.leaked, "the secret's bytes are in what was kept or said"
    assert run.peak < peak
    for text in run.texts:
        said = text.decode("utf-8").rstrip("\n")
        assert len(said) <= 2000
        assert not unsafe(said), said


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    (tmp_path / "pod").mkdir()
    made = Canary(tmp_path / "outside")
    yield made
    made.close()


READERS = {".nrrd": "NrrdImageIO"}


def naive(place: Path) -> bytes:
    """What a reader gets that believes its files."""
    import SimpleITK

    if place.is_dir():
        files = sorted(place.iterdir())
        assert files
        place = files[0]
    try:
        image = SimpleITK.ReadImage(str(place), imageIO=READERS.get(place.suffix, "MetaImageIO"))
        return bytes(SimpleITK.GetArrayViewFromImage(image).tobytes())
    except RuntimeError:
        return place.read_bytes()


@pytest.mark.parametrize("entry", [each for each in (*OUTPUTS, *INPUTS) if each.reaches], ids=ids)
def test_a_reader_that_believes_reads_the_secret(entry: Entry, canary: Canary, tmp_path: Path) -> None:
    """The attacks are attacks, and the canary sees them: else all that it did not see would mean nothing."""
    place = tmp_path / (f"output/{place_of(entry)}" if isinstance(entry, Output) else "stores/0/0")
    assert write(entry, place, canary)
    canary.seen()
    got = naive(place)
    assert canary.seen() > 0
    assert canary.token.encode()[:16] in got


def test_ids_are_told_apart() -> None:
    every = [entry.id for entry in (*OUTPUTS, *INPUTS)]
    assert len(set(every)) == len(every)


def test_the_docs_tell_of_the_corpus() -> None:
    page = attacks.PAGE.read_text()
    assert page == attacks.written(page), "python -m tests.hostile.attacks"
