"""Kubernetes quantities as exact numbers, and as people read them. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
}


def parse(text: str | int | float) -> Decimal:
    """The number that a quantity stands for (bytes, cores, pieces).

    Raises ValueError naming the text.
    """
    raw = str(text)
    number = raw.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    try:
        return Decimal(number) * _SUFFIXES[raw[len(number) :]]
    except (InvalidOperation, KeyError):
        raise ValueError(f"{raw!r} is not a Kubernetes quantity") from None


def gib(text: str | int | float | Decimal) -> str:
    """A memory quantity in GiB with one decimal, for arithmetic that people read."""
    number = text if isinstance(text, Decimal) else parse(text)
    return f"{number / Decimal(2) ** 30:.1f} GiB"


def binary(number: int | Decimal) -> str:
    """Bytes in the binary unit that suits them, with at most one decimal: "64 MiB", "1.5 GiB"."""
    amount, unit = Decimal(number), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{round(amount, 1).normalize():f} {unit}"


def same(left: object, right: object) -> bool:
    """Whether two resource maps (or anything nested in them) mean the same amounts."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, str | int | float) and isinstance(right, str | int | float):
        return parse(left) == parse(right)
    return left == right
