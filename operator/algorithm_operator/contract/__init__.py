"""Grand Challenge's contract, and the contract between the operator and the steps in a job's Pods. Pure."""
