"""The files of an input as stage reads them: open, regular, and those that another job's status speaks of unchanged."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.exits import STAGE_BAD_INPUT
from algorithm_operator.contract.plan import PlannedFile
from algorithm_operator.steps import walk
from algorithm_operator.steps.copying import hashed
from algorithm_operator.steps.failures import StepError, bad_input, os_message
from algorithm_operator.steps.places import open_place
from algorithm_operator.steps.roots import Roots

_OWN_FILES = 256
"""Descriptors that are ours besides those of inputs."""


@dataclass(frozen=True, slots=True)
class Source:
    """An open regular file, its size in bytes and where its owner finds it."""

    descriptor: int
    size: int
    path: str
    file: PlannedFile

    def __str__(self) -> str:
        return f"{quoted(self.path)} of {self.file.holder}"

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rsplit("/", 1)[-1]


@contextmanager
def opened(
    slug: str, files: Sequence[PlannedFile], roots: Roots, limits: walk.Limits
) -> Iterator[list[Source]]:
    """All regular files that the paths of an input name together, at least one.

    :raises StepError: there is none, one is not there, cannot be read, or is another one than it was.
    """
    with ExitStack() as stack:
        found = [source for file in files for source in _sources(slug, file, roots, limits, stack)]
        if not found:
            raise bad_input(slug, "its paths name no file.")
        for source in found:
            _check_unchanged(slug, source)
        yield found


def _sources(
    slug: str, file: PlannedFile, roots: Roots, limits: walk.Limits, stack: ExitStack
) -> list[Source]:
    where = f"{quoted(file.path)} of {file.holder}"
    try:
        place = open_place(file, roots)
        stack.callback(os.close, place)
        status = os.fstat(place)
        is_folder = stat.S_ISDIR(status.st_mode)
        if is_folder and not os.listdir(place):
            raise FileNotFoundError  # the kubelet makes an empty folder of what does not exist
        if file.folder and not is_folder:
            raise bad_input(slug, f'{where} is a file; write it without the "/" at its end.', [file.path])
        if is_folder and not file.folder:
            why = f'{where} is a folder; name a file in it, or end the path with "/".'
            raise bad_input(slug, why, [file.path])
        if is_folder:
            return _in_folder(slug, file, place, limits, stack)
        return [Source(place, status.st_size, file.path, file)]
    except FileNotFoundError:
        message = sentence(Reason.INPUT_NOT_FOUND, slug=slug, path=quoted(file.path), holder=file.holder)
        raise StepError(
            STAGE_BAD_INPUT,
            Reason.INPUT_NOT_FOUND,
            message,
            slug,
            why=f"{quoted(file.path)} does not exist in {file.holder}.",
            files=[file.path],
        ) from None
    except PermissionError as error:
        why = f"{where} may not be read by uid {os.getuid()} ({os_message(error)}); {_how_to_read(file)}."
        raise bad_input(slug, why, [file.path]) from error
    except walk.RefusedError as error:
        why = f"{where} is {error}; inputs must be regular files."
        raise bad_input(slug, why, [file.path]) from error


def _how_to_read(file: PlannedFile) -> str:
    if file.image is not None:
        return "build the image anew with files and folders that everybody may read (chmod -R a+rX)"
    return "an admin sets the file's mode, or gid of the DataStore, so that it can"


def _in_folder(
    slug: str, file: PlannedFile, root: int, limits: walk.Limits, stack: ExitStack
) -> list[Source]:
    """The regular files of a folder, in the order of their names. Files of an image may have several names."""
    links = file.image is not None
    tree = walk.scan(root, replace(limits, links=links))
    for refused in tree.refused:
        raise walk.RefusedError(f"a folder that holds {shown(refused.path, 128)}: {refused.why}")
    for link in tree.links:
        raise walk.RefusedError(f"a folder that holds {shown(link, 128)}: a symbolic link")
    _make_room(slug, len(tree.files))
    sources = []
    for each in sorted(tree.files, key=lambda one: one.path):
        descriptor = walk.open_file(root, each.path, links=links)
        stack.callback(os.close, descriptor)
        sources.append(Source(descriptor, each.size, file.path + os.fsdecode(each.path), file))
    return sources


def _make_room(slug: str, files: int) -> None:
    """Let this process have that many files open besides those that it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = len(os.listdir("/proc/self/fd")) + files + _OWN_FILES
    if wanted > hard:
        raise bad_input(slug, f"its folder holds {files} files, more than a node opens at once ({hard}).")
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _check_unchanged(slug: str, source: Source) -> None:
    """Hold a file against what the status of the job that wrote it says."""
    file = source.file
    if file.sha256 is None:
        return
    if hashed(source.descriptor, source.size).hexdigest() != file.sha256:
        is_import = file.image_import is not None
        maker = f"import {quoted(file.image_import or '')}" if is_import else f"job {quoted(file.job or '')}"
        why = (
            f"{source} is not what the status of {maker} says; it was changed since. "
            f"{'Apply' if is_import else 'Run'} {maker} anew under another name, or name the file itself in store."
        )
        raise bad_input(slug, why, [source.path])
