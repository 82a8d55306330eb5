"""An output of another job as an input of this one: waited for, then fixed as that job's status says. Pure."""

from __future__ import annotations

from collections.abc import Mapping

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
        return waiting(Reason.INPUT_PENDING, slug=slug, job=job, why=why)
    if status.algorithm is not None:
        kinds = {socket.slug: str(socket.kind) for socket in status.algorithm.interface.outputs}
        if problem := _misfit(wanted, kind, kinds):
            return invalid(slug, f"job {job} {problem}")
    if status.state not in TERMINAL:
        why = f"it is {status.state or State.PENDING}."
        return waiting(Reason.INPUT_PENDING, slug=slug, job=job, why=why)
    output = next((each for each in status.outputs if each.slug == wanted.output), None)
    if status.state is not State.SUCCEEDED or output is None:
        return invalid(
            slug,
            f"job {job} ended without outputs ({status.state}); name one that succeeded, under a new name.",
        )
    return _fixed(slug, wanted, output, status)


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
