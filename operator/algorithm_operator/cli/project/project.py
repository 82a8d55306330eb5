"""The files of a starter project, by path. Pure: templates and sockets in, bytes out.

Names are data: slugs and the project's name have passed their patterns, and templates write them by `python`, `yaml`
and `shell`, which quote for where they stand.
"""

from __future__ import annotations

import json
import shlex
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from algorithm_operator.api.interface import Interface, Socket
from algorithm_operator.cli.project import samples
from algorithm_operator.contract.kinds import KINDS, SuperKind
from algorithm_operator.contract.sockets import relative_path_of, title_of

_TEMPLATES = "templates"
_EXECUTABLE = (".sh",)


def files(name: str, interface: Interface, *, gpu: bool) -> dict[str, bytes]:
    """The project `name` with that interface."""
    environment = Environment(
        loader=PackageLoader("algorithm_operator.cli.project", _TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML is written; the filters quote for each language
    )
    environment.filters |= {
        "python": _python,
        "yaml": json.dumps,
        "shell": shlex.quote,
        "path": relative_path_of,
        "title": title_of,
        "example": samples.value,
        "image_file": samples.image_file,
        "segments": lambda socket: [each.wire() for each in socket.overlay_segments],
    }
    environment.tests |= {"image": samples.is_image, "inline": _inline}
    facts: dict[str, Any] = {
        "name": name,
        "inputs": interface.inputs,
        "outputs": interface.outputs,
        "gpu": gpu,
        "slugs": tuple(sorted(socket.slug for socket in interface.inputs)),
        "images": [socket for socket in interface.inputs if samples.is_image(socket)],
        "stored": [socket for socket in interface.inputs if not _inline(socket)],
        "needs_store": not all(map(_inline, [*interface.inputs, *interface.outputs])),
    }
    made = {
        template.removesuffix(".jinja"): environment.get_template(template).render(facts).encode()
        for template in environment.list_templates(filter_func=lambda path: path.endswith(".jinja"))
    }
    folder = resources.files("algorithm_operator.cli.project") / _TEMPLATES
    made |= {each: (folder / each).read_bytes() for each in ("requirements.in", "requirements.txt")}
    made |= {f"test/input/{interface.name}/{path}": data for path, data in samples.inputs(interface).items()}
    made |= {
        f"test/expected/{interface.name}/{path}": data for path, data in samples.outputs(interface).items()
    }
    return made


def is_executable(path: str) -> bool:
    """Whether people start it."""
    return path.endswith(_EXECUTABLE)


def _python(value: Any) -> str:
    """As Python source."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _inline(socket: Socket) -> bool:
    """Whether a job carries its value itself, and its status shows it."""
    return KINDS[socket.kind].super_kind is SuperKind.VALUE
