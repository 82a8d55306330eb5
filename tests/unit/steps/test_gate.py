"""The gate."""

from __future__ import annotations

import socket
import time

import pytest

from algorithm_operator.contract.plan import Isolation, Target
from algorithm_operator.steps import gate
from tests.unit.steps.attempt import closed_port, serve_open_port

CANARY = Target(name="canary", host="10.0.0.1", port=8081)
API = Target(name="api", host="10.0.0.2", port=443)
LOCAL = Target(name="metadata", host="169.254.169.254", port=80)


class Told:
    """A try whose outcome is known, after a while."""

    def __init__(self, outcome: bool, seconds: float = 0) -> None:
        self._outcome, self._from = outcome, time.monotonic() + seconds

    def outcome(self) -> bool | None:
        return self._outcome if time.monotonic() >= self._from else None

    def close(self) -> None:
        pass


def is_open(target: Target) -> bool:
    attempt = gate.TcpTry(target, 1)
    while (outcome := attempt.outcome()) is None:
        time.sleep(0.01)
    attempt.close()
    return outcome


def isolation(**more: object) -> Isolation:
    return Isolation.model_validate(
        {"targets": [CANARY, API], "probe_node": False, "timeout_seconds": 2, **more}
    )


def test_closed_three_times_in_a_row() -> None:
    seen = gate.watch(isolation(), None, lambda target, _: Told(False))
    assert seen.reached == []
    assert [(probe.name, probe.closed, probe.open_attempts) for probe in seen.isolation.probes] == [
        ("canary", True, 0),
        ("api", True, 0),
    ]
    assert all(probe.attempts >= 3 for probe in seen.isolation.probes)


def test_a_network_that_closes_late() -> None:
    tries: list[float] = []

    def probe(target: Target, seconds: float) -> Told:
        tries.append(time.monotonic())
        return Told(target is CANARY and len(tries) < 8)

    seen = gate.watch(isolation(), None, probe)
    assert seen.reached == []
    canary = seen.isolation.probes[0]
    assert canary.open_attempts >= 3
    assert canary.attempts - canary.open_attempts >= 3


def test_what_flickers_is_not_closed() -> None:
    tries = 0

    def probe(target: Target, seconds: float) -> Told:
        nonlocal tries
        tries += target is CANARY
        return Told(target is CANARY and tries % 3 == 0)

    assert gate.watch(isolation(), None, probe).reached == ["canary (10.0.0.1:8081)"]


def test_packets_that_are_swallowed_cost_one_timeout() -> None:
    def probe(target: Target, seconds: float) -> Told:
        return Told(False, seconds)

    began = time.monotonic()
    assert gate.watch(isolation(timeout_seconds=20), None, probe).reached == []
    assert time.monotonic() - began < 3 * gate.CONNECT_SECONDS


@pytest.mark.parametrize(("strict", "reached"), [(True, ["kubelet (10.9.9.9:10250)"]), (False, [])])
def test_node_local_targets(strict: bool, reached: list[str]) -> None:
    wanted = isolation(strict=strict, node_local=[LOCAL], probe_node=True, timeout_seconds=1)
    seen = gate.watch(wanted, "10.9.9.9", lambda target, _: Told(target.name == "kubelet"))
    assert seen.reached == reached
    local = seen.isolation.probes[2:]
    assert [probe.name for probe in local] == ["metadata", "kubelet", "cloud metadata", "node DNS"]
    kubelet = local[1]
    assert (kubelet.name, kubelet.node_local, kubelet.closed) == ("kubelet", True, False)


def test_real_sockets() -> None:
    port, stop = serve_open_port()
    try:
        assert is_open(Target(name="x", host="127.0.0.1", port=port))
        assert not is_open(Target(name="x", host="127.0.0.1", port=closed_port()))
    finally:
        stop.set()


def test_what_cannot_be_probed_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(gate.GateError, match="not an address"):
        gate.watch(isolation(targets=[Target(name="x", host="no such host.invalid", port=1)]), None)

    def no_descriptors(*_: object, **__: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", no_descriptors)
    with pytest.raises(gate.GateError, match="Too many open files"):
        gate.watch(isolation(), None)


def test_a_gate_without_targets_proves_nothing() -> None:
    with pytest.raises(gate.GateError, match="no target"):
        gate.watch(isolation(targets=[]), None)


def test_the_node_is_never_left_out_silently() -> None:
    with pytest.raises(gate.GateError, match="HOST_IP"):
        gate.watch(isolation(probe_node=True), None)
