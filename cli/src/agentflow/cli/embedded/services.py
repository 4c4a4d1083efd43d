"""The six services: their names, where their code is, and in which order they start.

Listeners before producers: what history and audit should hear is not said before they
listen, and the gateway opens its doors last.
"""

import importlib
from typing import Any

SERVICES = ("history", "audit", "validator", "node-workers", "executor", "gateway")


def module_of(service: str) -> str:
    """The module of a service's app: `node-workers` lives in `agentflow.node_workers.app`."""
    return f"agentflow.{service.replace('-', '_')}.app"


def load(service: str) -> Any:
    """Import a service's app module; it has `create_app()` and `main()`."""
    return importlib.import_module(module_of(service))


def instances(executors: int, workers: int) -> list[tuple[str, str]]:
    """(instance name, service) in start order; the second executor is `executor-2`."""
    counts = {"executor": executors, "node-workers": workers}
    return [
        (service if number == 1 else f"{service}-{number}", service)
        for service in SERVICES
        for number in range(1, counts.get(service, 1) + 1)
    ]
