"""import: the files of an ImageImport become one .mha or .tif of its folder, by what `stage` reads inputs with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from algorithm_operator.api.imageimport import MAX_FILE_NAME, MAX_NOTE, MAX_NOTES
from algorithm_operator.api.text import shown
from algorithm_operator.contract.exits import STAGE_BAD_INPUT, STAGE_OK, STAGE_RETRY
from algorithm_operator.contract.importing import Imported, ImportPlan, ImportReport, encode, refusal
from algorithm_operator.contract.plan import PlannedSocket
from algorithm_operator.steps import sources, termination, walk
from algorithm_operator.steps.commit import ImportFolder
from algorithm_operator.steps.copying import ChangedError
from algorithm_operator.steps.failures import StepError, os_message
from algorithm_operator.steps.inputs import MAX_INPUT_BYTES
from algorithm_operator.steps.layout import images
from algorithm_operator.steps.layout.folder import InputFolder
from algorithm_operator.steps.layout.laid import Laid, Layout
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.settings import PlanError, StepSettings, load_import

_SLUG = "image"
"""Of the socket that the image would be an input of."""
_MEMORY = "the memory that imports have (stepsResources.import of the Helm values)"


def run(roots: Roots, environment: Mapping[str, str]) -> int:
    """Import, and report; the exit code (that of stage, see contract/exits.py)."""
    try:
        report, code = _import(roots, environment), STAGE_OK
    except StepError as error:
        report, code = refusal(error.why, error.files), error.code
    except (PlanError, ChangedError) as error:
        report, code = refusal(f"{error}."), STAGE_RETRY
    except OSError as error:
        report, code = refusal(f"{os_message(error)}."), STAGE_RETRY
    termination.leave(roots, encode(report), report.message)
    return code


def _import(roots: Roots, environment: Mapping[str, str]) -> ImportReport:
    plan, settings = load_import(roots)
    folder = ImportFolder(roots.store, environment.get("POD_UID", ""))
    with contextlib.closing(folder):
        laid = _read(plan, settings, roots, folder)
        suffix = os.path.splitext(laid.path or "")[1]
        folder.publish(laid.path or "", plan.name + suffix)
    found = laid.record
    if found.image is None or laid.told.image is None:
        raise ValueError("an image without a geometry or a name")
    notes = found.conversion.notes if found.conversion is not None else []
    image = Imported.model_validate(
        {
            "suffix": suffix,
            "bytes": found.bytes,
            "sha256": found.sha256,
            "name": shown(laid.told.image.name, MAX_FILE_NAME),
            "geometry": found.image,
            "notes": [shown(note, MAX_NOTE) for note in notes[:MAX_NOTES]],
        }
    )
    return ImportReport(image=image)


def _read(plan: ImportPlan, settings: StepSettings, roots: Roots, folder: ImportFolder) -> Laid:
    """The image, as it lies in the unfinished part of the folder."""
    layout = Layout(InputFolder(folder.unfinished), settings, roots.scratch, plan.name, _MEMORY)
    socket = PlannedSocket(slug=_SLUG, title=_SLUG, kind=plan.kind, relative_path=_SLUG, pk=0)
    limits = walk.Limits(settings.max_entries, settings.max_depth, MAX_INPUT_BYTES)
    with (
        _about(file.path for file in plan.files),
        sources.opened(_SLUG, plan.files, roots, limits) as found,
        _about(source.path for source in found),
    ):
        return images.lay_out(layout, socket, found)


@contextlib.contextmanager
def _about(paths: Iterator[str]) -> Iterator[None]:
    """A refusal that names no file is about all of them."""
    try:
        yield
    except StepError as error:
        if error.code == STAGE_BAD_INPUT and not error.files:
            error.files = tuple(paths)
        raise
