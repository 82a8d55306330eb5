"""Hostile outputs meet the real collector, as a process of its own with its memory limited."""

from tests.unit.steps.conftest import attempt

__all__ = ["attempt"]
