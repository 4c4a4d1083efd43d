"""The `agentflow` command and the embedded stack behind `agentflow dev`."""
