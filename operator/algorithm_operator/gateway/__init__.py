"""The REST API that Grand Challenge's Python client `gcapi` speaks, for the Algorithms and AlgorithmJobs of a cluster.

    https://HOST/NAMESPACE/api/v1/…  one module a resource: jobs, uploads, images and so on
    https://HOST/NAMESPACE/files/…   bytes of images, inputs and outputs, streamed from the store Pod (files.py)

What a request passes: server.py (connections, TLS) → app.py with envelope.py (log) and bounds.py (huge and slow bodies)
→ authentication.py (who asks) → a resource's module, which asks authorization.py (what may they do) → kube/client.py
(Algorithms, jobs, imports), database/ (uploads, images, archives), storage.py (bytes). Jobs live in the cluster alone.
The gateway has network and credentials, so it streams bytes and never decodes them; it reads the run records of jobs
that are gone (records.py), which the sealed collector wrote, of bounded size.
"""
