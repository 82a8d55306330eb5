"""The gate: proves, last thing before the algorithm, that the Pod reaches nothing.

Each round tries every target at once; rounds start a little apart and do not wait for each other, so a network that
swallows packets costs one timeout and not one a round. The gate is passed when the last `rounds` rounds found every
target closed. That a target is alive elsewhere is for the operator to know: a dead port refuses like a policy.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from algorithm_operator.contract.manifest import IsolationSeen, Probe
from algorithm_operator.contract.plan import Isolation, Target

KUBELET_PORT = 10250
CONNECT_SECONDS = 1.0
ROUND_SECONDS = 0.15

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


class GateError(Exception):
    """The gate could not look; the message says why."""


@dataclass(slots=True)
class _Watch:
    target: Target
    node_local: bool
    attempts: int = 0
    open_attempts: int = 0
    closed_in_a_row: int = 0

    def saw(self, is_open: bool) -> None:
        self.attempts += 1
        self.open_attempts += is_open
        self.closed_in_a_row = 0 if is_open else self.closed_in_a_row + 1


@dataclass(frozen=True, slots=True)
class Seen:
    """The gate's result. `reached` names what was still open and had to be closed; empty: passed."""

    isolation: IsolationSeen
    reached: list[str] = field(default_factory=list)


def is_open(target: Target) -> bool:
    """Whether a TCP connection to `target` comes about.

    :raises GateError: the connection could not even be tried.
    """
    try:
        socket.create_connection((target.host, target.port), timeout=CONNECT_SECONDS).close()
    except TimeoutError:
        return False
    except socket.gaierror as error:
        raise GateError(f"target {target.name}: {target.host} is not an address") from error
    except OSError as error:
        if error.errno in _CLOSED:
            return False
        raise GateError(f"target {target.name} could not be probed: {error.strerror or error}") from error
    return True


def watched(isolation: Isolation, host_ip: str | None) -> list[_Watch]:
    """Every target once; node-local ones are fatal only if `strict`."""
    node_local = list(isolation.node_local)
    if isolation.probe_node and host_ip:
        node_local.append(Target(name="kubelet", host=host_ip, port=KUBELET_PORT))
    return [_Watch(target, False) for target in isolation.targets] + [
        _Watch(target, True) for target in node_local
    ]


def watch(
    isolation: Isolation,
    host_ip: str | None,
    probe: Callable[[Target], bool] = is_open,
    clock: Callable[[], float] = time.monotonic,
) -> Seen:
    """Probe until all is closed `rounds` times in a row, or `timeout_seconds` are over.

    :raises GateError: there is no target, or one could not be probed.
    """
    if not isolation.targets:
        raise GateError(
            "the plan names no target for the gate; a network that was never probed is not closed"
        )
    began = clock()
    watches = watched(isolation, host_ip)
    fatal = [each for each in watches if isolation.strict or not each.node_local]
    flying: deque[list[Future[bool]]] = deque()
    # Enough threads that no round waits for one before it.
    ahead = int(CONNECT_SECONDS / ROUND_SECONDS) + 2
    with ThreadPoolExecutor(len(watches) * ahead) as pool:
        try:
            while True:
                flying.append([pool.submit(probe, each.target) for each in watches])
                time.sleep(ROUND_SECONDS)
                while flying and (len(flying) >= ahead or all(future.done() for future in flying[0])):
                    for each, future in zip(watches, flying.popleft(), strict=True):
                        each.saw(future.result())
                if all(each.closed_in_a_row >= isolation.rounds for each in fatal):
                    break
                if clock() - began > isolation.timeout_seconds:
                    break
        finally:
            for futures in flying:
                for future in futures:
                    future.cancel()
    reached = [_shown(each.target) for each in fatal if each.closed_in_a_row < isolation.rounds]
    return Seen(
        IsolationSeen(probes=[_probe(each) for each in watches], seconds=round(clock() - began, 3)), reached
    )


def _shown(target: Target) -> str:
    return f"{target.name} ({target.host}:{target.port})"


def _probe(each: _Watch) -> Probe:
    return Probe(
        name=each.target.name,
        address=f"{each.target.host}:{each.target.port}",
        closed=each.closed_in_a_row > 0,
        node_local=each.node_local,
        attempts=each.attempts,
        open_attempts=each.open_attempts,
    )
