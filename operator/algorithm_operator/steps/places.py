"""Where a path of an input is for stage: a mount of a DataStore, a key of a ConfigMap, or something in an image."""

from __future__ import annotations

import os

from algorithm_operator.contract.plan import PlannedFile
from algorithm_operator.steps import walk
from algorithm_operator.steps.roots import Roots

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CURRENT = b"..data"
"""The kubelet's link to the folder that has the ConfigMap's keys: it is exchanged as a whole when they change."""


def open_place(file: PlannedFile, roots: Roots) -> int:
    """A descriptor of the file or folder that `file` names.

    :raises FileNotFoundError: there is none.
    :raises RefusedError: it is, or lies below, something else than a plain folder or file.
    :raises OSError: it may not be read.
    """
    mount = roots.at(file.mount)
    if file.store is not None:
        if why := walk.special(os.stat(mount, follow_symlinks=False).st_mode):
            raise walk.RefusedError(why)
        return os.open(mount, _READ)
    root = walk.open_root(mount)
    try:
        if file.config_map is not None:
            current = os.readlink(_CURRENT, dir_fd=root)
            return walk.open_file(root, current + b"/" + os.fsencode(file.path), links=True)
        return walk.open_entry(root, os.fsencode(file.path.strip("/")), links=True)
    except NotADirectoryError as error:
        raise FileNotFoundError from error
    finally:
        os.close(root)
