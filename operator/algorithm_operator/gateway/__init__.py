"""The REST API that Grand Challenge's Python client `gcapi` speaks, for the Algorithms and AlgorithmJobs of a cluster.

    https://HOST/NAMESPACE/api/v1/…  one module a resource: jobs, uploads, images and so on
    https://HOST/NAMESPACE/files/…   bytes of images, inputs and outputs, streamed from the store Pod (files.py)

What a request passes: server.py (TLS, slow and huge requests) → app.py → identity.py (who asks, what may they do) → a
resource's module → cluster.py (Algorithms, jobs, imports), database/ (uploads, images, archives), storage.py (bytes).
Jobs live in the cluster alone. The gateway streams bytes and never decodes them: it has network and credentials.
"""
