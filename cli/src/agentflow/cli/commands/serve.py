"""`agentflow serve <service>`: one service in this process, as in production."""

import os
from typing import Annotated

import typer

from agentflow.cli.embedded.services import SERVICES, load


def serve(
    service: Annotated[str, typer.Argument(help=" | ".join(SERVICES))],
    types: Annotated[
        str | None, typer.Option(help="node-workers: pools to serve, e.g. llm,db")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="node-workers: nodes run at once, per pool")
    ] = None,
) -> None:
    """Run one service until SIGTERM; it drains and exits 0.

    Where it connects is said by AGENTFLOW_NATS_URL, AGENTFLOW_DATABASE_URL and
    AGENTFLOW_REDIS_URL; see docs/reference/settings.md for the rest.
    """
    from agentflow.cli.errors import InvalidInput

    if service not in SERVICES:
        raise InvalidInput(f"There is no service {service!r}.", hint=f"One of: {_listed()}.")
    if service != "node-workers" and (types or slots):
        raise InvalidInput(f"{service} takes neither --types nor --slots.")
    # The service reads its settings once, from the environment, like everywhere else.
    if types:
        os.environ["AGENTFLOW_WORKERS_TYPES"] = types
    if slots:
        os.environ["AGENTFLOW_WORKERS_SLOTS"] = str(slots)
    load(service).main()


def _listed() -> str:
    return ", ".join(SERVICES)
