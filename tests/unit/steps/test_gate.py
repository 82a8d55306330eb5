"""The gate."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

from algorithm_operator.contract.plan import Isolation, Target
from algorithm_operator.steps import gate
from tests.unit.steps.attempt import closed_port

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


def is_open(target: Target, seconds: float = 1) -> bool:
    attempt = gate.start(target, seconds)
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
    assert [(probe.name, probe.address) for probe in local] == [
        ("metadata", "169.254.169.254:80"),
        ("kubelet", "10.9.9.9:10250"),
        ("cloud metadata", "169.254.169.254:80"),
        ("cloud metadata", "[fd00:ec2::254]:80"),
        ("node DNS", "169.254.20.10:53"),
        ("node DNS", "169.254.20.10:53/udp"),
    ]
    kubelet = local[1]
    assert (kubelet.name, kubelet.node_local, kubelet.closed) == ("kubelet", True, False)


def test_every_address_of_the_node_is_probed() -> None:
    seen = gate.watch(isolation(probe_node=True), "10.9.9.9,fd00::9", lambda target, _: Told(False))
    addresses = [probe.address for probe in seen.isolation.probes if probe.name == "kubelet"]
    assert addresses == ["10.9.9.9:10250", "[fd00::9]:10250"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_real_sockets(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        assert is_open(Target(name="x", host=host, port=port))
    assert not is_open(Target(name="x", host=host, port=port))


@contextmanager
def datagrams(host: str, answer: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """A UDP server that answers everything with `answer`, or nothing; its port, and what it was asked."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    asked: list[bytes] = []
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind((host, 0))
        server.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    question, who = server.recvfrom(512)
                except TimeoutError:
                    continue
                asked.append(question)
                if answer is not None:
                    server.sendto(answer, who)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], asked
        over.set()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("answer", [b"\x12\x34\x81\x85", b""])
def test_a_dns_server_that_answers_is_open(host: str, answer: bytes) -> None:
    with datagrams(host, answer) as (port, asked):
        assert is_open(Target(name="x", host=host, port=port, protocol="UDP"))
    assert list(gate.DNS_QUESTIONS)[: len(asked)] == asked


def test_one_that_does_not_or_is_not_there_is_closed() -> None:
    with datagrams("127.0.0.1", None) as (port, asked):
        assert not is_open(Target(name="x", host="127.0.0.1", port=port, protocol="UDP"), 0.2)
        assert asked == list(gate.DNS_QUESTIONS), "it did get there"
    began = time.monotonic()
    assert not is_open(Target(name="x", host="127.0.0.1", port=port, protocol="UDP"), 5)
    assert time.monotonic() - began < 1, "a refusal is an answer at once"


def test_dns_over_udp_counts_like_any_other_target() -> None:
    with datagrams("127.0.0.1", b"x") as (port, _):
        dns = Target(name="cluster DNS", host="127.0.0.1", port=port, protocol="UDP")
        dead = Target(name="canary", host="127.0.0.1", port=closed_port())
        for strict, reached in ((True, [f"cluster DNS (127.0.0.1:{port}/udp)"]), (False, [])):
            wanted = isolation(targets=[dead], node_local=[dns], strict=strict, timeout_seconds=0.5)
            seen = gate.watch(wanted, None)
            assert seen.reached == reached
            assert [probe.closed for probe in seen.isolation.probes] == [True, False]


@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_pod_without_ipv6_reaches_nothing_by_it(
    monkeypatch: pytest.MonkeyPatch, code: int, protocol: Literal["TCP", "UDP"]
) -> None:
    """The kernel says so by errors that in IPv4 mean that nothing was tried."""

    class NoIpv6(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            if code == errno.EAFNOSUPPORT:
                raise OSError(code, "no")
            super().__init__(*arguments)

        def connect_ex(self, _: object) -> int:
            return code

        def connect(self, _: object) -> None:
            raise OSError(code, "no")

    monkeypatch.setattr(socket, "socket", NoIpv6)
    assert not is_open(Target(name="x", host="fd00::1", port=53, protocol=protocol))
    with pytest.raises(gate.GateError, match=os.strerror(code)):
        is_open(Target(name="x", host="10.0.0.1", port=53, protocol=protocol))


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
    with pytest.raises(gate.GateError, match="HOST_IPS"):
        gate.watch(isolation(probe_node=True), None)
