"""Laying out /input: each input by its form, and inputs.json last."""

from __future__ import annotations

import json
from collections.abc import Sequence

from algorithm_operator.api.kinds import SocketKind
from algorithm_operator.contract.exits import STAGE_BAD_INPUT
from algorithm_operator.contract.inputs_json import inputs_json
from algorithm_operator.contract.kinds import KINDS, Form
from algorithm_operator.contract.manifest import ManifestInput
from algorithm_operator.contract.messages import MAX_REFUSAL, together
from algorithm_operator.contract.plan import Plan, PlannedInput, PlannedSocket
from algorithm_operator.steps import sources, walk
from algorithm_operator.steps.failures import StepError, bad_input
from algorithm_operator.steps.layout import archives, dicom, files, images, values
from algorithm_operator.steps.layout.folder import InputFolder
from algorithm_operator.steps.layout.laid import Laid, Layout
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.settings import StepSettings
from algorithm_operator.steps.sources import Source

MAX_INPUT_BYTES = 1 << 40
"""Of one input file; the disk of the node ends before."""


class Inputs:
    """The inputs of one plan, laid out below `roots.input`."""

    def __init__(self, plan: Plan, settings: StepSettings, roots: Roots) -> None:
        self._plan, self._settings, self._roots = plan, settings, roots
        self._layout = Layout(InputFolder(roots.input), settings, roots.scratch, plan.job.uid)

    def lay_out(self) -> list[ManifestInput]:
        """Stage every input and inputs.json; files 0444, folders 0555.

        :raises StepError: inputs are missing or not valid; all that are, are told.
        """
        # What an archive holds may lie where another input is: it is that which must be there first.
        order = sorted(self._plan.inputs, key=lambda each: each.socket.kind == SocketKind.ZIP)
        laid: dict[str, Laid] = {}
        refusals: list[StepError] = []
        for each in order:
            try:
                laid[each.socket.slug] = self._one(each)
            except StepError as error:
                if error.code != STAGE_BAD_INPUT:
                    raise
                refusals.append(error)
        if refusals:
            raise _all(refusals)
        told = inputs_json(each.told for each in laid.values())
        self._layout.folder.write("inputs.json", json.dumps(told, ensure_ascii=False, indent=2).encode())
        self._layout.folder.close()
        return [laid[each.socket.slug].record for each in self._plan.inputs]

    def _one(self, given: PlannedInput) -> Laid:
        socket, settings = given.socket, self._settings
        if given.value_json is not None:
            return values.lay_out_value(self._layout, socket, given.value_json.encode())
        limits = walk.Limits(settings.max_entries, settings.max_depth, MAX_INPUT_BYTES)
        with sources.opened(socket.slug, given.files or [], self._roots, limits) as found:
            return self._files(socket, found)

    def _files(self, socket: PlannedSocket, found: Sequence[Source]) -> Laid:
        match KINDS[socket.kind].form:
            case Form.IMAGE:
                return images.lay_out(self._layout, socket, found)
            case Form.DICOM:
                return dicom.lay_out(self._layout, socket, found)
        if len(found) != 1:
            raise bad_input(socket.slug, f"it takes exactly one file, but the paths name {len(found)}.")
        if socket.kind == SocketKind.ZIP:
            return archives.lay_out(self._layout, socket, found)
        form = values.lay_out_file if KINDS[socket.kind].form is Form.JSON else files.lay_out
        return form(self._layout, socket, found)


def _all(refusals: Sequence[StepError]) -> StepError:
    """One refusal that says them all; its reason is the first one's."""
    first = refusals[0]
    if len(refusals) == 1:
        return first
    message = together([error.message for error in refusals], MAX_REFUSAL)
    return StepError(STAGE_BAD_INPUT, first.reason, message, first.slug)
