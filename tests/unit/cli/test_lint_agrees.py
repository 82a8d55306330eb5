"""lint and the API server agree: the tables and the very tests of tests/crd, with lint in the server's place."""

from __future__ import annotations

from typing import Any

import pytest

from algorithm_operator.api.base import API_VERSION
from algorithm_operator.cli.lint import schema
from algorithm_operator.cli.lint.check import check
from algorithm_operator.cli.lint.findings import Finding
from algorithm_operator.cli.lint.manifests import Manifest
from tests.crd.conftest import Object, algorithm, datastore, imageimport, job
from tests.crd.test_accepted import *  # noqa: F403
from tests.crd.test_refused import ALGORITHM, DATASTORE, IMPORT, JOB, Spoil, given

__all__ = ["algorithm", "datastore", "imageimport", "job"]

NAMES = [("job", 50), ("algorithm", 63), ("datastore", 63), ("imageimport", 63)]


def findings(body: Object) -> list[Finding]:
    whole = {"apiVersion": API_VERSION, **body}
    return check([Manifest("a.yaml", whole, {(): 1})])


class Lint:
    """It takes what the part of lint that knows the CRD finds nothing wrong with, and fills in the same defaults.

    The contract, which lint knows too, may refuse more than a server.
    """

    def accepts(self, body: Object) -> Object:
        assert schema.problems(body["kind"], body) == []
        return schema.with_defaults(body["kind"], body)

    apply = accepts


@pytest.fixture
def server() -> Lint:
    """For the tests of tests/crd/test_accepted.py."""
    return Lint()


REFUSED = {
    f"{kind}: {name}": (kind, *row)
    for kind, table in (
        ("algorithm", ALGORITHM),
        ("job", JOB),
        ("datastore", DATASTORE),
        ("imageimport", IMPORT),
    )
    for name, row in table.items()
}


@pytest.mark.parametrize(("kind", "spoil", "says"), REFUSED.values(), ids=REFUSED)
def test_what_the_server_refuses_lint_refuses_at_the_same_field(
    request: pytest.FixtureRequest, kind: str, spoil: Spoil, says: list[str]
) -> None:
    body: Object = request.getfixturevalue(kind)
    assert findings(body) == []
    spoil(body["spec"])
    found = findings(body)
    assert found
    field = says[0].partition(":")[0]
    if field.startswith("spec"):
        assert field in {each.field for each in found}


@pytest.mark.parametrize(("kind", "limit"), NAMES)
def test_names(request: pytest.FixtureRequest, kind: str, limit: int) -> None:
    body: Object = request.getfixturevalue(kind)
    body["metadata"]["name"] = "a" * limit
    assert findings(body) == []
    body["metadata"]["name"] = "a" * (limit + 1)
    (found,) = findings(body)
    assert f"the name may have at most {limit} characters" in found.why


@pytest.mark.parametrize("kind", [kind for kind, _ in NAMES])
@pytest.mark.parametrize("spec", [None, [], "x", 1])
def test_no_spec(request: pytest.FixtureRequest, kind: str, spec: Any) -> None:
    body: Object = request.getfixturevalue(kind)
    body["spec"] = spec
    (found,) = findings(body)
    assert found.field == "spec"


def test_a_value_that_cel_could_not_read_is_no_matter_of_its_rules(job: Object) -> None:
    given(value=10**30)(job["spec"])
    assert findings(job) == []
