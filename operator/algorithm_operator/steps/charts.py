"""Charts: a Vega-Lite specification as a PNG. For the sandbox alone, where it has neither network nor time without end.

The specification is the algorithm's and may hold code (Vega's expressions); it runs in an engine of its own, in the
sandbox's child, and what comes out is a picture.
"""

from __future__ import annotations

import json
from typing import Any

DATA_BYTES = 768 * 1024**2
"""Writable memory that the engine may have; it maps half of it before it does anything, and touches a tenth."""
RESIDENT_BYTES = 192 * 1024**2
"""What it may use of that; 20,000 points take half of it."""
SCALE = 2.0
_VEGA_LITE = "5.21"


class ChartError(ValueError):
    """The specification cannot be drawn; the message is safe to show."""


def png(data: bytes) -> bytes:
    """The chart that a file of JSON specifies, at twice its size in pixels.

    :raises ChartError: it is no Vega-Lite, or asks for data from elsewhere.
    """
    import vl_convert

    specification = json.loads(data)
    if not isinstance(specification, dict):
        raise ChartError("it is no object")
    if loads(specification):
        raise ChartError("it takes data from a URL; a chart holds its own data (data.values)")
    try:
        return vl_convert.vegalite_to_png(
            specification, vl_version=_VEGA_LITE, scale=SCALE, allowed_base_urls=[]
        )
    except ValueError as error:
        raise ChartError("it is no Vega-Lite specification that can be drawn") from error


def loads(specification: Any) -> bool:
    """Whether anything in it has a URL: data, pictures or links."""
    stack = [specification]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            if "url" in one:
                return True
            # The rows of the data may have such a column.
            stack += [value for key, value in one.items() if key not in ("values", "datasets")]
        elif isinstance(one, list):
            stack += one
    return False
