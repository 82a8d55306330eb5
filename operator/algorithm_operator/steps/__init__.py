"""What runs inside a job's Pods: stage, gate, collect, salvage, the store server. Sealed; parses hostile bytes."""
