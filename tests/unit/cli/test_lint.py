"""What lint says, where, and that no text makes it stumble."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from algorithm_operator.api.text import shown
from algorithm_operator.cli.authoring import app
from algorithm_operator.cli.errors import UsageError
from algorithm_operator.cli.lint.check import check
from algorithm_operator.cli.lint.manifests import Manifest, ManifestError, read

ALGORITHM = """\
apiVersion: algorithm-operator.dev/v1alpha1
kind: Algorithm
metadata: {name: lesions}
spec:
  image: {reference: "registry.example.org/lesions:1"}
  resources: {memory: 8G}
  timeLimitSeconds: 600
  interfaces:
  - inputs:
    - {slug: t1-mri, kind: Image}
    - {slug: threshold, kind: Float}
    outputs:
    - {slug: report, kind: Anything, storeInStatus: true}
"""
JOB = """\
---
apiVersion: algorithm-operator.dev/v1alpha1
kind: AlgorithmJob
metadata: {name: case-1}
spec:
  algorithmRef: {name: lesions}
  inputs:
  - {slug: t1-mri, store: {name: imaging, paths: [a.mha]}}
  - {slug: threshold, value: 0.5}
"""
STORE = """\
---
apiVersion: algorithm-operator.dev/v1alpha1
kind: DataStore
metadata: {name: imaging}
spec:
  persistentVolumeClaim: {claimName: imaging}
  default: true
"""
ALL = ALGORITHM + JOB + STORE


def lint(text: str) -> list[str]:
    return [str(finding) for finding in check(list(read("a.yaml", text.encode())))]


def test_nothing_is_wrong() -> None:
    assert lint(ALL) == []


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        (
            "timeLimitSeconds: 600",
            "timeLimitSecond: 600",
            'a.yaml:7: Algorithm lesions: spec.timeLimitSecond: there is no field "timeLimitSecond"; '
            "did you mean timeLimitSeconds?",
        ),
        (
            "timeLimitSeconds: 600",
            'timeLimitSeconds: "600"',
            'a.yaml:7: Algorithm lesions: spec.timeLimitSeconds: it must be a whole number, and is the text "600"; '
            "write it without quotes",
        ),
        (
            "slug: report, kind: Anything",
            "slug: report, kind: anything",
            "; did you mean Anything?",
        ),
        ("slug: t1-mri, kind: Image", "slug: T1_MRI, kind: Image", '; did you mean "t1-mri"?'),
        (
            "slug: t1-mri, kind: Image",
            'slug: "t1-mri\\n", kind: Image',
            '"t1-mri\\x0a" does not have the form',
        ),
        (
            "slug: t1-mri, kind: Image",
            "slug: ct-image, schema: {type: object}",
            "spec.interfaces[0].inputs[0]: relativePath, schema, overlaySegments of a common socket are known",
        ),
        ("memory: 8G", "memory: 8 GB", '"8 GB" does not have the form'),
        ("memory: 8G", "memory: 8 GB", '; did you mean "8G"?'),
        (
            '  image: {reference: "registry.example.org/lesions:1"}\n',
            "",
            "a.yaml:4: Algorithm lesions: spec.image: it is needed and not there; add image",
        ),
        (
            "memory: 8G",
            "memory: 8G, sharedMemory: 9G",
            "a.yaml:6: Algorithm lesions: spec.resources: ",
        ),
        (
            "slug: threshold, value: 0.5",
            "slug: threshold, value: 1e-3, store: {name: a, paths: [b]}",
            "a.yaml:22: AlgorithmJob case-1: spec.inputs[1]: it has value and store; give exactly one of them",
        ),
        (
            "  - {slug: threshold, value: 0.5}\n",
            "",
            "a.yaml:18: AlgorithmJob case-1: spec: ",
        ),
        (
            "  resources: {m",
            '  resultTemplate: "{{ results.a | nope }}"\n  resources: {m',
            'a.yaml:6: Algorithm lesions: spec.resultTemplate: line 1: there is no filter "nope"',
        ),
        ("value: 0.5", "value: half", "a.yaml:22: AlgorithmJob case-1: spec.inputs[1]: "),
        (
            "v1alpha1\nkind: DataStore",
            "v1\nkind: DataStore",
            'a.yaml:24: DataStore imaging: apiVersion: "algorithm-operator.dev/v1" is unknown; '
            "write algorithm-operator.dev/v1alpha1",
        ),
        (
            "kind: DataStore",
            "kind: Datastore",
            'a.yaml:25: Datastore imaging: kind: "Datastore" is none of Algorithm, AlgorithmJob, ImageImport, '
            "DataStore; did you mean DataStore?",
        ),
        ("name: imaging}\nspec", "name: Imaging}\nspec", '"Imaging" is no name for an object'),
        ("metadata: {name: lesions}", "metadata: {}", "metadata.name: it is needed and not there"),
    ],
)
def test_findings(was: str, becomes: str, says: str) -> None:
    assert ALL.count(was) == 1
    found = lint(ALL.replace(was, becomes))
    assert any(says in each for each in found), found


IMPORT = """\
---
apiVersion: algorithm-operator.dev/v1alpha1
kind: ImageImport
metadata: {name: series-1}
spec:
  source: {name: imaging, paths: [series/]}
"""


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("series/", "../series/", "a path is relative to the root of the DataStore"),
        ("[series/]}", "[series/]}\n  kind: Float", "ImageImport series-1: spec.kind: "),
    ],
    ids=["path", "kind"],
)
def test_an_import(was: str, becomes: str, says: str) -> None:
    assert lint(IMPORT) == []
    found = lint(IMPORT.replace(was, becomes))
    assert any(says in each for each in found), found


def test_an_input_that_an_import_makes() -> None:
    image = "store: {name: imaging, paths: [a.mha]}"
    assert lint(ALL.replace(image, "imageImport: {name: series-1}")) == []
    (found,) = lint(ALL.replace("value: 0.5", "imageImport: {name: series-1}"))
    assert 'import "series-1" makes an image, which is no input of kind "Float"' in found


def test_everything_is_said_at_once() -> None:
    text = ALL.replace("Seconds: 600", "Second: 600").replace("paths: [a.mha]", "paths: [/a.mha]")
    text = text.replace("claimName", "claim").replace("kind: Float", "kind: float")
    assert sorted({each.split(": ")[1] for each in lint(text)}) == [
        "Algorithm lesions",
        "AlgorithmJob case-1",
        "DataStore imaging",
    ]
    assert len(lint(text)) == 5


def test_every_input_of_a_job_and_its_time_are_said() -> None:
    text = ALL.replace("value: 0.5", "value: half").replace("paths: [a.mha]", "paths: [a.txt]")
    text = text.replace(
        "algorithmRef: {name: lesions}", "algorithmRef: {name: lesions}\n  timeLimitSeconds: 601"
    )
    assert [each.split(": ")[2] for each in lint(text)] == ["spec.inputs[0]", "spec.inputs[1]"]
    text = ALL.replace(
        "algorithmRef: {name: lesions}", "algorithmRef: {name: lesions}\n  timeLimitSeconds: 601"
    )
    (found,) = lint(text)
    assert "a.yaml:18: AlgorithmJob case-1: spec: " in found
    assert "601" in found


def test_an_interface_that_the_server_refuses_does_not_hide_what_the_contract_says_of_others() -> None:
    more = """\
  - name: a
    inputs: [{slug: b, kind: Float}]
    outputs: [{slug: c, kind: Float}]
  - name: d
    inputs: [{slug: b, kind: Float}]
    outputs: [{slug: c, kind: Float}]
"""
    found = lint(ALGORITHM.replace("kind: Image", "kind: Picture") + more)
    assert any("is none of" in each for each in found)
    assert any('Interfaces "a" and "d" have the same inputs' in each for each in found)


@pytest.mark.parametrize("text", [ALGORITHM + "---\n" + ALGORITHM, JOB + JOB, STORE + STORE])
def test_an_object_twice(text: str) -> None:
    assert any("is there already, at a.yaml:" in each for each in lint(text))


def test_objects_of_one_name_in_two_namespaces() -> None:
    other = STORE.replace("name: imaging}\n", "name: imaging, namespace: x}\n")
    assert lint(STORE + other) == []


@pytest.mark.parametrize("metadata", ["~", "[]", "{name: 1}", "{name: ~}", "{generateName: a-}", "text"])
def test_objects_without_a_name_are_no_objects_of_one_name(metadata: str) -> None:
    other = STORE.replace("{name: imaging}\n", f"{metadata}\n").replace("default: true", "default: false")
    found = lint(other + other)
    assert any("metadata" in each for each in found) != ("generateName" in metadata)
    assert any("there already" in each for each in found) == (metadata == "{name: 1}")


def test_a_kind_that_is_no_text_is_not_ours() -> None:
    assert lint("kind: [Algorithm]\n---\nkind: {a: b}\napiVersion: 1\n") == []


def test_two_defaults() -> None:
    (found,) = lint(STORE + STORE.replace("name: imaging}\n", "name: other}\n"))
    assert found == (
        "a.yaml:14: DataStore other: spec.default: DataStore imaging, at a.yaml:2, is the default already; "
        "leave it at one"
    )


def test_a_slug_that_two_algorithms_define() -> None:
    other = ALGORITHM.replace("lesions", "other").replace("kind: Float", "kind: Integer")
    (found,) = lint(f"{ALGORITHM}---\n{other}")
    assert (
        "a.yaml:25: Algorithm other: spec.interfaces[0].inputs[1]: Algorithm lesions, at a.yaml:1, " in found
    )
    assert 'defines "threshold" otherwise' in found


def test_stores_that_are_not_among_the_manifests_may_be_there() -> None:
    assert lint(ALGORITHM + JOB) == []


def test_other_manifests_are_let_be() -> None:
    assert (
        lint("kind: Secret\napiVersion: v1\n---\n- 1\n---\nkind: Algorithm\napiVersion: example.org/v1\n")
        == []
    )


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"a: 1\n\tb: 2\n", 2, "it is no YAML"),
        (b"a: 1\na: 2\n", 2, '"a" stands twice in one mapping'),
        (b"a: [1\n", 2, "it is no YAML"),
        (b"a: b: c\n", 1, "it is no YAML"),
        (b"a: 1\nb: \xff\n", 2, "it is not UTF-8"),
        (b"a: 1\nb: \x01\n", 2, "YAML has no character U+0001"),
        (b"a: &a [*a]\n", 1, "nested more than 64 deep"),
        (b"[" * 5000, 1, "nested too deeply"),
        (BOMB.encode(), 1, "stands for more than 50000 values"),
        (b"a: !!python/object/apply:os.system [x]\n", 1, "nothing"),
        (b"a: !!binary aGk=\n", 1, "is not for manifests"),
        (b"? [a]\n: 1\n", 1, "a name in it is no text"),
        (b"a: .nan\n", 1, "is no number that JSON has"),
        (b"a: " + b"9" * 100, 1, "too large"),
        (b"a: 1e999\n", 1, "is no number that JSON has"),
        (b"<<: 1\n", 1, "merges mappings"),
        (b"x" * (3 * 1024 * 1024 + 1), 1, "an API server takes 3145728"),
    ],
    ids=[
        "a tab",
        "a name twice",
        "an open list",
        "two colons",
        "Latin-1",
        "a control character",
        "an anchor in itself",
        "deep",
        "a bomb",
        "a Python object",
        "binary",
        "a list as name",
        "NaN",
        "a long number",
        "infinity",
        "a merge",
        "too long",
    ],
)
def test_broken_yaml_is_one_message(data: bytes, line: int, says: str) -> None:
    if says == "nothing":  # the tag is of a list, whose content is plain: it is never obeyed
        assert [manifest.body for manifest in read("a", data)] == [{"a": ["x"]}]
        return
    with pytest.raises(ManifestError) as refused:
        list(read("a", data))
    assert (refused.value.line, says in refused.value.why) == (line, True), refused.value.why


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("0x10", 16),
        ("010", 8),
        ("1_000", 1000),
        ("yes", True),
        ("y", True),
        ("N", False),
        ('"y"', "y"),
        ("~", None),
        ('"1"', "1"),
        ("1.", 1.0),
        ("-.5", -0.5),
        ("+1", 1),
        ("v1", "v1"),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(text: str, value: Any) -> None:
    (manifest,) = read("a", f"a: {text}\n".encode())
    assert manifest.body == {"a": value}
    assert type(manifest.body["a"]) is type(value)


def test_anchors_and_merges() -> None:
    (manifest,) = read("a", b"x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: *x\n")
    assert manifest.body == {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": {"a": 1, "b": 2}}
    assert manifest.line(("y", "b")) == 2
    assert manifest.line(("y", "a")) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=10,
)
PLACES = [
    ("metadata",),
    ("metadata", "name"),
    ("spec",),
    ("spec", "image", "reference"),
    ("spec", "interfaces"),
    ("spec", "interfaces", 0),
    ("spec", "interfaces", 0, "inputs", 0),
    ("spec", "interfaces", 0, "inputs", 1, "slug"),
    ("spec", "interfaces", 0, "inputs", 1, "kind"),
    ("spec", "interfaces", 0, "outputs", 0, "relativePath"),
    ("spec", "resources", "memory"),
    ("apiVersion",),
    ("kind",),
]


@settings(deadline=None)
@given(st.sampled_from(PLACES), JSON)
def test_whatever_stands_anywhere_is_a_finding_or_none(place: tuple[str | int, ...], value: Any) -> None:
    (manifest,) = read("a", ALGORITHM.encode())
    at = manifest.body
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = value
    for finding in check([Manifest("a", manifest.body, manifest.lines)]):
        assert shown(str(finding), 100_000) == str(finding)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text("a: -[]{}&*!|>'\"\n\t#%<", max_size=60).map(str.encode))
def test_whatever_the_text_is_it_is_read_or_refused(data: bytes) -> None:
    manifests: list[Manifest] = []
    with suppress(ManifestError):
        manifests += read("a", data)
    check(manifests)


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/all.yaml").write_text(ALL)
    (tmp_path / "values.yaml").write_text("{{ broken }}: [")
    runner = CliRunner()
    assert (runner.invoke(app, ["lint", str(tmp_path)]).exit_code) == 0

    (tmp_path / "bad.yml").write_text(ALL.replace("memory: 8G", "memory: 8Q"))
    told = runner.invoke(app, ["lint", str(tmp_path)])
    assert (told.exit_code, "bad.yml:6: Algorithm lesions: spec.resources.memory" in told.stdout) == (1, True)
    wire = json.loads(runner.invoke(app, ["lint", "-o", "json", str(tmp_path / "bad.yml")]).stdout)
    assert wire["objects"] == 3
    (finding,) = wire["findings"]
    assert (finding["line"], finding["object"]) == (6, "Algorithm lesions")

    piped = runner.invoke(app, ["lint", "-"], input=ALL.replace("kind: Image", "kind: X"))
    assert (piped.exit_code, piped.stdout.startswith("-:10: Algorithm lesions: ")) == (1, True)


@pytest.mark.parametrize("name", ["none.yaml", "values.yaml"])
def test_no_manifest_of_ours_is_no_silence(tmp_path: Path, name: str) -> None:
    (tmp_path / "values.yaml").write_text("a: 1\n")
    told = CliRunner().invoke(app, ["lint", str(tmp_path / name)])
    assert isinstance(told.exception, UsageError)
