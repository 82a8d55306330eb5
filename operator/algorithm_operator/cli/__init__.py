"""kubectl-algorithm: the plugin that people use."""
