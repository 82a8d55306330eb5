"""`token`: the lines that a gcapi script begins with. The token is a ServiceAccount's, for the gateway alone."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from algorithm_operator.api.limits import parse_period
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.cli import show
from algorithm_operator.cli.connection import Cluster, ForbiddenError
from algorithm_operator.cli.errors import CliError, UsageError
from algorithm_operator.core.names import AUDIENCE

PUBLIC, ADDRESS = "kube-public", "algorithm-operator-gateway"
"""The ConfigMap that the chart makes: where the gateway is."""
RUNNER = "algorithm-operator-runner"
"""The ClusterRole of whoever runs jobs, unless the ConfigMap names another: it is called after the Helm release."""
SHORTEST = timedelta(minutes=10)
"""Kubernetes gives none for less."""
SLACK = timedelta(minutes=1)

_URL = re.compile(r"https://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class Form(StrEnum):
    """What is printed."""

    SNIPPET = "snippet"
    TOKEN = "token"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Wish:
    """The options. `url` and `ca_file` None: as the cluster says, and below ~/.config."""

    duration: str
    account: str
    form: Form
    url: str | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where it is: https://HOST[:PORT]; `ca`: its private authority in PEM."""

    url: str
    ca: str | None

    def base_url(self, namespace: str) -> str:
        """As gcapi wants it: it only appends, so the slash at the end counts."""
        return f"{self.url}/{namespace}/api/v1/"


def form_of(word: str) -> Form:
    """-o."""
    if word not in set(Form):
        raise UsageError(f"--output is snippet, token or json, not {quoted(word, 64)}.")
    return Form(word)


def token(cluster: Cluster, wish: Wish) -> None:
    """Make one and print it."""
    asked = _length(wish.duration)
    if not _NAME.fullmatch(wish.account):
        raise UsageError(f"--service-account {quoted(wish.account)} is not the name of a ServiceAccount.")
    # First of all: whoever has no gateway needs no token.
    gateway = None if wish.form is Form.TOKEN else _gateway(cluster, wish.url)
    made, expires = _made(cluster, wish.account, asked)
    if expires < cluster.now() + asked - SLACK:
        show.note(
            f"asked for {wish.duration}, the cluster gives no token for longer than until {_moment(expires)}"
        )
    if gateway is None:
        print(made)
        return
    ca_file = _kept(gateway, wish.ca_file)
    if wish.form is Form.JSON:
        facts = {
            "base_url": gateway.base_url(cluster.namespace),
            "token": made,
            "expires": _moment(expires),
            "ca_file": None if ca_file is None else str(ca_file),
        }
        print(json.dumps(facts, indent=2))
    else:
        print(snippet(gateway.base_url(cluster.namespace), made, expires, wish.account, ca_file))


def snippet(base_url: str, made: str, expires: datetime, account: str, ca_file: Path | None) -> str:
    """A line for the shell, where one is needed, and the lines for Python."""
    shell = [] if ca_file is None else [f"export SSL_CERT_FILE={shlex.quote(str(ca_file))}", ""]
    python = [
        "import gcapi",
        "",
        f"# ServiceAccount {account}; the token ends at {_moment(expires)}",
        f'client = gcapi.Client(base_url="{base_url}", token="{made}")',
    ]
    return "\n".join(shell + python)


def _length(duration: str) -> timedelta:
    try:
        length = parse_period(duration)
    except ValueError:
        length = timedelta()
    if length < SHORTEST:
        raise UsageError(
            f"--duration {quoted(duration, 64)}: write a time such as 720h or 1h30m, from 10m to 8760h."
        )
    return length


def _published(cluster: Cluster) -> tuple[Mapping[str, str], str]:
    """What the ConfigMap says, and where that is nothing, why."""
    try:
        found = (cluster.config_map(PUBLIC, ADDRESS) or {}).get("data") or {}
    except ForbiddenError as error:
        return {}, f"ConfigMap {ADDRESS} in namespace {PUBLIC} cannot be read ({error})"
    return found, f"There is no ConfigMap {ADDRESS} in namespace {PUBLIC}"


def _gateway(cluster: Cluster, url: str | None) -> Gateway:
    told, why = _published(cluster)
    found = url or told.get("url")
    if not found:
        raise CliError(
            f"{why}, which says where the gateway is. Has the admin turned it on (Helm values gateway.enabled and "
            "gateway.url)? If you know where it is, say --url https://HOST."
        )
    if not _URL.fullmatch(found.rstrip("/")):
        raise UsageError(
            f"The gateway's URL must be https://HOST or https://HOST:PORT, it is {quoted(found)}."
        )
    return Gateway(found.rstrip("/"), told.get("ca.crt"))


def _made(cluster: Cluster, account: str, asked: timedelta) -> tuple[str, datetime]:
    namespace = shown(cluster.namespace)
    try:
        made = cluster.token(account, AUDIENCE, round(asked.total_seconds()))
    except ForbiddenError as error:
        rule = f"--verb=create --resource=serviceaccounts/token --resource-name={account}"
        raise CliError(
            f"You may not make a token of ServiceAccount {account}: {error}\nAn admin of the namespace lets you by\n"
            f"  kubectl create role {account}-token -n {namespace} {rule}\n"
            f"  kubectl create rolebinding {account}-token -n {namespace} --role={account}-token --user=YOU\n"
            f"and makes the ServiceAccount, if there is none, by\n{_account(cluster, account)}"
        ) from None
    if made is None:
        raise CliError(
            f"There is no ServiceAccount {account} in namespace {namespace}. An admin of the namespace makes it, "
            f"with the rights of whoever runs jobs, by\n{_account(cluster, account)}"
        )
    status = made["status"]
    expires = datetime.fromisoformat(status["expirationTimestamp"].replace("Z", "+00:00"))
    return str(status["token"]), expires.astimezone(UTC)


def _account(cluster: Cluster, account: str) -> str:
    namespace, role = shown(cluster.namespace), shown(_published(cluster)[0].get("runnerRole") or RUNNER)
    return (
        f"  kubectl create serviceaccount {account} -n {namespace}\n"
        f"  kubectl create rolebinding {account} -n {namespace} --clusterrole={role} "
        f"--serviceaccount={namespace}:{account}"
    )


def _kept(gateway: Gateway, file: Path | None) -> Path | None:
    """The file with the gateway's authority, where that is a private one."""
    if gateway.ca is None:
        return None
    match = _URL.fullmatch(gateway.url)
    host = match["host"].strip("[]").replace(":", "-") if match else "gateway"
    target = (file or Path.home() / ".config" / "algorithm-operator" / f"{host}-ca.crt").absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(gateway.ca, encoding="ascii")
        target.chmod(0o644)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise CliError(
            f"The gateway's authority cannot be written to {quoted(str(target))}: {why}. Say another --ca-file."
        ) from None
    return target


def _moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
