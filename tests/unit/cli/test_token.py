"""`kubectl algorithm token`: what is asked of the cluster, what is printed, what is said where something is missing."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from algorithm_operator.cli import connection
from algorithm_operator.cli.__main__ import command_first
from algorithm_operator.cli.connection import Cluster, ForbiddenError, Object
from algorithm_operator.cli.errors import CliError, UsageError
from algorithm_operator.cli.token import Form, Wish, form_of, token

NOW = datetime(2026, 11, 22, 20, 0, 0, tzinfo=UTC)
TOKEN = "eyJ.made.here"
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
URL = "https://gateway.example.org:8443"
BASE = "https://gateway.example.org:8443/imaging/api/v1/"


class Tokens:
    """As much of a Cluster as `token` asks for."""

    def __init__(self) -> None:
        self.namespace = "imaging"
        self.maps: dict[tuple[str, str], Object] = {
            ("kube-public", "algorithm-operator-gateway"): {"data": {"url": URL}}
        }
        self.accounts = {"gcapi"}
        self.longest = timedelta(days=365)
        self.forbidden: set[str] = set()
        self.asked: list[tuple[str, str, int]] = []

    def now(self) -> datetime:
        return NOW

    def config_map(self, namespace: str, name: str) -> Object | None:
        if "config map" in self.forbidden:
            raise ForbiddenError("configmaps is forbidden")
        return self.maps.get((namespace, name))

    def token(self, service_account: str, audience: str, seconds: int) -> Object | None:
        if "token" in self.forbidden:
            raise ForbiddenError('User "me" cannot create resource "serviceaccounts/token"')
        if service_account not in self.accounts:
            return None
        self.asked.append((service_account, audience, seconds))
        ends = NOW + min(timedelta(seconds=seconds), self.longest)
        return {"status": {"token": TOKEN, "expirationTimestamp": ends.isoformat().replace("+00:00", "Z")}}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Tokens()


def wish(duration: str = "720h", account: str = "gcapi", form: Form = Form.SNIPPET, **more: Any) -> Wish:
    return Wish(duration, account, form, **more)


def with_ca(cluster: Any, ca: str = CA) -> None:
    cluster.maps["kube-public", "algorithm-operator-gateway"]["data"]["ca.crt"] = ca


def test_the_snippet(cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    token(cluster, wish())
    said = capsys.readouterr()
    assert said.out == (
        "import gcapi\n\n"
        "# ServiceAccount gcapi; the token ends at 2026-12-22T20:00:00Z\n"
        f'client = gcapi.Client(base_url="{BASE}", token="{TOKEN}")\n'
    )
    assert said.err == ""
    assert cluster.asked == [("gcapi", "algorithm-operator", 720 * 3600)]


def test_a_private_authority(cluster: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with_ca(cluster)
    token(cluster, wish())
    file = tmp_path / ".config" / "algorithm-operator" / "gateway.example.org-ca.crt"
    shell, empty, *python = capsys.readouterr().out.splitlines()
    assert (shell, empty) == (f"export SSL_CERT_FILE={file}", "")
    compile("\n".join(python), "snippet", "exec")
    assert file.read_text() == CA
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_the_authority_goes_where_one_says(
    cluster: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with_ca(cluster)
    file = tmp_path / "my folder" / "ca.crt"
    token(cluster, wish(ca_file=file))
    assert capsys.readouterr().out.startswith(f"export SSL_CERT_FILE='{file}'\n")
    assert file.read_text() == CA
    with pytest.raises(CliError, match="cannot be written to"):
        token(cluster, wish(ca_file=tmp_path))


def test_other_forms(cluster: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with_ca(cluster)
    token(cluster, wish(form=Form.JSON))
    found = json.loads(capsys.readouterr().out)
    file = str(tmp_path / ".config" / "algorithm-operator" / "gateway.example.org-ca.crt")
    assert found == {"base_url": BASE, "token": TOKEN, "expires": "2026-12-22T20:00:00Z", "ca_file": file}
    cluster.maps.clear()  # only the token: where the gateway is does not matter
    token(cluster, wish(form=Form.TOKEN))
    assert capsys.readouterr().out == f"{TOKEN}\n"
    with pytest.raises(UsageError, match="snippet, token or json"):
        form_of("yaml")


def test_less_than_was_asked_for_is_told(cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.longest = timedelta(hours=24)
    token(cluster, wish())
    said = capsys.readouterr()
    assert "the token ends at 2026-11-23T20:00:00Z" in said.out
    assert "asked for 720h" in said.err
    assert "2026-11-23T20:00:00Z" in said.err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"duration": "5m"}, "from 10m"),
        ({"duration": "9000h"}, "from 10m"),
        ({"duration": "a month"}, "from 10m"),
        ({"account": "../x"}, "not the name of a ServiceAccount"),
        ({"account": "a b"}, "not the name of a ServiceAccount"),
        ({"url": "http://gateway.example.org"}, "must be https"),
        ({"url": 'https://x/"'}, "must be https"),
        ({"url": "https://user@x"}, "must be https"),
    ],
)
def test_what_cannot_be(cluster: Any, options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        token(cluster, wish(**options))
    assert cluster.asked == []


def test_url_overrides(cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.maps.clear()
    token(cluster, wish(url="https://[fd00::1]:30443/"))
    assert 'base_url="https://[fd00::1]:30443/imaging/api/v1/"' in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["no ConfigMap", "no url", "forbidden"])
def test_no_gateway(cluster: Any, missing: str) -> None:
    if missing == "forbidden":
        cluster.forbidden.add("config map")
    elif missing == "no url":
        cluster.maps["kube-public", "algorithm-operator-gateway"] = {}
    else:
        cluster.maps.clear()
    with pytest.raises(CliError, match=r"gateway\.enabled and gateway\.url") as error:
        token(cluster, wish())
    assert "--url https://HOST" in str(error.value)
    assert cluster.asked == []


COMMANDS = (
    "  kubectl create serviceaccount gcapi -n imaging\n"
    "  kubectl create rolebinding gcapi -n imaging --clusterrole=algorithm-operator-runner "
    "--serviceaccount=imaging:gcapi"
)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("role", [None, "mine-algorithm-operator-runner"])
def test_no_service_account(cluster: Any, form: Form, role: str | None) -> None:
    """The role is called after the Helm release; where nothing says so, the release is called as the chart is."""
    cluster.accounts.clear()
    if role is not None:
        cluster.maps["kube-public", "algorithm-operator-gateway"]["data"]["runnerRole"] = role
    with pytest.raises(CliError, match="There is no ServiceAccount gcapi in namespace imaging") as error:
        token(cluster, wish(form=form))
    commands = COMMANDS.replace("algorithm-operator-runner", role or "algorithm-operator-runner")
    assert str(error.value).endswith(commands)


def test_no_right(cluster: Any) -> None:
    cluster.forbidden.add("token")
    with pytest.raises(CliError, match="You may not make a token") as error:
        token(cluster, wish())
    said = str(error.value)
    assert 'User "me" cannot create' in said
    assert "--verb=create --resource=serviceaccounts/token --resource-name=gcapi" in said
    assert said.endswith(COMMANDS)


def test_the_command_line(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from algorithm_operator.cli import __main__ as program

    targets: list[Any] = []

    def connect(target: Any) -> Any:
        targets.append(target)
        return cluster

    monkeypatch.setattr(connection, "connect", connect)
    cluster.accounts.add("bob")
    line = ["-n", "imaging", "token", "--duration", "1h", "--service-account", "bob", "-o", "token"]
    monkeypatch.setattr("sys.argv", ["kubectl-algorithm", *line])
    assert command_first(line)[0] == "token"
    with pytest.raises(SystemExit) as end:
        program.main()
    assert not end.value.code
    assert capsys.readouterr().out == f"{TOKEN}\n"
    assert (targets[0].namespace, cluster.asked) == ("imaging", [("bob", "algorithm-operator", 3600)])


# --- what is asked of the API server


class Core:
    """The API, answering with `status` or `body`."""

    def __init__(self, status: int, body: Any) -> None:
        self.status, self.body = status, body
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        from kubernetes.client.exceptions import ApiException

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, *arguments))
            if self.status >= 400:
                error: Any = ApiException(status=self.status, reason="no")
                error.body = json.dumps({"message": "because"})
                raise error
            return type("Answer", (), {"data": json.dumps(self.body)})

        return call


def cluster_of(core: Core) -> Cluster:
    from kubernetes import client

    api: Any = client.ApiClient
    made = Cluster(api(), "imaging")
    made._core = core
    return made


def test_the_requests() -> None:
    core = Core(200, {"status": {"token": TOKEN}})
    assert cluster_of(core).token("gcapi", "algorithm-operator", 3600) == {"status": {"token": TOKEN}}
    assert cluster_of(core).config_map("kube-public", "x") == core.body
    (made, asked) = core.calls
    assert made[:3] == ("create_namespaced_service_account_token", "gcapi", "imaging")
    assert made[3]["spec"] == {"audiences": ["algorithm-operator"], "expirationSeconds": 3600}
    assert asked == ("read_namespaced_config_map", "x", "kube-public")


@pytest.mark.parametrize(("status", "error"), [(404, None), (403, ForbiddenError), (422, CliError)])
def test_refusals_of_the_api_server(status: int, error: type[Exception] | None) -> None:
    cluster = cluster_of(Core(status, {}))
    if error is None:
        assert cluster.token("gcapi", "a", 3600) is None
        assert cluster.config_map("a", "b") is None
        return
    with pytest.raises(error, match="because"):
        cluster.token("gcapi", "a", 3600)
    with pytest.raises(error, match="because"):
        cluster.config_map("a", "b")
