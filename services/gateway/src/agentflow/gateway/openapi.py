"""The OpenAPI document: FastAPI's, completed with the schemas of the bodies we read ourselves.

Committed as docs/reference/openapi.json; a test fails when it differs from the code.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from agentflow.contracts.problem import Problem
from agentflow.gateway.requests import CancelRequest, ExecuteRequest, ValidateRequest
from agentflow.gateway.views import (
    CancelView,
    ExecutionOutcome,
    HealthView,
    JobView,
    ValidationView,
)
from agentflow.storage.views import ExecutionDetail, ExecutionSummary, Page

TITLE = "AgentFlow Core"
DESCRIPTION = """Run JSON workflow specs on an event-driven fleet.

Send your API key as `X-API-Key` or as a bearer token. Every path is also served without
`/api/v1`. Errors are `application/problem+json` with a stable `code`; every response carries
`X-Request-ID`. Large values in a final state travel by reference and are put back for you."""
_REQUESTS = (ExecuteRequest, ValidateRequest, CancelRequest)
_RESPONSES = (
    Problem,
    ExecutionOutcome,
    JobView,
    ValidationView,
    CancelView,
    HealthView,
    ExecutionDetail,
    Page[ExecutionSummary],
)


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The document `app` serves; the same for the same code."""
    document = get_openapi(
        title=TITLE,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=[
            {"name": "workflows", "description": "Check and run workflows"},
            {"name": "jobs", "description": "Executions in the background"},
            {"name": "executions", "description": "What ran, node by node"},
            {"name": "health", "description": "For probes and Prometheus"},
        ],
    )
    components = document.setdefault("components", {})
    components["schemas"] = _schemas()
    components["securitySchemes"] = {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    }
    for path in document["paths"].values():
        for operation in path.values():
            if operation.get("parameters") == []:
                del operation["parameters"]
    return document


def _schemas() -> dict[str, Any]:
    wanted: list[tuple[Any, Any]] = [(model, "validation") for model in _REQUESTS]
    wanted += [(model, "serialization") for model in _RESPONSES]
    _, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    return dict(sorted(found["$defs"].items()))
