"""The cluster as the controller sees it: API client, object store, work queue, lease, and image look-ups.

`resources` names the kinds, `errors` what an API server or registry may answer, `client` does the requests.
"""
