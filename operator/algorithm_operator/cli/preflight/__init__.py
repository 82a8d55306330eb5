"""`kubectl algorithm preflight`: what of a cluster keeps jobs from running, or from being kept apart.

gather.py looks (and only looks), probe.py makes two short-lived Pods; what they return is `facts.Facts`. The other
modules judge it, and are pure.
"""
