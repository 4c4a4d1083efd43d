"""AsyncAPI 3 of each service on the bus and OpenAPI of the gateway, from the apps themselves.

The apps are built, not started: nothing connects.
"""

import json
from typing import Any

from agentflow.cli.embedded.services import SERVICES, load


def asyncapi_documents() -> dict[str, Any]:
    """File name → document, one per service that is a FastStream app."""
    documents = {}
    for service in sorted(SERVICES):
        if service == "gateway":
            continue  # it answers REST; what it publishes is in the schemas
        app = load(service).create_app()
        specification = app.schema.to_specification()
        documents[f"{service}.json"] = json.loads(specification.to_json())
    return documents


def openapi_document() -> Any:
    """The gateway's REST."""
    return load("gateway").create_app().openapi()
