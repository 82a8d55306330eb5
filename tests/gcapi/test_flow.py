"""gcapi itself, unmodified, against the whole gateway: over TLS, by its own transport, in each minor version."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.gateway.fakes import ALICE
from tests.gateway.running import algorithm, jobs_of, put
from tests.gcapi.environments import MINORS
from tests.gcapi.gateway import TOKEN, listening, whole
from tests.gcapi.operating import operating

SCRIPT = Path(__file__).with_name("flow.py")

pytestmark = pytest.mark.timeout(60, func_only=True)


@pytest.mark.parametrize("minor", MINORS)
async def test_from_the_first_line_to_the_results(
    minor: str, pythons: dict[str, Path], tmp_path: Path
) -> None:
    """What is checked is in flow.py."""
    folder = tmp_path / "script"
    folder.mkdir()
    async with (
        whole(tmp_path) as service,
        listening(service, tmp_path) as address,
        operating(service),
    ):
        put(service, algorithm())
        done = await asyncio.create_subprocess_exec(
            str(pythons[minor]), "-I", str(SCRIPT), address.base_url,
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "GRAND_CHALLENGE_AUTHORIZATION": TOKEN,
                "SSL_CERT_FILE": str(address.certificate),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, errors = await done.communicate()
        assert done.returncode == 0, errors.decode()
    jobs = jobs_of(service)
    listed = [f"gcapi-{pk}" for pk in json.loads(said)["jobs"]]
    assert sorted(listed) == sorted(body["metadata"]["name"] for body in jobs)
    assert {body["spec"]["requestedBy"] for body in jobs} == {ALICE}
    assert any(content == b"z" * 7500 for content in service.store.files.values())
