"""The whole report, the operator, the isolation; and what a refusing API server becomes."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from algorithm_operator.cli import show
from algorithm_operator.cli.connection import UnreachableError
from algorithm_operator.cli.errors import CliError
from algorithm_operator.cli.preflight import command, isolation, probepods
from algorithm_operator.cli.preflight.checks import Check, Group, Level, Report, Unseen, by_value, listed
from algorithm_operator.cli.preflight.facts import Installation, installation, is_operator
from algorithm_operator.cli.preflight.judge import judge
from algorithm_operator.cli.preflight.reader import Reader, RefusedError
from tests.unit.cli.preflight_facts import NOW, deployment, facts, namespace, node, one, probed, told, tried
from tests.unit.cli.test_explain import EVIL

NO = Unseen("forbidden")


def checks(**changes: Any) -> list[Check]:
    return list(judge(facts(**changes)).checks)


def test_a_good_cluster_passes_all_that_can_be_seen() -> None:
    report = judge(facts())
    assert [check.name for check in report.checks if check.level is not Level.PASS] == ["runc"]
    assert report.level is Level.UNKNOWN


def test_whatever_may_not_be_seen_is_unknown_and_nothing_breaks() -> None:
    everything = dict.fromkeys(
        (
            *("version", "deployments", "lease", "canary_slices", "schemas", "admission_policies"),
            *(
                "admission_bindings",
                "nodes",
                "toolkits",
                "storage_classes",
                "namespaces",
                "probed",
                "leftovers",
            ),
        ),
        NO,
    )
    found = checks(**everything, installation=None, kubelets={})
    assert {check.level for check in found} == {Level.UNKNOWN}
    for name in everything:
        levels = {check.level for check in checks(**{name: NO})}
        assert levels == {Level.PASS, Level.UNKNOWN}, name


@pytest.mark.parametrize(
    ("name", "changes", "level", "words"),
    [
        pytest.param("operator", {"deployments": []}, Level.FAIL, "helm install", id="not installed"),
        pytest.param(
            "operator",
            {"installation": Unseen("AO_GPU_TYPES is not JSON")},
            Level.FAIL,
            "AO_GPU_TYPES",
            id="settings",
        ),
        pytest.param(
            "one-operator", {"deployments": [deployment()] * 2}, Level.WARN, "There are 2", id="two"
        ),
        pytest.param("lease", {"lease": None}, Level.FAIL, "Nobody holds", id="no Lease"),
        pytest.param(
            "lease", {"now": NOW + timedelta(minutes=1)}, Level.FAIL, "has not renewed", id="old Lease"
        ),
        pytest.param("canary", {"canary_slices": []}, Level.FAIL, "IsolationUnverified", id="no canary"),
        pytest.param(
            "canary",
            {"canary_slices": [{"endpoints": [{"conditions": {"ready": False}}]}]},
            Level.FAIL,
            "no ready endpoint",
            id="canary not ready",
        ),
        pytest.param(
            "admission-policies", {"admission_policies": []}, Level.WARN, "None of the release", id="none"
        ),
        pytest.param(
            "admission-policies", {"admission_bindings": []}, Level.WARN, "Not bound", id="not bound"
        ),
        pytest.param(
            "custom-resources", {"schemas": {}}, Level.FAIL, "Algorithm, AlgorithmJob", id="no CRDs"
        ),
        pytest.param(
            "kubernetes-version", {"version": {"gitVersion": "v1.32.9"}}, Level.FAIL, "1.33", id="old"
        ),
        pytest.param(
            "kubernetes-version",
            {"nodes": [node(info={"kubeletVersion": "v1.31.2-eks-1"})]},
            Level.FAIL,
            "kubelet of gpu-1",
            id="old kubelet",
        ),
        pytest.param(
            "image-volumes",
            {"version": {"gitVersion": "v1.34.1-gke.5"}},
            Level.WARN,
            "model.store",
            id="no images",
        ),
        pytest.param("storage-class", {"storage_classes": []}, Level.WARN, "none at all", id="no class"),
        pytest.param(
            "namespaces-of-jobs", {"namespaces": []}, Level.WARN, "jobNamespaces", id="no namespace"
        ),
    ],
)
def test_cluster_and_operator(name: str, changes: dict[str, Any], level: Level, words: str) -> None:
    told(one(checks(**changes), name), level, words)


def test_a_deployment_that_is_not_available() -> None:
    body = deployment()
    body["status"] = {"conditions": [{"type": "Available", "message": "no replicas"}]}
    told(one(checks(deployment=body), "operator"), Level.FAIL, "0 of 1", "no replicas", "describe pods")


def test_another_version() -> None:
    body = deployment()
    body["metadata"]["labels"]["app.kubernetes.io/version"] = "0.0.1"
    told(one(checks(deployment=body), "versions"), Level.WARN, "The operator is 0.0.1")


@pytest.mark.parametrize(
    ("version", "level"), [(None, Level.FAIL), ("9.9.9", Level.WARN)], ids=["same", "other"]
)
def test_old_definitions(version: str | None, level: Level) -> None:
    body, schemas = deployment(), json.loads(json.dumps(facts().schemas))
    if version:
        body["metadata"]["labels"]["app.kubernetes.io/version"] = version
    del schemas["Algorithm"]["properties"]["spec"]["properties"]["model"]
    found = checks(deployment=body, schemas=schemas)
    told(one(found, "custom-resources"), level, "Algorithm.spec.model", "crds.enabled")


def test_newer_definitions() -> None:
    schemas = json.loads(json.dumps(facts().schemas))
    schemas["DataStore"]["properties"]["spec"]["properties"]["s3"] = {"type": "object"}
    told(one(checks(schemas=schemas), "custom-resources"), Level.WARN, "DataStore.spec.s3")


def storage_class(mode: str, *, default: bool = True) -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return {"metadata": {"name": mode.lower(), "annotations": annotations}, "volumeBindingMode": mode}


@pytest.mark.parametrize(
    ("classes", "number", "level", "words"),
    [
        ([storage_class("Immediate")], 2, Level.WARN, "WaitForFirstConsumer"),
        ([storage_class("Immediate")], 1, Level.PASS, "immediate"),
        ([storage_class("Immediate", default=False)], 1, Level.WARN, "kubectl annotate storageclass"),
        ([storage_class("Immediate"), storage_class("WaitForFirstConsumer")], 1, Level.WARN, "Several"),
    ],
)
def test_storage_class(classes: list[Any], number: int, level: Level, words: str) -> None:
    pool = [node(f"gpu-{index}") for index in range(number)]
    told(one(checks(storage_classes=classes, nodes=pool, kubelets={}), "storage-class"), level, words)


@pytest.mark.parametrize(
    ("found", "name", "level", "words"),
    [
        pytest.param(probed(), "policy-enforcement", Level.PASS, "closed from the start", id="closed"),
        pytest.param(
            probed(sealed=[tried("canary", 2, 0.21), tried("API server"), tried("kubelet")]),
            "policy-enforcement",
            Level.WARN,
            "closed after 0.2 s",
            id="open at first",
        ),
        pytest.param(
            probed(sealed=[tried("canary", 30, 20.0, is_open=True), tried("API server")]),
            "policy-enforcement",
            Level.FAIL,
            "Calico",
            id="never closed",
        ),
        pytest.param(
            probed(sealed=[tried("canary"), tried("API server", 30, 20.0, is_open=True)]),
            "policy-enforcement",
            Level.FAIL,
            "API server",
            id="API server open",
        ),
        pytest.param(
            probed(control=[tried("canary")]),
            "policy-enforcement",
            Level.FAIL,
            "proves nothing",
            id="dead canary",
        ),
        pytest.param(
            probed(control=NO, sealed=NO),
            "policy-enforcement",
            Level.UNKNOWN,
            "not seen on gpu-1",
            id="no control",
        ),
        pytest.param(probed(sealed=NO), "policy-enforcement", Level.UNKNOWN, "forbidden", id="no sealed Pod"),
        pytest.param(probed(sealed=[]), "policy-enforcement", Level.UNKNOWN, "not tried", id="nothing tried"),
        pytest.param(None, "policy-enforcement", Level.UNKNOWN, "--no-probe", id="not wanted"),
        pytest.param(NO, "policy-enforcement", Level.UNKNOWN, "cluster admin", id="not allowed"),
        pytest.param(probed(), "node-addresses", Level.PASS, "kubelet", id="node closed"),
        pytest.param(
            probed(sealed=[tried("canary"), tried("kubelet", 30, 20.0, is_open=True)]),
            "node-addresses",
            Level.FAIL,
            "isolation.strict=false",
            id="kubelet open",
        ),
        pytest.param(
            probed(leftover="x"), "probe-removed", Level.WARN, "kubectl delete namespace x", id="leftover"
        ),
    ],
)
def test_isolation(found: Any, name: str, level: Level, words: str) -> None:
    told(one(list(isolation.judge(found, strict=True)), name), level, words)


def test_open_node_addresses_that_are_accepted() -> None:
    found = probed(sealed=[tried("canary"), tried("kubelet", 30, 20.0, is_open=True)])
    told(one(list(isolation.judge(found, strict=False)), "node-addresses"), Level.WARN, "kubelet")


@pytest.mark.parametrize(
    ("minutes", "leaving", "told_of"), [(20, False, True), (1, False, False), (20, True, False)]
)
def test_what_a_killed_probe_left(minutes: int, leaving: bool, told_of: bool) -> None:
    made = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    meta = {"name": "algorithm-operator-preflight-0", "creationTimestamp": made}
    body = {"metadata": {**meta, **({"deletionTimestamp": made} if leaving else {})}}
    found = [check for check in checks(leftovers=[body]) if check.name == "earlier-probes"]
    assert bool(found) is told_of
    if told_of:
        told(found[0], Level.WARN, "kubectl delete namespace algorithm-operator-preflight-0")


def test_the_control_never_passes_for_the_sealed_pod() -> None:
    """Without a live canary nothing is said of the node's addresses either."""
    found = isolation.judge(probed(control=[tried("canary")]), strict=True)
    assert [check.name for check in found] == ["policy-enforcement"]


# --- what the operator's Deployment says


def test_installation() -> None:
    found = installation(
        deployment(
            AO_WATCH_NAMESPACES="a, b",
            AO_ISOLATION_STRICT="false",
            AO_STEPS_RESOURCES='{"collect": {"cpu": "250m", "memory": "1Gi"}}',
            AO_EXTRA_TOLERATIONS='[{"key": "x", "operator": "Exists"}]',
        )
    )
    assert found.watch_namespaces == ("a", "b")
    assert not found.pods.isolation_strict
    assert found.pods.collect_resources == {"cpu": "250m", "memory": "1Gi"}
    assert found.pods.extra_tolerations == [{"key": "x", "operator": "Exists"}]
    assert list(found.pods.gpu_types) == ["T4"]


@pytest.mark.parametrize("text", ["{", "[]", '{"T4": 1}'])
def test_settings_that_cannot_be_read_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="AO_GPU_TYPES of the operator's Deployment"):
        installation(deployment(AO_GPU_TYPES=text))


def test_other_deployments_are_no_operator() -> None:
    assert is_operator(deployment())
    assert not is_operator({"metadata": {"name": "algorithm-operator"}, "spec": {"template": {"spec": {}}}})


# --- the probe's Pods


def test_the_probes_pods_carry_none_of_our_labels_and_no_token() -> None:
    body = probepods.pod(probepods.SEALED, "gpu-1", "image", [], probepods.targets(("10.96.0.20", 8081)))
    assert not [key for key in body["metadata"]["labels"] if key.startswith("algorithm-operator.dev/")]
    assert body["spec"]["automountServiceAccountToken"] is False
    assert body["spec"]["containers"][0]["command"][0] == "python"
    compile(probepods.SCRIPT, "probe", "exec")


def test_the_policy_selects_the_sealed_pod_alone() -> None:
    chosen = probepods.policy()["spec"]["podSelector"]["matchLabels"].items()
    sealed, control = (
        probepods.pod(name, None, "image", [], [])["metadata"]["labels"] for name in ("sealed", "control")
    )
    assert chosen <= sealed.items()
    assert not chosen <= control.items()


def test_the_probe_prefers_nodes_whose_kubelet_answers() -> None:
    pool = [node("a", ready=False), node("b"), node("c")]
    assert probepods.node_for(pool, ["c"])["metadata"]["name"] == "c"  # type: ignore[index]
    assert probepods.node_for(pool, [])["metadata"]["name"] == "b"  # type: ignore[index]
    assert probepods.node_for(pool[:1], ["a"]) is None


@pytest.mark.parametrize("message", ["", "Error, exit code 1", "{}", "[{}]", '[{"name": "canary"}]', "[1]"])
def test_a_probe_without_a_result_is_no_result(message: str) -> None:
    assert isinstance(probepods.parse(message), Unseen) or probepods.parse(message) == []


def test_the_script_tells_open_from_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as the Pod runs it, but faster; against a listening port and a dead one."""
    written: dict[str, str] = {}

    class File(io.StringIO):
        def write(self, text: str) -> int:
            written["text"] = text
            return len(text)

    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    dead = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    dead.server_close()
    dialled = [
        {"name": "canary", "host": "127.0.0.1", "port": server.getsockname()[1]},
        {"name": "API server", "host": "$HOST_IP", "port": "$DEAD_PORT"},
    ]
    monkeypatch.setenv("PROBE_TARGETS", json.dumps(dialled))
    monkeypatch.setenv("PROBE_ONCE", "false")
    monkeypatch.setenv("HOST_IP", "127.0.0.1")
    monkeypatch.setenv("DEAD_PORT", str(dead.server_address[1]))
    script = probepods.SCRIPT.replace("= 12.0, 3.0, 0.5, 0.1", "= 0.6, 0.3, 0.5, 0.05")
    assert script != probepods.SCRIPT
    exec(script, {"open": lambda *_: File()})
    server.close()
    found = probepods.parse(written["text"])
    assert not isinstance(found, Unseen)
    live, closed = found
    assert (live.is_open, closed.is_open, closed.opened) == (True, False, 0)
    assert live.opened == live.attempts > 1
    assert closed.attempts > 1
    assert closed.address == f"127.0.0.1:{dead.server_address[1]}"


# --- what is printed


def test_texts_are_escaped_and_bounded() -> None:
    found = [
        check
        for check in checks(
            namespaces=[
                namespace(
                    policies=[{"metadata": {"name": EVIL}, "spec": {"podSelector": {}, "egress": [{}]}}]
                )
            ],
            nodes=[node(EVIL, info={"containerRuntimeVersion": EVIL * 1000})],
            version={"gitVersion": EVIL},
        )
        if "x" in check.seen
    ]
    assert found
    for check in found:
        assert "\x1b" not in check.seen + check.fix
        assert "\u202e" not in check.seen + check.fix
        assert len(check.seen) <= 1500


def test_the_table_shows_markup_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    monkeypatch.setattr(show, "out", console)
    command.draw(
        Report([Group("g").failed("name", "[red]seen[/]", "[link=x]fix[/]"), Group("h").passed("n", "well")])
    )
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]seen[/]" in text
    assert "fix: [link=x]fix[/]" in text
    assert "fail  2 checks: 1 pass, 0 unknown, 0 warn, 1 fail" in text
    assert text.index("well") < text.index("[red]seen[/]"), "the worst is last"


@pytest.mark.parametrize(("changes", "code"), [({}, None), ({"lease": None}, 1)], ids=["good", "failed"])
@pytest.mark.parametrize("output", list(show.Output))
def test_exit_code_and_json(
    changes: dict[str, Any],
    code: int | None,
    output: show.Output,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setattr(command, "gather", lambda *_, **__: facts(**changes))
    try:
        command.preflight(SimpleNamespace(), None, None, output, with_probe=False)  # type: ignore[arg-type]
        ended = None
    except SystemExit as end:
        ended = end.code
    assert ended == code
    if output is show.Output.JSON:
        wire = json.loads(capsys.readouterr().out)
        assert wire["level"] == ("fail" if code else "unknown")
        assert sum(wire["summary"].values()) == len(wire["checks"])
        assert set(wire["checks"][0]) == {"group", "name", "level", "seen", "fix"}


def test_lists_are_short() -> None:
    assert listed("gfedcba") == "a, b, c, d, e and 2 more"
    assert by_value({"b": "1", "a": "1", "c": "2"}) == "1 (a, b), 2 (c)"


# --- the API server's answers


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = {
            "/good": (200, b'{"items": [{"a": 1}]}'),
            "/forbidden": (403, b'{"message": "nodes is forbidden: \\u001b[2J"}'),
            "/html": (502, b"<html>bad gateway</html>"),
            "/strange": (200, b"hello"),
            "/list": (200, b"[]"),
            "/login": (401, b'{"message": "Unauthorized"}'),
        }.get(self.path.partition("?")[0], (404, b'{"message": "not found"}'))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def reader() -> Iterator[Reader]:
    from kubernetes import client

    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    configuration: Any = client.Configuration()
    configuration.host = f"http://127.0.0.1:{server.server_address[1]}"
    yield Reader(SimpleNamespace(api=client.ApiClient(configuration)))  # type: ignore[arg-type]
    server.shutdown()
    server.server_close()


def test_answers(reader: Reader) -> None:
    assert reader.list("/good", labelSelector="a=b") == [{"a": 1}]
    assert reader.get("/none") is None
    assert reader.list("/none") == Unseen("not found")
    assert reader.get("/forbidden") == Unseen("nodes is forbidden: \\x1b[2J")
    assert reader.document("/html") == Unseen("502: <html>bad gateway</html>")
    for path in ("/strange", "/list"):
        with pytest.raises(RefusedError, match=path):
            reader.request("GET", path)


def test_a_stranger_is_told_so(reader: Reader) -> None:
    with pytest.raises(CliError, match="does not accept the kubeconfig's credentials: Unauthorized"):
        reader.get("/login")


def test_a_cluster_that_does_not_answer() -> None:
    from kubernetes import client

    dead = HTTPServer(("127.0.0.1", 0), Answers)
    dead.server_close()
    configuration: Any = client.Configuration()
    configuration.host = f"http://127.0.0.1:{dead.server_address[1]}"
    reader = Reader(SimpleNamespace(api=client.ApiClient(configuration)))  # type: ignore[arg-type]
    with pytest.raises(UnreachableError, match="does not answer"):
        reader.get("/version")


def test_installation_is_a_fact() -> None:
    assert isinstance(facts().installation, Installation)
