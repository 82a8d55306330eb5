"""The decisions: Pods and policies to build, facts, verdict, plan. Pure: no I/O, no clock."""
