"""Files of DataStores as stage sees them: each a mount of exactly the file or folder that the job names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.plan import PlannedFile
from algorithm_operator.contract.reports import STAGE_BAD_INPUT
from algorithm_operator.steps import walk
from algorithm_operator.steps.failures import StepError, bad_input, os_message
from algorithm_operator.steps.roots import Roots

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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

    :raises StepError: there is none, or one is not there or cannot be read.
    """
    with ExitStack() as stack:
        found = [source for file in files for source in _sources(slug, file, roots, limits, stack)]
        if not found:
            raise bad_input(slug, "its paths name no file.")
        yield found


def _sources(
    slug: str, file: PlannedFile, roots: Roots, limits: walk.Limits, opened: ExitStack
) -> list[Source]:
    mount = roots.at(file.mount)
    where = f"{quoted(file.path)} of {file.holder}"
    try:
        mode = os.stat(mount, follow_symlinks=False).st_mode
        if why := walk.special(mode):
            raise walk.RefusedError(why)
        is_folder = stat.S_ISDIR(mode)
        if is_folder and not os.listdir(mount):
            raise FileNotFoundError  # the kubelet makes an empty folder of what does not exist
        if file.folder and not is_folder:
            raise bad_input(slug, f'{where} is a file; write it without the "/" at its end.')
        if is_folder and not file.folder:
            raise bad_input(slug, f'{where} is a folder; name a file in it, or end the path with "/".')
        return _in_folder(file, mount, limits, opened) if is_folder else [_mounted(file, mount, opened)]
    except FileNotFoundError:
        message = sentence(Reason.INPUT_NOT_FOUND, slug=slug, path=quoted(file.path), holder=file.holder)
        raise StepError(STAGE_BAD_INPUT, Reason.INPUT_NOT_FOUND, message, slug) from None
    except PermissionError as error:
        why = f"{where} may not be read by uid {os.getuid()} ({os_message(error)}); an admin sets the file's mode, or "
        raise bad_input(slug, why + "gid of the DataStore, so that it can.") from error
    except walk.RefusedError as error:
        raise bad_input(slug, f"{where} is {error}; inputs must be regular files.") from error


def _mounted(file: PlannedFile, mount: str, opened: ExitStack) -> Source:
    descriptor = os.open(mount, _READ)
    opened.callback(os.close, descriptor)
    return Source(descriptor, os.fstat(descriptor).st_size, file.path, file)


def _in_folder(file: PlannedFile, mount: str, limits: walk.Limits, opened: ExitStack) -> list[Source]:
    """The regular files of a folder."""
    root = walk.open_root(mount)
    opened.callback(os.close, root)
    tree = walk.scan(root, limits)
    for refused in tree.refused:
        raise walk.RefusedError(f"a folder that holds {shown(refused.path, 128)}: {refused.why}")
    sources = []
    for each in sorted(tree.files, key=lambda file: file.path):
        descriptor = walk.open_file(root, each.path)
        opened.callback(os.close, descriptor)
        sources.append(Source(descriptor, each.size, file.path + os.fsdecode(each.path), file))
    return sources
