"""The process: kopf wiring, reconcile, settings, canary, metrics."""
