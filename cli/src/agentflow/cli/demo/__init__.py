"""`agentflow demo`: the examples of this repository, run for real, shown as tables."""
