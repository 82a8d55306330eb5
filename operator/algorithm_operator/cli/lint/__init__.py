"""`kubectl algorithm lint`: what is wrong with manifests, without a cluster."""
