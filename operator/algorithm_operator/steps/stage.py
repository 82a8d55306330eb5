"""stage: the clock starts, the inputs are laid out, the runner is installed, and the gate is passed. Then it ends."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.contract.exits import STAGE_NOT_ISOLATED, STAGE_OK, StageReport
from algorithm_operator.contract.manifest import IsolationSeen, StageRecord
from algorithm_operator.contract.plan import Plan
from algorithm_operator.core import names, quantity
from algorithm_operator.steps import gate, model, termination
from algorithm_operator.steps.copying import ChangedError
from algorithm_operator.steps.failures import StepError, os_message, try_again
from algorithm_operator.steps.inputs import Inputs
from algorithm_operator.steps.install import install
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.settings import PlanError, StepSettings, load_plan

RESERVE_SHARE, MIN_RESERVE, MAX_RESERVE = 0.05, 3.0, 60.0
"""How much earlier than the Pod's deadline the runner ends the algorithm, so that logs and the reason survive."""
TERM_GRACE_SECONDS = 5
UNSET_PREFIXES = ["KUBERNETES_", "GRAND_CHALLENGE_"]
"""Of the platform's own variables; the second is Grand Challenge's rule."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
"""A CPU limit does not change how many processors a library sees: without these each starts a thread per processor."""


def run(roots: Roots, environment: Mapping[str, str]) -> int:
    """Stage one attempt; the exit code (see contract/exits.py)."""
    try:
        report = _stage(roots, environment)
    except StepError as error:
        termination.write(
            roots, StageReport(ok=False, reason=error.reason, message=error.message, slug=error.slug)
        )
        return error.code
    termination.write(roots, report)
    # To stdout alone: the CLI tells by it whether the cluster's API keeps stdout and stderr of a container apart.
    print(f"staged {report.input_bytes} bytes of inputs; the network was seen closed", flush=True)
    return STAGE_OK


def _stage(roots: Roots, environment: Mapping[str, str]) -> StageReport:
    started_at, boottime, began = datetime.now(UTC), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic()
    try:
        plan, settings = load_plan(roots)
        install(roots)
        inputs = Inputs(plan, settings, roots).lay_out()
        unpacked = model.unpack(plan.model, settings, roots) if plan.model is not None else None
        staged_seconds = round(time.monotonic() - began, 3)
        seen = _pass_gate(plan, environment)
        record = StageRecord(
            started_at=_iso(started_at),
            started_at_boottime=boottime,
            staged_seconds=staged_seconds,
            inputs=inputs,
            model=unpacked,
            isolation=seen,
        )
        _write(roots, names.STAGE_RECORD, record.wire())
        _write(roots, names.RUN_CONFIG, run_config(plan, settings, started_at, boottime))
    except (PlanError, ChangedError, gate.GateError) as error:
        raise try_again(str(error)) from error
    except OSError as error:
        raise try_again(os_message(error)) from error
    return StageReport(
        ok=True,
        staged_seconds=staged_seconds,
        gate_seconds=seen.seconds,
        input_bytes=sum(each.bytes for each in inputs),
    )


def _pass_gate(plan: Plan, environment: Mapping[str, str]) -> IsolationSeen:
    seen = gate.watch(plan.isolation, environment.get("HOST_IPS"))
    if seen.reached:
        message = sentence(Reason.NETWORK_NOT_ISOLATED, targets=", ".join(seen.reached))
        raise StepError(STAGE_NOT_ISOLATED, Reason.NETWORK_NOT_ISOLATED, message)
    return seen.isolation


def run_config(plan: Plan, settings: StepSettings, started_at: datetime, boottime: float) -> dict[str, Any]:
    """run.json, which the runner obeys (its README tells each key)."""
    limit, threads = plan.limits.time_limit_seconds, max(1, math.ceil(quantity.parse(plan.limits.cpu)))
    volumes = [names.OUTPUT_MOUNT, names.TMP_MOUNT]
    # What is a file system of its own holds itself to its size: nobody needs to measure it.
    on_disk, tmpfs = ([], volumes) if plan.limits.scratch_medium == "Memory" else (volumes, [])
    return {
        "version": 1,
        "entrypoint": plan.command.entrypoint,
        "cmd": plan.command.cmd,
        "startedAt": _iso(started_at),
        "startedAtBoottime": boottime,
        "limitSeconds": limit,
        "reserveSeconds": min(max(RESERVE_SHARE * limit, MIN_RESERVE), MAX_RESERVE),
        "termGraceSeconds": TERM_GRACE_SECONDS,
        "network": plan.network,
        "maxThreads": plan.limits.threads,
        "logs": {
            "dir": names.LOGS_MOUNT,
            "maxBytes": settings.log_max_bytes,
            "silent": plan.log_store is not None,
        },
        "disk": {
            "limitBytes": int(quantity.parse(plan.limits.scratch)),
            "paths": [*on_disk, names.LOGS_MOUNT],
            "root": True,
            "filesystems": [names.SHM_MOUNT, *tmpfs],
        },
        "home": plan.command.home,
        "socket": names.COLLECT_SOCKET,
        "socketTimeoutSeconds": settings.socket_timeout_seconds,
        "env": {
            "SET": {},
            "DEFAULT": dict.fromkeys(THREAD_VARIABLES, str(threads)),
            "UNSET_PREFIXES": UNSET_PREFIXES,
        },
    }


def _write(roots: Roots, name: str, content: dict[str, Any]) -> None:
    with open(os.path.join(roots.runner, name), "x", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
    os.chmod(os.path.join(roots.runner, name), 0o444)


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
