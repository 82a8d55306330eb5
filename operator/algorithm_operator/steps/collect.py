"""collect: takes the runner's record, sleeps until the algorithm is dead, then checks and keeps what it wrote."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping

from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.text import shown
from algorithm_operator.contract.exits import COLLECT_FAILED, CollectReport, ExitRecord
from algorithm_operator.steps import record, termination
from algorithm_operator.steps.collection import MAX_MESSAGE, Collection, safe
from algorithm_operator.steps.commit import AttemptFolder
from algorithm_operator.steps.copying import ChangedError
from algorithm_operator.steps.failures import StepError, os_message
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.settings import PlanError, load_plan

STARTED_MARKER = "collect.started"


def run(roots: Roots, environment: Mapping[str, str]) -> int:
    """Collect one attempt; the exit code (see contract/exits.py)."""
    ended = record.Termination()
    collection: Collection | None = None
    try:
        plan, settings = load_plan(roots)
        store, logs = plan.output_store, plan.log_store
        folder = _open_folder(roots.store, store.name) if store is not None else None
        log_folder = _open_folder(roots.log_store, logs.name) if logs is not None else folder
        collection = Collection(plan, settings, roots, environment, folder, log_folder)
        _first_start(roots)
        collection.words = record.receive(record.listen(roots.socket), ended, collection.prepare)
    except (StepError, PlanError, OSError) as error:
        # Nobody takes the runner's connection now: the algorithm does not start, or its record is lost already.
        # Staying until the end lets the kubelet keep what we have to say.
        print(_why(error), file=sys.stderr, flush=True)
        ended.wait()
        if collection is not None:
            with contextlib.suppress(OSError):
                collection.keep_logs()
        return _failed(roots, error, None)
    try:
        report, code = collection.collect()
    except (StepError, OSError, ChangedError) as error:
        return _failed(roots, error, safe(collection.words.exit, tell_error=plan.error_in_status))
    termination.write(roots, report)
    return code


def _why(error: Exception) -> str:
    return shown(os_message(error) if isinstance(error, OSError) else str(error), MAX_MESSAGE)


def _failed(roots: Roots, error: Exception, ended: ExitRecord | None) -> int:
    report = CollectReport(ok=False, reason=Reason.COLLECT_FAILED, message=_why(error), exit=ended)
    termination.write(roots, report)
    return COLLECT_FAILED


def _first_start(roots: Roots) -> None:
    """Refuse to listen again after a restart: the algorithm may run by now, and it could connect and lie."""
    try:
        os.close(
            os.open(os.path.join(roots.scratch, STARTED_MARKER), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        )
    except FileExistsError:
        why = "the collector was restarted while the algorithm ran, so the record of how it ended is lost"
        raise StepError(COLLECT_FAILED, Reason.COLLECT_FAILED, why) from None


def _open_folder(path: str, store: str) -> AttemptFolder:
    """The attempt's folder, tried before the algorithm starts: two hours of work must not end at a read-only store."""
    try:
        folder = AttemptFolder(path)
        folder.check_writable()
    except OSError as error:
        why = (
            f"the folder of the job in DataStore {store} cannot be written by uid {os.getuid()} ({os_message(error)}); "
            "an admin sets the mode of the volume's root, or gid of the DataStore"
        )
        raise StepError(COLLECT_FAILED, Reason.COLLECT_FAILED, why) from error
    return folder
