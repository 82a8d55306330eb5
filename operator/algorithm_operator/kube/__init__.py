"""The cluster as controller and gateway see it: API client, object store, work queue, lease, and image look-ups.

`resources` names the kinds, `errors` what an API server or registry may answer, `client` does the requests;
`environment` and `logs` are how a process in the cluster is told its settings, and how it tells what happened.
"""
