"""What becomes of an ImageImport: the words of its status, for all that can happen to its Pod. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import ValidationError

from algorithm_operator.api.conditions import ConditionType, with_condition, without_condition
from algorithm_operator.api.datastore import DataStoreSpec
from algorithm_operator.api.imageimport import (
    MAX_FILE_MESSAGE,
    ImageImportStatus,
    ImportedImage,
    ImportState,
    RefusedFile,
)
from algorithm_operator.api.reasons import Blame, Reason, sentence
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.accept import default_store
from algorithm_operator.contract.exits import STAGE_BAD_INPUT, STAGE_OK
from algorithm_operator.contract.importing import MHA, ImportReport
from algorithm_operator.contract.outcome import Refused, Waiting, waiting
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.core import names
from algorithm_operator.core.ending import MAX_MESSAGE, cut
from algorithm_operator.core.errand import Ended
from algorithm_operator.core.facts import moment
from algorithm_operator.core.settings import PodSettings
from algorithm_operator.core.world import Import, Object, stamp

MAX_FAILURES = 3
"""Of infrastructure; with the last one the import has failed."""
_TRIED_AGAIN = " Tried again."


def output_store(
    of: Import, stores: Mapping[str, DataStoreSpec], unreadable: Mapping[str, str]
) -> str | Refused | Waiting:
    """The DataStore that the image goes to, once all that the import names is there and can be read."""
    for path in of.spec.source.paths:
        if why := check_store_path(path):
            facts = f"the path {quoted(path)} is not allowed: {why}"
            return Refused(Reason.FILES_INVALID, sentence(Reason.FILES_INVALID, why=facts))
    named = of.spec.output_store
    chosen = named.name if named is not None else default_store(stores)
    if isinstance(chosen, Waiting):
        return chosen
    if chosen is None:
        why = "The image needs a DataStore: name one in outputStore, or ask an admin for one with default: true."
        return Refused(Reason.NO_OUTPUT_STORE, why)
    for store in (of.spec.source.name, chosen):
        if store in unreadable:
            return waiting(Reason.STORE_NOT_READY, store=shown(store), why=unreadable[store])
        if store not in stores:
            return waiting(Reason.STORE_NOT_FOUND, store=shown(store), namespace=of.namespace)
    return chosen


def attempt(of: Import) -> int:
    """The number of the attempt that is due or under way, from 1."""
    return of.status.failures + 1


def waits(
    of: Import, reason: Reason, message: str, now: datetime, *, pod: str | None = None
) -> ImageImportStatus:
    """It waits for what `message` says. `pod`: the one that is there, if there is one."""
    status = _told(of, ImportState.PENDING, reason, message, pod=pod)
    return _with(status, of, ConditionType.SCHEDULED, False, reason, message, now)


def starts(of: Import, pod: Object, now: datetime) -> ImageImportStatus:
    """Its Pod is on its way, and nothing keeps it."""
    name = str(pod["metadata"]["name"])
    message = sentence(Reason.IMPORTING, pod=shown(name))
    status = _told(of, ImportState.IMPORTING, Reason.IMPORTING, message, pod=name)
    status = status.model_copy(update={"started_at": of.status.started_at or stamp(now)})
    node = (pod.get("spec") or {}).get("nodeName")
    if node is None:
        return status.model_copy(
            update={"conditions": without_condition(status.conditions, ConditionType.SCHEDULED)}
        )
    where = sentence(Reason.SCHEDULED, node=shown(str(node)))
    return _with(status, of, ConditionType.SCHEDULED, True, Reason.SCHEDULED, where, now)


def ended(of: Import, answer: Ended, store: str, now: datetime, settings: PodSettings) -> ImageImportStatus:
    """What the Pod's answer makes of it."""
    try:
        report = ImportReport.model_validate_json(answer.message)
    except ValidationError:
        why = f"its Pod ended with exit code {answer.exit_code} and no answer that can be read"
        return failed_once(of, Reason.IMPORT_FAILED, sentence(Reason.IMPORT_FAILED, why=why), now, settings)
    if answer.exit_code == STAGE_OK and report.image is not None:
        return _succeeded(of, report, store, now)
    message = report.message or "no reason is told"
    if answer.exit_code == STAGE_BAD_INPUT:
        return _refused(of, report, message, now)
    return failed_once(of, Reason.IMPORT_FAILED, sentence(Reason.IMPORT_FAILED, why=message), now, settings)


def refused(of: Import, why: Refused, now: datetime) -> ImageImportStatus:
    """It cannot be done as it is written."""
    return _failed(of, why.reason, why.message, Blame.INPUT, now)


def failed_once(
    of: Import, reason: Reason, message: str, now: datetime, settings: PodSettings
) -> ImageImportStatus:
    """Infrastructure has failed: it is tried again, or was often enough."""
    failures = of.status.failures + 1
    if failures < MAX_FAILURES:
        seconds = retry_seconds(failures, settings)
        words = f"{sentence(Reason.RETRYING, number=failures, reason=reason, seconds=seconds)} {message}"
        status = waits(of, Reason.RETRYING, words, now)
    else:
        told = f"{message.removesuffix(_TRIED_AGAIN)} It was tried {failures} times; apply the import under a new name."
        status = _failed(of, reason, told, Blame.INFRASTRUCTURE, now)
    return status.model_copy(update={"failures": failures})


def retry_seconds(failures: int, settings: PodSettings) -> int:
    """How long after so many failures the next attempt starts."""
    return int(settings.retry_seconds * 2 ** (failures - 1))


def leaves_in(of: Import, now: datetime) -> float | None:
    """Seconds until an import that has ended is deleted; None: never."""
    ttl, finished = of.spec.ttl_seconds_after_finished, moment(of.status.finished_at)
    if ttl is None or finished is None:
        return None
    return (finished + timedelta(seconds=ttl) - now).total_seconds()


def _succeeded(of: Import, report: ImportReport, store: str, now: datetime) -> ImageImportStatus:
    found = report.image
    if found is None:
        raise ValueError("a report without an image is no success")
    image = ImportedImage(
        store=store,
        path=f"{names.import_folder(of.name, of.uid)}/{of.uid}{found.suffix}",
        bytes=found.bytes,
        sha256=found.sha256,
        name=shown(found.name),
        format="MHD" if found.suffix == MHA else "TIFF",
        geometry=found.geometry,
        notes=found.notes,
    )
    status = _told(of, ImportState.SUCCEEDED, Reason.COMPLETED, "", finished_at=stamp(now), image=image)
    return _with(_ended(status), of, ConditionType.COMPLETE, True, Reason.COMPLETED, "", now)


def _refused(of: Import, report: ImportReport, why: str, now: datetime) -> ImageImportStatus:
    rest = f" {report.more} more files are not listed." if report.more else ""
    message = sentence(Reason.FILES_INVALID, why=why)
    status = _failed(
        of, Reason.FILES_INVALID, shown(message, MAX_MESSAGE - len(rest)) + rest, Blame.INPUT, now
    )
    files = [RefusedFile(name=shown(name), message=shown(why, MAX_FILE_MESSAGE)) for name in report.files]
    return status.model_copy(update={"files": files})


def _failed(of: Import, reason: Reason, message: str, blame: Blame, now: datetime) -> ImageImportStatus:
    status = _told(of, ImportState.FAILED, reason, message, finished_at=stamp(now), blame=str(blame))
    status = _with(_ended(status), of, ConditionType.FAILED, True, reason, message, now)
    return _with(status, of, ConditionType.STALLED, True, reason, message, now)


def _told(of: Import, state: ImportState, reason: Reason, message: str, **more: object) -> ImageImportStatus:
    update = {
        "observed_generation": of.generation,
        "state": state,
        "reason": str(reason),
        "message": cut(message),
        "pod": None,
        **more,
    }
    return of.status.model_copy(update=update)


def _ended(status: ImageImportStatus) -> ImageImportStatus:
    """Without what explains a wait."""
    left = [
        each for each in status.conditions if (each.type, each.status) != (ConditionType.SCHEDULED, "False")
    ]
    return status.model_copy(update={"conditions": left})


def _with(
    status: ImageImportStatus,
    of: Import,
    type_: ConditionType,
    value: bool,
    reason: Reason,
    message: str,
    now: datetime,
) -> ImageImportStatus:
    conditions = with_condition(
        status.conditions, type_, value, reason, cut(message), generation=of.generation, now=now
    )
    return status.model_copy(update={"conditions": conditions})
