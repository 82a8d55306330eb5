"""The hostile corpus: every row of the lists of attacks that concerns files, made by code."""

from tests.hostile.corpus import (
    archives,
    dicoms,
    files,
    json_values,
    metaimages,
    stores,
    tiffs,
    trees,
    volumes,
)
from tests.hostile.corpus.entries import Entry, Input, Output, Row

OUTPUTS: tuple[Output, ...] = (
    *trees.ENTRIES,
    *metaimages.ENTRIES,
    *tiffs.ENTRIES,
    *json_values.ENTRIES,
    *files.ENTRIES,
)
INPUTS: tuple[Input, ...] = (*stores.ENTRIES, *volumes.ENTRIES, *dicoms.ENTRIES, *archives.ENTRIES)

__all__ = ["INPUTS", "OUTPUTS", "Entry", "Input", "Output", "Row"]
