"""The common sockets: a slug of these needs no definition of its own. As the wire has it, by slug."""

from __future__ import annotations

from typing import Any

CATALOGUE: dict[str, dict[str, Any]] = {
    "results-json-file": {
        "title": "Results JSON File",
        "kind": "Anything",
        "relativePath": "results.json",
    },
    "generic-medical-image": {
        "title": "Generic Medical Image",
        "kind": "Image",
        "relativePath": "images/generic-medical-image",
    },
}
