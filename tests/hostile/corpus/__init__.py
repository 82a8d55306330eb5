"""The hostile corpus: every row of the lists of attacks that concerns files, made by code."""

from tests.hostile.corpus import json_values, metaimages, stores, trees
from tests.hostile.corpus.entries import Entry, Input, Output, Row

OUTPUTS: tuple[Output, ...] = (*trees.ENTRIES, *metaimages.ENTRIES, *json_values.ENTRIES)
INPUTS: tuple[Input, ...] = (*stores.ENTRIES,)

__all__ = ["INPUTS", "OUTPUTS", "Entry", "Input", "Output", "Row"]
