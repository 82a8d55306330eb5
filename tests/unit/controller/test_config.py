"""The environment: what is read, and what a wrong variable is told."""

import re
from pathlib import Path

import pytest

from algorithm_operator.contract.fetching import MAX_CA_BYTES
from algorithm_operator.contract.plan import Target
from algorithm_operator.controller import config
from algorithm_operator.controller.config import load
from algorithm_operator.core.settings import GpuType
from algorithm_operator.kube.environment import ConfigError

REQUIRED = {"AO_NAMESPACE": "ops", "AO_STEPS_IMAGE": "r/steps@sha256:1"}
DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_authorities_are_read_when_they_are_needed(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("one")
    settings = load({**REQUIRED, "AO_REGISTRY_CA": str(file)})
    file.write_text("two")
    assert settings.registry_authorities() == "two"
    assert load(REQUIRED).registry_authorities() is None
    file.write_bytes(b"x" * (MAX_CA_BYTES + 1))
    with pytest.raises(ConfigError, match="authorities of your registries alone"):
        load({**REQUIRED, "AO_REGISTRY_CA": str(file)})


def test_defaults() -> None:
    settings = load(REQUIRED)
    assert (settings.namespace, settings.pods.steps_image) == ("ops", "r/steps@sha256:1")
    assert (settings.watch_namespaces, settings.insecure_registries) == ((), frozenset())
    assert (settings.canary_port, settings.metrics_port, settings.workers) == (8081, 8080, 8)
    assert (settings.pods.isolation_strict, settings.pods.pull_failure_seconds) == (True, 120)
    assert settings.pods.stage_resources == {"cpu": "100m", "memory": "512Mi"}
    assert settings.api_server is None


def test_everything() -> None:
    settings = load(
        {
            **REQUIRED,
            "AO_WATCH_NAMESPACES": "a, b,,a",
            "AO_GPU_TYPES": '{"T4": {"nodeSelectorTerms": [{"matchExpressions": []}], "resource": "x/gpu"}}',
            "AO_INSECURE_REGISTRIES": "10.244.0.1:5000,localhost",
            "AO_CANARY_SERVICE": "bird",
            "AO_CANARY_PORT": "9",
            "AO_ISOLATION_STRICT": "False",
            "AO_ISOLATION_MANAGE_POLICY": "false",
            "AO_STEPS_RESOURCES": '{"stage": {"cpu": "1", "memory": "1Gi"}, "import": {"cpu": "2", "memory": "8Gi"}}',
            "AO_DNS_SERVERS": "10.96.0.10,fd00::a",
            "AO_LEASE_NAME": "lead",
            "AO_LOG_LEVEL": "debug",
            "AO_PULL_FAILURE_SECONDS": "30",
            "AO_EXTRA_TOLERATIONS": '[{"operator": "Exists"}]',
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "KUBERNETES_SERVICE_PORT": "443",
        }
    )
    pods = settings.pods
    assert settings.watch_namespaces == ("a", "b")
    assert pods.gpu_types == {"T4": GpuType([{"matchExpressions": []}], [], "x/gpu")}
    assert settings.insecure_registries == {"10.244.0.1:5000", "localhost"}
    assert (settings.canary_service, pods.canary_service, settings.canary_port) == ("bird", "bird", 9)
    assert not settings.manage_policy
    assert (pods.isolation_strict, pods.pull_failure_seconds) == (False, 30)
    assert pods.stage_resources == {"cpu": "1", "memory": "1Gi"}
    assert pods.import_resources == {"cpu": "2", "memory": "8Gi"}
    assert pods.collect_resources == {"cpu": "500m", "memory": "512Mi"}
    assert pods.extra_tolerations == [{"operator": "Exists"}]
    assert (settings.lease_name, settings.log_level) == ("lead", "DEBUG")
    assert settings.api_server == Target(name="API server", host="10.96.0.1", port=443)
    assert pods.dns_servers == ["10.96.0.10", "fd00::a"]
    elsewhere = load({**REQUIRED, "AO_API_SERVER": "[fd00::1]:6443", "KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert elsewhere.api_server == Target(name="API server", host="fd00::1", port=6443)


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("AO_REGISTRY_MIRRORS", '{"docker.io": "https://m"}', "host[:port][/path]"),
        ("AO_REGISTRY_MIRRORS", '{"a/b": "m"}', "host[:port][/path]"),
        ("AO_REGISTRY_CA", "/no/such/file", "cannot be read"),
        ("AO_STEPS_IMAGE", " ", "is not set"),
        ("AO_NAMESPACE", "Ops", "lower-case"),
        ("AO_WATCH_NAMESPACES", "a,b/c", "'b/c'"),
        ("AO_GPU_TYPES", "{", "not valid"),
        ("AO_GPU_TYPES", '{"T4": {}}', "T4.nodeSelectorTerms"),
        ("AO_GPU_TYPES", '{"T4": {"nodeSelectorTerms": [{}], "toleration": []}}', "T4.toleration"),
        ("AO_INSECURE_REGISTRIES", "http://x", "host:port"),
        ("AO_CANARY_PORT", "0", "from 1 to 65535"),
        ("AO_METRICS_PORT", "http", "whole number"),
        ("AO_ISOLATION_STRICT", "yes", "true or false"),
        ("AO_DNS_SERVERS", "10.96.0.10,dns", "'dns', which is not an IP address"),
        ("AO_STEPS_RESOURCES", '{"stage": {"cpu": "lots", "memory": "1Gi"}}', "stage.cpu"),
        ("AO_STEPS_RESOURCES", '{"stages": {}}', "stages"),
        ("AO_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("AO_PULL_FAILURE_SECONDS", "1", "from 10"),
        ("AO_EXTRA_TOLERATIONS", "{}", "not valid"),
        ("AO_API_SERVER", "10.96.0.1", "host:port"),
        ("AO_WORKERS", "1e3", "whole number"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({**REQUIRED, variable: value})
    assert caught.value.args[0].startswith(variable)
    assert why in caught.value.args[0]


def test_every_variable_is_documented() -> None:
    source = Path(config.__file__).read_text(encoding="utf-8")
    read = set(re.findall(r'"(AO_[A-Z_]+)"', source))
    documented = set(
        re.findall(r"^\| `(AO_(?!GATEWAY)[A-Z_]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert read == documented
    assert len(read) > 10


def test_the_dns_servers_are_those_of_our_own_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(config, "RESOLV_CONF", file)
    assert load(REQUIRED).pods.dns_servers == []
    file.write_text(
        "# kubelet\nsearch a.svc\nnameserver 10.96.0.10\nnameserver\n"
        "nameserver 127.0.0.53\nnameserver fd00::a\nnameserver fe80::1%eth0\noptions ndots:5\n"
    )
    assert load(REQUIRED).pods.dns_servers == ["10.96.0.10", "fd00::a"]
