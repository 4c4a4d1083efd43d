"""AsyncAPI 3 of each service on the bus and OpenAPI of the gateway, from the apps themselves.

The apps are built, not started: nothing connects.
"""

import json
from typing import Any

from agentflow.cli.embedded.services import SERVICES, load
from agentflow.contracts.message import ROOT


def asyncapi_documents() -> dict[str, Any]:
    """File name → document: each FastStream app's own, and the bus as clients see it."""
    from agentflow.gateway.asyncapi import asyncapi_document

    documents = {"gateway.json": asyncapi_document(ROOT)}
    for service in sorted(SERVICES):
        if service == "gateway":
            continue  # it serves the clients' document above at /asyncapi.json
        app = load(service).create_app()
        specification = app.schema.to_specification()
        documents[f"{service}.json"] = json.loads(specification.to_json())
    return documents


def openapi_document() -> Any:
    """The gateway's REST."""
    return load("gateway").create_app().openapi()
