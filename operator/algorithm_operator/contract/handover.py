"""What another job or an ImageImport has made, as an input: waited for, then fixed as its status says. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from algorithm_operator.api.imageimport import ENDED, ImageImportStatus, ImportState
from algorithm_operator.api.job import TERMINAL, AlgorithmJobStatus, JobOutput, Output, State
from algorithm_operator.api.reasons import Reason
from algorithm_operator.api.run import RunInput
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.kinds import KINDS, Form, Kind
from algorithm_operator.contract.outcome import Refused, Waiting, invalid, waiting


def hand_over(
    slug: str, wanted: JobOutput, kind: Kind, status: AlgorithmJobStatus | None, namespace: str
) -> RunInput | Refused | Waiting:
    """The output that input `slug` names, where it is or what its value is. `status`: of that job, None: not there."""
    job = quoted(wanted.name)
    if status is None:
        why = (
            f"there is no such AlgorithmJob in namespace {shown(namespace)}; create it, and this job goes on."
        )
        return waiting(Reason.INPUT_PENDING, slug=slug, maker=f"job {job}", why=why)
    if status.algorithm is not None:
        kinds = {socket.slug: str(socket.kind) for socket in status.algorithm.interface.outputs}
        if problem := _misfit(wanted, kind, kinds):
            return invalid(slug, f"job {job} {problem}")
    if status.state not in TERMINAL:
        why = f"it is {status.state or State.PENDING}."
        return waiting(Reason.INPUT_PENDING, slug=slug, maker=f"job {job}", why=why)
    output = next((each for each in status.outputs if each.slug == wanted.output), None)
    if status.state is not State.SUCCEEDED or output is None:
        return invalid(
            slug,
            f"job {job} ended without outputs ({status.state}); name one that succeeded, under a new name.",
        )
    return _fixed(slug, wanted, output, status)


def take_image(
    slug: str, name: str, kind: Kind, status: ImageImportStatus | None, namespace: str
) -> RunInput | Refused | Waiting:
    """The image of ImageImport `name`, which input `slug` names. `status`: of that import, None: not there."""
    maker = f"import {quoted(name)}"
    if kind.form is not Form.IMAGE:
        return invalid(slug, f"{maker} makes an image, which is no input of kind {quoted(kind.label)}.")
    if status is None:
        why = (
            f"there is no such ImageImport in namespace {shown(namespace)}; create it, and this job goes on."
        )
        return waiting(Reason.INPUT_PENDING, slug=slug, maker=maker, why=why)
    if status.state not in ENDED:
        why = f"it is {status.state or ImportState.PENDING}."
        return waiting(Reason.INPUT_PENDING, slug=slug, maker=maker, why=why)
    image = status.image
    if status.state is not ImportState.SUCCEEDED or image is None:
        return invalid(slug, f"{maker} failed: {status.message or 'it does not say why.'}")
    return RunInput(slug=slug, image_import=name, store=image.store, path=image.path, sha256=image.sha256)


def _fixed(slug: str, wanted: JobOutput, output: Output, status: AlgorithmJobStatus) -> RunInput | Refused:
    if output.path is None:
        return RunInput(slug=slug, job=wanted.name, output=wanted.output, value=output.value)
    store = status.algorithm.output_store if status.algorithm is not None else None
    if store is None:
        return invalid(slug, f"the status of job {quoted(wanted.name)} does not say where its outputs are.")
    return RunInput(
        slug=slug,
        job=wanted.name,
        output=wanted.output,
        store=store,
        path=output.path,
        sha256=output.sha256,
    )


def _misfit(wanted: JobOutput, kind: Kind, outputs: Mapping[str, str]) -> str | None:
    """Why none of the job's outputs (kinds by slug) is what the input takes."""
    if wanted.output not in outputs:
        return f"has no output {quoted(wanted.output)}; it has {', '.join(map(quoted, outputs))}."
    made = KINDS.get(outputs[wanted.output])
    if made is None or made.form is not kind.form or (kind.form is Form.FILE and made is not kind):
        label = quoted(outputs[wanted.output])
        return f"writes {quoted(wanted.output)} as {label}, which is no input of kind {quoted(kind.label)}."
    return None
