"""The gate: proves, last thing before the algorithm, that the Pod reaches nothing.

TCP targets are dialled; UDP ones are DNS servers, which are asked: an answer means that packets get there and back.
Each round tries every target at once; rounds start a little apart and do not wait for each other, so a network that
swallows packets costs one timeout and not one a round. The gate is passed when the last `rounds` rounds found every
target closed. That a target is alive elsewhere is for the operator to know: a dead port refuses like a policy.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from algorithm_operator.contract.manifest import IsolationSeen, Probe
from algorithm_operator.contract.plan import Isolation, Target

KUBELET_PORT = 10250
ON_EVERY_NODE = (
    Target(name="cloud metadata", host="169.254.169.254", port=80),
    Target(name="cloud metadata", host="fd00:ec2::254", port=80),
    Target(name="node DNS", host="169.254.20.10", port=53),
    Target(name="node DNS", host="169.254.20.10", port=53, protocol="UDP"),
)
DNS_QUESTIONS = (
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01",  # the root's name servers
    b"\x12\x35\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # opcode STATUS: refused at once, without asking others
)
CONNECT_SECONDS = 0.5
"""A network that lets packets through answers within milliseconds; one that swallows them costs the job this time."""
NODE_CONNECT_SECONDS = 0.3
"""Node-local addresses answer at once or never."""
ROUND_SECONDS = 0.1
TICK_SECONDS = 0.02

_CLOSED = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.ETIMEDOUT,
        errno.EACCES,
        errno.EPERM,
        errno.ENOPROTOOPT,
        errno.EPROTO,
    }
)
"""What the kernel says when packets do not get there. Anything else means that nothing was tried."""
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""What it says besides in a Pod that has no IPv6 at all."""


class GateError(Exception):
    """The gate could not look; the message says why."""


@dataclass(slots=True)
class _Watch:
    target: Target
    node_local: bool
    attempts: int = 0
    open_attempts: int = 0
    closed_in_a_row: int = 0

    @property
    def seconds(self) -> float:
        """How long a try may take."""
        return NODE_CONNECT_SECONDS if self.node_local else CONNECT_SECONDS

    def saw(self, is_open: bool) -> None:
        self.attempts += 1
        self.open_attempts += is_open
        self.closed_in_a_row = 0 if is_open else self.closed_in_a_row + 1


@dataclass(frozen=True, slots=True)
class Seen:
    """The gate's result. `reached` names what was still open and had to be closed; empty: passed."""

    isolation: IsolationSeen
    reached: list[str] = field(default_factory=list)


class Try(Protocol):
    """One try to connect."""

    def outcome(self) -> bool | None:
        """Whether the connection came about; None while that is open."""

    def close(self) -> None:
        """Give up on it."""


class TcpTry:
    """A connection that is being made, without waiting for it.

    :raises GateError: it could not even be tried.
    """

    kind = socket.SOCK_STREAM

    def __init__(self, target: Target, seconds: float) -> None:
        self._target = target
        try:
            found = socket.getaddrinfo(target.host, target.port, type=self.kind, flags=socket.AI_NUMERICHOST)
        except OSError as error:
            raise GateError(f"target {target.name}: {target.host} is not an address") from error
        self._family: int
        self._family, kind, protocol, _, address = found[0]
        self._until = time.monotonic() + seconds
        self._outcome: bool | None = None
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.socket(self._family, kind | socket.SOCK_NONBLOCK, protocol)
        except OSError as error:
            self._closed_or_raise(error.errno or 0)
            return
        self._begin(self._socket, address)

    def _begin(self, opened: socket.socket, address: Any) -> None:
        code = opened.connect_ex(address)
        if code == 0:
            self._outcome = True
        elif code != errno.EINPROGRESS:
            self._closed_or_raise(code)

    def _closed_or_raise(self, code: int) -> None:
        """The target is closed by the kernel's word `code`, or nothing was tried at all."""
        if code not in _CLOSED and not (self._family == socket.AF_INET6 and code in _NO_IPV6):
            self.close()
            name = os.strerror(code)
            raise GateError(
                f"target {self._target.name} ({self._target.address}) could not be probed: {name}"
            )
        self._outcome = False

    def outcome(self) -> bool | None:
        """Whether the target was reached; what does not come about in time did not."""
        if self._outcome is None and self._socket is not None:
            late = time.monotonic() > self._until
            if not self._look(self._socket) and late:
                self._outcome = False
        return self._outcome

    def _look(self, opened: socket.socket) -> bool:
        """Whether it is decided now."""
        if not select.select([], [opened], [], 0)[1]:
            return False
        code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            self._outcome = True
        else:
            self._closed_or_raise(code)
        return True

    def close(self) -> None:
        """Give up on it."""
        if self._socket is not None:
            self._socket.close()


class UdpTry(TcpTry):
    """Questions to a DNS server, without waiting for the answer: the first one counts, whatever it says."""

    kind = socket.SOCK_DGRAM

    def _begin(self, opened: socket.socket, address: Any) -> None:
        try:
            opened.connect(address)
            for question in DNS_QUESTIONS:
                opened.send(question)
        except OSError as error:
            self._closed_or_raise(error.errno or 0)

    def _look(self, opened: socket.socket) -> bool:
        try:
            opened.recv(1)
        except BlockingIOError:
            return False
        except OSError as error:
            self._closed_or_raise(error.errno or 0)
        else:
            self._outcome = True
        return True


def start(target: Target, seconds: float) -> Try:
    """Try the target once, for at most that long."""
    return (UdpTry if target.protocol == "UDP" else TcpTry)(target, seconds)


def watched(isolation: Isolation, host_ips: str | None) -> list[_Watch]:
    """Every target once, with whether it is node-local: those are fatal only if `strict`.

    `host_ips`: the node's addresses of all families, with commas, as the downward API gives them.
    """
    node_local = list(isolation.node_local)
    if isolation.probe_node:
        if not host_ips:
            raise GateError("HOST_IPS is not set, so the node cannot be probed")
        node_local += [Target(name="kubelet", host=ip, port=KUBELET_PORT) for ip in host_ips.split(",")]
        node_local += ON_EVERY_NODE
    return [_Watch(target, False) for target in isolation.targets] + [
        _Watch(target, True) for target in node_local
    ]


def watch(isolation: Isolation, host_ips: str | None, start: Callable[[Target, float], Try] = start) -> Seen:
    """Probe until all is closed `rounds` times in a row, or `timeout_seconds` are over.

    :raises GateError: there is no target, or one could not be probed.
    """
    if not isolation.targets:
        raise GateError(
            "the plan names no target for the gate; a network that was never probed is not closed"
        )
    began = time.monotonic()
    watches = watched(isolation, host_ips)
    fatal = [each for each in watches if isolation.strict or not each.node_local]
    flying: deque[list[Try]] = deque()
    try:
        next_round = began
        while any(each.closed_in_a_row < isolation.rounds for each in fatal):
            now = time.monotonic()
            if now - began > isolation.timeout_seconds:
                break
            if now >= next_round:
                flying.append([start(each.target, each.seconds) for each in watches])
                next_round = now + ROUND_SECONDS
            time.sleep(TICK_SECONDS)
            _land(flying, watches)
    finally:
        for tries in flying:
            for each_try in tries:
                each_try.close()
    reached = [_shown(each.target) for each in fatal if each.closed_in_a_row < isolation.rounds]
    seconds = round(time.monotonic() - began, 3)
    return Seen(IsolationSeen(probes=[_probe(each) for each in watches], seconds=seconds), reached)


def _land(flying: deque[list[Try]], watches: list[_Watch]) -> None:
    """Take over the rounds that are decided, in the order in which they began."""
    while flying:
        outcomes = [each.outcome() for each in flying[0]]
        if None in outcomes:
            return
        for each, outcome, done in zip(watches, outcomes, flying.popleft(), strict=True):
            each.saw(outcome is True)
            done.close()


def _shown(target: Target) -> str:
    return f"{target.name} ({target.address})"


def _probe(each: _Watch) -> Probe:
    return Probe(
        name=each.target.name,
        address=each.target.address,
        closed=each.closed_in_a_row > 0,
        node_local=each.node_local,
        attempts=each.attempts,
        open_attempts=each.open_attempts,
    )
