"""Every answer of the gateway is one that gcapi's own models take, in each minor version that is served.

A shape that loses a key, or gets one of another type, fails here; so does a key that no client has any use for.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.gateway import shapes
from tests.gcapi.answers import MODELS, Said, gather, page_of
from tests.gcapi.environments import MINORS
from tests.gcapi.gateway import whole

SCRIPT = Path(__file__).with_name("models.py")
SHAPES = [
    each
    for each in vars(shapes).values()
    if isinstance(each, type) and issubclass(each, shapes.Shape) and each not in (shapes.Shape, shapes.Page)
]

LISTED: list[type[shapes.Shape]] = [
    shapes.Algorithm, shapes.AlgorithmImage, shapes.Socket, shapes.Job, shapes.Image, shapes.UploadSession,
    shapes.Upload, shapes.Archive, shapes.ArchiveItem,
]  # fmt: skip
UNASKED: dict[type[shapes.Shape], set[str]] = {
    shapes.Algorithm: {"inputs", "outputs"},  # of clients before 0.13
    shapes.Job: {"started_at", "completed_at"},  # of 0.13.0 alone
    shapes.JobPosted: {"api_url", "algorithm"},  # for people
    shapes.Archive: {"slug", "algorithms"},  # for people
    shapes.ArchiveItem: {"title"},  # the models have a default
    shapes.ArchiveItemPosted: {"title"},
}
"""Keys that none of the tested clients insists on."""

pytestmark = pytest.mark.timeout(60, func_only=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the models of one client say: see models.py."""

    refused: dict[str, str]
    asked: dict[str, list[str]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[Said]:
    async def given() -> list[Said]:
        async with whole(tmp_path_factory.mktemp("gateway")) as service:
            return await gather(service)

    return asyncio.run(given())


@pytest.fixture(scope="module")
def verdicts(answers: list[Said], pythons: dict[str, Path]) -> dict[str, Verdict]:
    """By minor version."""
    sent = json.dumps([{"what": each.what, "model": each.model, "body": each.body} for each in answers])

    def judge(minor: str) -> Verdict:
        done = subprocess.run(
            [str(pythons[minor]), "-I", str(SCRIPT)], input=sent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return Verdict(**said)

    with ThreadPoolExecutor() as pool:
        return dict(zip(MINORS, pool.map(judge, MINORS), strict=True))


@pytest.mark.parametrize("minor", MINORS)
def test_the_models_take_every_answer(verdicts: dict[str, Verdict], minor: str) -> None:
    assert verdicts[minor].refused == {}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_key_is_one_that_a_client_insists_on(
    verdicts: dict[str, Verdict], shape: type[shapes.Shape]
) -> None:
    """So no test above passes because nothing was looked at: each key was taken away, and missed."""
    asked = {key for each in verdicts.values() for key in each.asked.get(MODELS[shape], [])}
    assert asked == set(shape.model_fields) - UNASKED.get(shape, set())


@pytest.mark.parametrize("model", [page_of(MODELS[shape]) for shape in LISTED])
def test_pages(verdicts: dict[str, Verdict], model: str) -> None:
    """Of every list; the client itself looks at `count` and `results` alone."""
    for minor, each in verdicts.items():
        assert each.asked[model] == sorted(shapes.Page.model_fields), minor
