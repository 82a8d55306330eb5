"""Talking to the API server and registries: client, store and watches, work queue, lease."""
