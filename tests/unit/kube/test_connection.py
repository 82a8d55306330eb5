"""Where credentials come from."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from algorithm_operator.kube import connection
from algorithm_operator.kube.connection import Connection, NoCredentials


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(user: dict[str, Any], cluster: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "current-context": "b",
        "contexts": [
            {"name": "a", "context": {"cluster": "none", "user": "none"}},
            {"name": "b", "context": {"cluster": "c", "user": "u", "namespace": "ns"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }


def test_data_of_a_kubeconfig() -> None:
    user = {"client-certificate-data": encoded("CERT"), "client-key-data": encoded("KEY")}
    found = connection.from_kubeconfig(kubeconfig(user, {"certificate-authority-data": encoded("CA")}))
    assert found == Connection(
        "https://10.0.0.1:6443", ca_pem="CA", certificate_pem="CERT", key_pem="KEY", namespace="ns"
    )
    assert "KEY" not in repr(found)


def test_files_are_below_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("CA")
    (tmp_path / "token").write_text("secret\n")
    config = kubeconfig({"tokenFile": "token"}, {"certificate-authority": "ca.crt"})
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    found = connection.load({"KUBECONFIG": str(tmp_path / "config")})
    assert (found.ca_pem, found.read_token()) == ("CA", "secret")


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (kubeconfig({"exec": {"command": "aws"}}), "plugin"),
        ({"current-context": "x"}, "no entry 'x' in contexts"),
        ({**kubeconfig({}), "users": []}, "no entry 'u' in users"),
        ({**kubeconfig({}), "clusters": [{"name": "c", "cluster": {}}]}, "has no server"),
    ],
)
def test_an_unusable_kubeconfig_is_named(config: dict[str, Any], why: str) -> None:
    with pytest.raises(NoCredentials, match=why):
        connection.from_kubeconfig(config)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config"
    with pytest.raises(NoCredentials, match="cannot be read"):
        connection.from_kubeconfig_file(file)
    file.write_text("- a list")
    with pytest.raises(NoCredentials, match="not a mapping"):
        connection.from_kubeconfig_file(file)


def test_the_service_account(tmp_path: Path) -> None:
    for name, text in {"ca.crt": "CA", "token": "t1", "namespace": "own\n"}.items():
        (tmp_path / name).write_text(text)
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = connection.from_service_account(environment, tmp_path)
    assert (found.server, found.ca_pem, found.namespace) == ("https://[fd00::1]:443", "CA", "own")
    (tmp_path / "token").write_text("t2")
    assert found.read_token() == "t2"


def test_nothing_to_log_in_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path / "none")
    with pytest.raises(NoCredentials, match="KUBECONFIG is not set"):
        connection.load({"HOME": str(tmp_path)})
