"""The node's network: bridge, routes, the fence that keeps Pod traffic on this machine, and their removal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from tests.cluster.settings import BRIDGE, CONFIG, NODE_ADDRESS, POD_RANGE, RUN, SERVICE_RANGE
from tests.cluster.shell import ClusterError, run

_SYSCTLS: Final = {
    "net.ipv4.ip_forward": "1",
    # Pods of one bridge reach each other through iptables too, else no policy would hold between them.
    "net.bridge.bridge-nf-call-iptables": "1",
    # kube-proxy and the kubelet set these; they are here so that `down` puts them back.
    "net.ipv4.conf.all.route_localnet": "1",
    "net.ipv4.vs.conntrack": None,
    "net.netfilter.nf_conntrack_max": None,
    "net.netfilter.nf_conntrack_tcp_timeout_established": None,
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait": None,
    "vm.overcommit_memory": None,
    "kernel.panic": None,
    "kernel.panic_on_oops": None,
    "kernel.keys.root_maxkeys": None,
    "kernel.keys.root_maxbytes": None,
}
_BRIDGE_MAC: Final = "02:00:0a:f4:00:01"
_METRIC: Final = "4096"
# Drops what a Pod sends out of this machine. In mangle, because policy engines accept in filter before our turn.
_FENCE: Final = (
    "FORWARD", "-i", BRIDGE, "!", "-o", BRIDGE,
    "-m", "comment", "--comment", "algorithm-operator test cluster", "-j", "DROP",
)  # fmt: skip
_OUR_CHAINS: Final = re.compile(r"^(KUBE-|CNI-)")
_OUR_SETS: Final = re.compile(r"^(inet6:)?(KUBE-|kube-router-)")
_UNDO: Final = RUN / "sysctl.json"


def refuse_foreign() -> None:
    """ClusterError where another cluster's network is on this machine: sharing it would break both."""
    if _UNDO.exists():
        return
    found = leftovers()
    if found:
        raise ClusterError(
            "another Kubernetes node seems to run on this machine, or one of ours whose state folder was removed: "
            + "; ".join(found)
            + ". Stop it, or clear what is left with `python3 tests/cluster down --force`"
        )


def set_up() -> None:
    """Bridge, sysctls, routes and fence; each step leaves alone what is there already."""
    run("modprobe", "-a", "br_netfilter", "overlay", check=False)
    if not _UNDO.exists():
        before = {name: value for name in _SYSCTLS if (value := _read(name)) is not None}
        RUN.mkdir(parents=True, exist_ok=True)
        _UNDO.write_text(json.dumps({"boot": _boot(), "before": before}))
    for name, value in _SYSCTLS.items():
        if value is not None and _read(name) != value:
            run("sysctl", "-qw", f"{name}={value}")
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        run("ip", "link", "add", BRIDGE, "address", _BRIDGE_MAC, "type", "bridge")
    run("ip", "address", "replace", f"{NODE_ADDRESS}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    # A packet for a Pod that is gone ends here. Service addresses need a route that exists until kube-proxy
    # has translated them: the bridge, where nobody answers to one.
    run("ip", "route", "replace", "blackhole", POD_RANGE, "metric", _METRIC)
    run("ip", "route", "replace", SERVICE_RANGE, "dev", BRIDGE, "metric", _METRIC)
    if run("iptables", "-w", "-t", "mangle", "-C", *_FENCE, check=False).returncode != 0:
        run("iptables", "-w", "-t", "mangle", "-A", *_FENCE)


def write_cni() -> Path:
    """The CNI configuration's folder."""
    folder = CONFIG / "cni"
    folder.mkdir(parents=True, exist_ok=True)
    conflist = {
        "cniVersion": "1.0.0",
        "name": "algorithm-operator",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                "isGateway": True,
                "ipMasq": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(RUN / "cni"),
                    "ranges": [[{"subnet": "10.244.0.0/24", "gateway": NODE_ADDRESS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    (folder / "10-bridge.conflist").write_text(json.dumps(conflist, indent=1))
    return folder


def tear_down(force: bool = False) -> None:
    """Take away everything that `set_up`, the Pods, kube-proxy and kube-router put into the network.

    Only after a `set_up` of ours, unless forced: the chains of another cluster have the same names.
    """
    if not (force or _UNDO.exists()):
        return
    for interface in [*_pod_interfaces(), *([BRIDGE] if Path(f"/sys/class/net/{BRIDGE}").exists() else [])]:
        run("ip", "link", "delete", interface, check=False)
    run("ip", "route", "delete", "blackhole", POD_RANGE, "metric", _METRIC, check=False)
    while run("iptables", "-w", "-t", "mangle", "-D", *_FENCE, check=False).returncode == 0:
        pass
    for family in ("iptables", "ip6tables"):
        _remove_chains(family)
    for name in _sets():
        run("ipset", "destroy", name, check=False)
    if _UNDO.exists():
        record = json.loads(_UNDO.read_text())
        # After a reboot the kernel has its own values again.
        if record["boot"] == _boot():
            for name, value in record["before"].items():
                if _read(name) != value:
                    run("sysctl", "-qw", f"{name}={value}", check=False)
        _UNDO.unlink()


def leftovers() -> list[str]:
    """What is there of a cluster's network, each as a short phrase; empty when nothing is."""
    found = [f"interface {name}" for name in _pod_interfaces()]
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        found.append(f"interface {BRIDGE}")
    # Without the programs, which `up` installs, there is nothing of ours.
    routes = run("ip", "route", "show", check=False).stdout
    found += [
        f"route {line.strip()}" for line in routes.splitlines() if POD_RANGE in line or SERVICE_RANGE in line
    ]
    for family in ("iptables", "ip6tables"):
        rules = run(f"{family}-save", check=False).stdout
        chains = [line.split()[0][1:] for line in rules.splitlines() if line.startswith(":")]
        ours = [chain for chain in chains if _OUR_CHAINS.match(chain)]
        if ours:
            found.append(f"{len(ours)} {family} chains ({ours[0]}, …)")
        if "algorithm-operator test cluster" in rules:
            found.append(f"{family} fence")
    names = _sets()
    if names:
        found.append(f"{len(names)} ipsets ({names[0]}, …)")
    return found


def _pod_interfaces() -> list[str]:
    """Host ends of Pods' veth pairs that hang on our bridge."""
    return sorted(path.name for path in Path(f"/sys/class/net/{BRIDGE}/brif").glob("*"))


def _remove_chains(family: str) -> None:
    """Delete kube-proxy's, kube-router's and the CNI plugins' chains and the rules that lead into them."""
    table = ""
    rules: list[str] = []
    chains: list[str] = []
    script: list[str] = []
    for line in run(f"{family}-save", check=False).stdout.splitlines():
        if line.startswith("*"):
            table = line
            rules, chains = [], []
        elif line.startswith(":") and _OUR_CHAINS.match(line[1:]):
            chains.append(line[1:].split()[0])
        elif line.startswith("-A "):
            chain, target = line.split()[1], re.search(r" -[jg] (\S+)", line)
            if not _OUR_CHAINS.match(chain) and (
                (target and _OUR_CHAINS.match(target[1])) or "algorithm-operator test cluster" in line
            ):
                rules.append("-D" + line[2:])
        elif line == "COMMIT" and (chains or rules):
            script += [
                table,
                *rules,
                *(f":{chain} - [0:0]" for chain in chains),
                *(f"-X {chain}" for chain in chains),
            ]
            script.append("COMMIT")
    if script:
        run(f"{family}-restore", "-w", "--noflush", stdin="\n".join(script) + "\n")


def _sets() -> list[str]:
    listed = run("ipset", "list", "-name", check=False).stdout.split()
    return [name for name in listed if _OUR_SETS.match(name)]


def _read(sysctl: str) -> str | None:
    path = Path("/proc/sys") / sysctl.replace(".", "/")
    return path.read_text().strip() if path.exists() else None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
