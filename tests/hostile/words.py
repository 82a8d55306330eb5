"""What may not be in a line that is shown to people."""

from __future__ import annotations

import unicodedata
from typing import Final

UNSAFE: Final = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Control, format (bidi, too), surrogate, private, unassigned characters; separators of lines and paragraphs."""


def unsafe(text: str) -> list[str]:
    """The characters that a terminal, a log or a page may take for something else than text."""
    return [char for char in text if unicodedata.category(char) in UNSAFE]
