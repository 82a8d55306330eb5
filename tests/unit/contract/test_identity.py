"""The identity of a result: anyone can compute it from the manifest."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from algorithm_operator.contract import identity as module
from algorithm_operator.contract.identity import identity

INPUTS = [("t1-mri", "aa"), ("age", "bb")]


def test_the_line_is_as_documented() -> None:
    # printf '%s' '{"image":"sha256:1","inputs":[{"sha256":"bb","slug":"age"}],"model":null}' | sha256sum
    assert (
        identity("sha256:1", None, [("age", "bb")])
        == "75dd2f9fa49ef497956babe7daf105349e4c6fc1a605875cc7a3fde2710b92ca"
    )


def test_the_order_of_inputs_does_not_count_and_everything_else_does() -> None:
    one = identity("sha256:1", "m", INPUTS)
    assert identity("sha256:1", "m", reversed(INPUTS)) == one
    others = {
        identity("sha256:2", "m", INPUTS),
        identity("sha256:1", "n", INPUTS),
        identity("sha256:1", None, INPUTS),
        identity("sha256:1", "m", INPUTS[:1]),
        identity("sha256:1", "m", [("t1-mri", "bb"), ("age", "aa")]),
    }
    assert len(others | {one}) == 6


@pytest.mark.skipif(shutil.which("jq") is None, reason="the documented command needs jq")
@pytest.mark.parametrize("model", [None, {"sha256": "m"}])
def test_the_documented_command_computes_it(model: dict[str, str] | None) -> None:
    manifest = {
        "algorithm": {"imageDigest": "sha256:1"},
        "inputs": [{"slug": slug, "sha256": sha256, "kind": "Float"} for slug, sha256 in INPUTS],
        **({"model": model} if model else {}),
    }
    command = (module.__doc__ or "").partition("    jq ")[2].replace("manifest.json", "")
    done = subprocess.run(
        ["sh", "-c", f"jq {command}"],
        input=json.dumps(manifest), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[0] == identity("sha256:1", model["sha256"] if model else None, INPUTS)
