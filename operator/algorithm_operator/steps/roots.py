"""Where a step finds what: the mounts of `core/names.py`, or the same below another folder in tests."""

from __future__ import annotations

import os
from dataclasses import dataclass

from algorithm_operator.core import names

ROOT_VARIABLE = "AO_ROOT"
SOCKET_VARIABLE = "AO_COLLECT_SOCKET"


@dataclass(frozen=True, slots=True)
class Roots:
    """Every place outside of the process. `prefix` is put before all of them; in a Pod it is empty."""

    prefix: str = ""
    socket: str = names.COLLECT_SOCKET

    @classmethod
    def from_environment(cls) -> Roots:
        """The Pod's mounts, unless the environment says otherwise."""
        return cls(os.environ.get(ROOT_VARIABLE, ""), os.environ.get(SOCKET_VARIABLE, names.COLLECT_SOCKET))

    def at(self, path: str) -> str:
        """Where an absolute path of the Pod is here."""
        return self.prefix + path

    @property
    def plan(self) -> str:
        """The plan, a file of the downwardAPI volume."""
        return self.at(names.PLAN_FILE)

    @property
    def runner_source(self) -> str:
        """The runner as the steps image carries it."""
        return self.at("/usr/local/bin/runner")

    @property
    def runner(self) -> str:
        """The runner's volume: the binary, run.json and stage.json; read-only for the algorithm."""
        return self.at(names.RUNNER_MOUNT)

    @property
    def logs(self) -> str:
        """The log files of the runner. The algorithm can write here too."""
        return self.at(names.LOGS_MOUNT)

    @property
    def input(self) -> str:
        """What the algorithm reads."""
        return self.at(names.INPUT_MOUNT)

    @property
    def model(self) -> str:
        """Where the model is unpacked; read-only for the algorithm."""
        return self.at(names.MODEL_MOUNT)

    @property
    def output(self) -> str:
        """What the algorithm wrote: hostile."""
        return self.at(names.OUTPUT_MOUNT)

    @property
    def store(self) -> str:
        """collect and salvage: the attempt's own folder. The store Pod: the whole volume."""
        return self.at(names.STORE_MOUNT)

    @property
    def log_store(self) -> str:
        """collect: the attempt's own folder in the store of the logs, where that is another one."""
        return self.at(names.LOG_STORE_MOUNT)

    @property
    def scratch(self) -> str:
        """A small emptyDir that outlives a restart of the container."""
        return self.at(names.SCRATCH_MOUNT)

    @property
    def termination_log(self) -> str:
        """What the kubelet copies into the container's status."""
        return self.at("/dev/termination-log")
