"""What an image looks like: geometry, and the values as a digest that does not depend on how they are stored."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import SimpleITK

sitk: Any = SimpleITK


def look(image: Any) -> dict[str, Any]:
    """Of a `SimpleITK.Image`: JSON, numbers rounded to 6 digits after the point."""
    values = sitk.GetArrayFromImage(image)
    return {
        "size": list(image.GetSize()),
        "spacing": _rounded(image.GetSpacing()),
        "origin": _rounded(image.GetOrigin()),
        "direction": _rounded(image.GetDirection()),
        "type": values.dtype.name,
        "components": image.GetNumberOfComponentsPerPixel(),
        "low": _float(values.min()),
        "high": _float(values.max()),
        "values": digest(values),
    }


def digest(values: Any) -> str:
    """Of the values as numbers in their order, whatever type they have."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()[:32]


def _rounded(numbers: Any) -> list[float]:
    return [round(float(number), 6) + 0.0 for number in numbers]


def _float(number: Any) -> float | None:
    return float(number) if np.isfinite(number) else None
