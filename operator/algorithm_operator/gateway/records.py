"""Jobs whose object is gone (deleted, or over their time to live), made again from what they left in the store.

Of a job of the gateway its pk gives its name, and so its folder in the store; there lies the run record that the sealed
collector wrote, as manifest.json, or failure.json of one that has no result. No status is left that would name the
record's hash, so only its own words vouch for it: that it is of this very job, uid and attempt. Nothing but the
operator's own Pods can write into such a folder.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

from algorithm_operator.api.algorithm import Gpu, Resources, Scratch
from algorithm_operator.api.conditions import rfc3339
from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.api.job import AlgorithmJobStatus, Output, State, Timing
from algorithm_operator.api.reasons import CATALOGUE, Reason, sentence
from algorithm_operator.api.run import RunSnapshot
from algorithm_operator.contract.failure import FAILURE, Failure
from algorithm_operator.contract.manifest import MANIFEST, Manifest, ManifestInput, ManifestOutput
from algorithm_operator.contract.plan import PlannedJob
from algorithm_operator.contract.sockets import relative_path_of
from algorithm_operator.core.names import LABEL_PK, attempt_folder
from algorithm_operator.core.world import Algorithm
from algorithm_operator.gateway import joblimits
from algorithm_operator.gateway.catalogue import algorithms
from algorithm_operator.gateway.context import Caller
from algorithm_operator.gateway.jobids import job_name, lost_algorithm_uid
from algorithm_operator.gateway.storage import Store
from algorithm_operator.gateway.urls import is_pk
from algorithm_operator.kube.resources import Body

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 4 << 20
_MAX_FOLDERS = 64

Record = Manifest | Failure


async def recorded(caller: Caller, pk: str) -> Body | None:
    """The job of that pk as an AlgorithmJob that has ended; None if there never was one."""
    gateway, name = caller.gateway, job_name(pk)
    start = await joblimits.noted(gateway, pk)
    if start is not None and start.namespace != caller.namespace:
        return None
    default = await gateway.stores.default(caller.namespace)
    if default is not None:
        store = await gateway.stores.store(caller.namespace, default)
        records = [record async for record in _records(store, caller.namespace, name)]
        if records:
            newest = max(records, key=lambda record: record.finished_at)
            found = await algorithms(gateway, caller.namespace)
            live = next((each for each in found if each.name == newest.algorithm.name), None)
            return _body(pk, newest, default, live)
    if start is None:
        return None
    status = AlgorithmJobStatus(
        state=State.CANCELLED, reason=Reason.CANCELLED, message=sentence(Reason.CANCELLED)
    )
    body = _object(caller.namespace, name, pk, pk, start.algorithm, [], status)
    body["metadata"]["creationTimestamp"] = rfc3339(start.created)
    return body


async def _records(store: Store, namespace: str, name: str) -> AsyncIterator[Record]:
    """Of each object that had the name, that of its last attempt which left one."""
    # Into other folders than those of UUIDs people may upload what they like.
    for uid in await _folders(store, name, is_pk):
        numbers = await _folders(store, f"{name}/{uid}", str.isdecimal)
        for number in sorted(map(int, numbers), reverse=True):
            record = await _record(store, PlannedJob(namespace=namespace, name=name, uid=uid, attempt=number))
            if record is not None:
                yield record
                break


async def _folders(store: Store, path: str, is_wanted: Callable[[str], bool]) -> list[str]:
    entries = await store.list(path)
    folders = [str(entry["name"]) for entry in entries if entry["type"] == "folder"]
    return list(filter(is_wanted, folders))[:_MAX_FOLDERS]


async def _record(store: Store, job: PlannedJob) -> Record | None:
    folder = attempt_folder(job.name, job.uid, job.attempt)
    models: tuple[tuple[str, type[Record]], ...] = ((MANIFEST, Manifest), (FAILURE, Failure))
    for name, model in models:
        with suppress(FileNotFoundError):
            try:
                record = model.model_validate_json(await _bytes(store, f"{folder}/{name}"))
            except ValueError as error:
                log.warning("%s/%s cannot be read: %s", folder, name, type(error).__name__)
                continue
            if record.job == job:
                return record
            log.warning("%s/%s is of another job or attempt", folder, name)
    return None


async def _bytes(store: Store, path: str) -> bytes:
    data = b""
    async with store.read(path) as reading:
        if reading.size > MAX_RECORD_BYTES:
            raise ValueError("it is larger than a run record can be")
        async for piece in reading:
            data += piece
    return data


def _body(pk: str, record: Record, store: str, live: Algorithm | None) -> Body:
    """`live`: the Algorithm of that name, if there still is one."""
    job = record.job
    if isinstance(record, Manifest):
        inputs = [{"slug": each.slug} for each in record.inputs]
        status = _succeeded(record, store, live)
    else:
        ran = (
            [each for each in live.spec.interfaces if each.name == record.algorithm.interface] if live else []
        )
        inputs = [{"slug": each.slug} for interface in ran for each in interface.inputs]
        status = _failed(record)
    return _object(job.namespace, job.name, job.uid, pk, record.algorithm.name, inputs, status)


def _failed(failure: Failure) -> AlgorithmJobStatus:
    known = failure.reason in set(Reason)
    return AlgorithmJobStatus(
        state=State.FAILED,
        reason=failure.reason,
        message=failure.message[:1024],
        blame=CATALOGUE[Reason(failure.reason)].blame if known else None,
        exit_code=failure.exit.exit_code if failure.exit is not None else None,
        finished_at=failure.finished_at,
    )


def _object(
    namespace: str,
    name: str,
    uid: str,
    pk: str,
    algorithm: str,
    inputs: list[dict[str, str]],
    status: AlgorithmJobStatus,
) -> Body:
    return {
        "metadata": {"namespace": namespace, "name": name, "uid": uid, "labels": {LABEL_PK: pk}},
        "spec": {"algorithmRef": {"name": algorithm}, "inputs": inputs},
        "status": status.wire(),
    }


def _succeeded(manifest: Manifest, store: str, live: Algorithm | None) -> AlgorithmJobStatus:
    folder = attempt_folder(manifest.job.name, manifest.job.uid, manifest.job.attempt)
    outputs = [
        Output(
            slug=each.slug,
            kind=each.kind,
            path=f"{folder}/{each.file.path}" if each.file is not None else None,
            bytes=each.file.bytes if each.file is not None else None,
            sha256=each.file.sha256 if each.file is not None else None,
            value=each.value if each.file is None else None,
            image=each.image,
        )
        for each in manifest.outputs
    ]
    return AlgorithmJobStatus(
        state=State.SUCCEEDED,
        reason=Reason.COMPLETED,
        exit_code=0,
        algorithm=_run(manifest, store, live),
        outputs=outputs,
        timing=Timing(ran_seconds=manifest.exit.ran_seconds),
        started_at=manifest.started_at,
        finished_at=manifest.finished_at,
    )


def _run(manifest: Manifest, store: str, live: Algorithm | None) -> RunSnapshot:
    """What it ran, as far as the record tells."""
    ran, limits = manifest.algorithm, manifest.limits
    known = {
        socket.slug: socket
        for interface in (live.spec.interfaces if live is not None else ())
        for socket in (*interface.inputs, *interface.outputs)
    }
    lost = lost_algorithm_uid(manifest.job.namespace, ran.name)
    return RunSnapshot(
        name=ran.name,
        uid=live.uid if live is not None else lost,
        generation=ran.generation,
        image=ran.image,
        image_digest=ran.image_digest,
        interface=Interface(
            name=ran.interface,
            inputs=[_socket(each, known) for each in manifest.inputs],
            outputs=[_socket(each, known) for each in manifest.outputs],
        ),
        resources=Resources(
            cpu=limits.cpu,
            memory=limits.memory,
            gpu=Gpu(type=limits.gpu_type, count=limits.gpu_count),
            scratch=Scratch(size=limits.scratch),
            threads=limits.threads,
        ),
        time_limit_seconds=limits.time_limit_seconds,
        collect_seconds=limits.collect_seconds,
        network="None",
        output_store=store,
    )


def _socket(was: ManifestInput | ManifestOutput, known: Mapping[str, Socket]) -> Socket:
    """The socket as it was; with the title that it has in the Algorithm of today, if that is the same socket still."""
    segments = was.overlay_segments if isinstance(was, ManifestOutput) else None
    socket = Socket(slug=was.slug, kind=was.kind, relative_path=was.relative_path, overlay_segments=segments)
    now = known.get(was.slug)
    same = now is not None and (now.kind, relative_path_of(now)) == (was.kind, was.relative_path)
    return now if now is not None and same else socket
