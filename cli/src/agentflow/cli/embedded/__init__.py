"""The whole of AgentFlow without Docker: real servers and all six services from one command."""
