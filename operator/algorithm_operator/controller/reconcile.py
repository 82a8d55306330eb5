"""One step for one object: the entry that the workers call. Each kind has its own module."""

from __future__ import annotations

from algorithm_operator.controller.algorithms import reconcile_algorithm
from algorithm_operator.controller.context import Context, Key
from algorithm_operator.controller.imports import reconcile_import
from algorithm_operator.controller.jobs import reconcile_job
from algorithm_operator.controller.stores import reconcile_store


async def reconcile(key: Key, context: Context) -> float | None:
    """Bring the object of `key` one step on; returns the seconds until the next look, None: when something changes."""
    match key.kind:
        case "AlgorithmJob":
            return await reconcile_job(key, context)
        case "Algorithm":
            return await reconcile_algorithm(key, context)
        case "DataStore":
            return await reconcile_store(key, context)
        case "ImageImport":
            return await reconcile_import(key, context)
