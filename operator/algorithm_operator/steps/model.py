"""The model: a folder or a .tar.gz, of a DataStore or of an image, laid out at /opt/ml/model.

Its sha256 is that of the .tar.gz itself; of a folder it is that of its list of files, a line `<sha256>  <path>` each,
sorted by path, as sha256sum prints them (a symbolic link counts by the sha256 of where it says that it leads).
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import ExitStack, closing

from algorithm_operator.api.reasons import Reason, sentence
from algorithm_operator.api.text import quoted, shown
from algorithm_operator.contract.exits import STAGE_BAD_INPUT
from algorithm_operator.contract.manifest import ManifestModel
from algorithm_operator.contract.paths import check_store_path
from algorithm_operator.contract.plan import PlannedModel
from algorithm_operator.steps import archive, walk
from algorithm_operator.steps.copying import BLOCK, listed
from algorithm_operator.steps.failures import StepError, os_message
from algorithm_operator.steps.roots import Roots
from algorithm_operator.steps.settings import StepSettings
from algorithm_operator.steps.tree import Bounds, Tree, TreeError

ARCHIVES = (".tar.gz", ".tgz")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def unpack(planned: PlannedModel, settings: StepSettings, roots: Roots) -> ManifestModel:
    """Lay the model out, read-only: files 0444 (0555 where their owner may execute them), folders 0555.

    :raises StepError: it is not there, holds what it may not, or is another one than was asked for.
    :raises OSError: the store or the node's disk failed.
    """
    path = planned.path.strip("/")
    bounds = Bounds(settings.max_entries, settings.max_depth, settings.max_model_bytes)
    with ExitStack() as opened:
        source = _open(planned, path, roots, opened)
        tree = opened.enter_context(closing(Tree(roots.model, bounds)))
        try:
            if stat.S_ISDIR(os.fstat(source).st_mode):
                sha256 = _copy_folder(source, tree, settings)
            else:
                sha256 = archive.extract(source, tree)
            if not tree.files:
                raise TreeError("it holds no files")
            tree.finish()
        except (archive.ArchiveError, TreeError, walk.RefusedError) as error:
            is_folder = stat.S_ISDIR(os.fstat(source).st_mode)
            what = "The folder could not be copied" if is_folder else "Tarfile could not be extracted"
            raise _invalid(f"{what}: {error} ({_where(planned, path)}).") from error
    if planned.sha256 is not None and sha256 != planned.sha256:
        why = f"the sha256 of {_where(planned, path)} is {sha256}, but spec.model.sha256 asks for {planned.sha256}."
        raise _invalid(why)
    return ManifestModel(source=_source(planned, path), bytes=tree.bytes, files=tree.files, sha256=sha256)


def _open(planned: PlannedModel, path: str, roots: Roots, opened: ExitStack) -> int:
    """A descriptor of the file or folder that holds the model."""
    where = _where(planned, path)
    if path and (why := check_store_path(path)):
        raise _invalid(f"the path {quoted(path)} is not allowed: {why.partition(';')[0].rstrip('.')}.")
    try:
        source = _open_mount(planned, path, roots)
        opened.callback(os.close, source)
        is_folder = stat.S_ISDIR(os.fstat(source).st_mode)
        if is_folder and not os.listdir(source):
            raise FileNotFoundError  # the kubelet makes an empty folder of what does not exist
    except FileNotFoundError:
        message = sentence(Reason.MODEL_NOT_FOUND, path=quoted(path or "/"), where=_holder(planned))
        raise StepError(STAGE_BAD_INPUT, Reason.MODEL_NOT_FOUND, message) from None
    except PermissionError as error:
        raise _invalid(f"{where} may not be read by uid {os.getuid()} ({os_message(error)}).") from error
    except walk.RefusedError as error:
        raise _invalid(f"{where} is, or lies below, {error}; name a folder or a .tar.gz.") from error
    if not is_folder and not path.lower().endswith(ARCHIVES):
        raise _invalid(f"{where} is neither a folder nor a .tar.gz.")
    return source


def _open_mount(planned: PlannedModel, path: str, roots: Roots) -> int:
    """Of a store exactly the file or folder is mounted; of an image all of it, and the path is walked."""
    mount = roots.at(planned.mount)
    if planned.store is not None:
        if why := walk.special(os.stat(mount, follow_symlinks=False).st_mode):
            raise walk.RefusedError(why)
        return os.open(mount, _READ)
    root = walk.open_root(mount)
    if not path:
        return root
    try:
        return walk.open_entry(root, os.fsencode(path), links=True)
    except NotADirectoryError as error:
        raise FileNotFoundError from error
    finally:
        os.close(root)


def _copy_folder(root: int, tree: Tree, settings: StepSettings) -> str:
    """Copy all that is below `root`; the sha256 of the list."""
    limits = walk.Limits(settings.max_entries, settings.max_depth, settings.max_model_bytes, links=True)
    found = walk.scan(root, limits)
    for refused in found.refused:
        raise walk.RefusedError(f"{quoted(refused.path or b'/', 128)} is refused: {refused.why}")
    for folder in sorted(found.folders):
        tree.folder(os.fsdecode(folder))
    digests: dict[bytes, str] = {}
    for file in found.files:
        digests[file.path] = _copy(root, file.path, tree)
    for path in found.links:
        target = walk.read_link(root, path)
        tree.link(os.fsdecode(path), os.fsdecode(target))
        digests[path] = hashlib.sha256(target).hexdigest()
    return listed(digests)


def _copy(root: int, path: bytes, tree: Tree) -> str:
    digest = hashlib.sha256()
    try:
        source = walk.open_file(root, path, links=True)
    except PermissionError as error:
        why = f"{quoted(path)} may not be read by uid {os.getuid()} ({os_message(error)})"
        raise walk.RefusedError(why) from error
    try:
        executable = bool(os.fstat(source).st_mode & stat.S_IXUSR)
        with tree.file(os.fsdecode(path), executable=executable) as target:
            while data := os.read(source, BLOCK):
                digest.update(data)
                tree.write(target, data)
    finally:
        os.close(source)
    return digest.hexdigest()


def _invalid(why: str) -> StepError:
    return StepError(STAGE_BAD_INPUT, Reason.MODEL_INVALID, sentence(Reason.MODEL_INVALID, why=why))


def _holder(planned: PlannedModel) -> str:
    if planned.store is not None:
        return f"DataStore {shown(planned.store)}"
    return f"image {shown(planned.image or '', 700)}"


def _where(planned: PlannedModel, path: str) -> str:
    return f"{quoted(path or '/', 512)} of {_holder(planned)}"


def _source(planned: PlannedModel, path: str) -> str:
    holder = f"store:{planned.store}" if planned.store is not None else f"image:{planned.image}"
    return f"{holder}/{path}" if path else holder
