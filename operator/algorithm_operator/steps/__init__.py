"""What runs inside a job's Pods: stage and its gate, collect, salvage, and the store Pod's server.

What parses hostile bytes here has no network and no credentials, and sees only its own job.
"""
