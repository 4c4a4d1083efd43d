"""The documentation, offline: pages and bundles come with the package, nothing from elsewhere.

The Content-Security-Policy lets the pages load from here alone and run no inline script.
"""

from functools import lru_cache
from importlib.resources import files

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agentflow.gateway.asyncapi import asyncapi_document
from agentflow.gateway.edge import API

# Redoc's styles are rules added to an empty <style> element: the hash is that of no text.
_EMPTY = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {_EMPTY}",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_PAGE_HEADERS = {"Content-Security-Policy": _POLICY, "X-Frame-Options": "DENY"}
_ASSET_HEADERS = {"Cache-Control": "public, max-age=3600"}
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
    "docs.js": "text/javascript",
    "redoc.js": "text/javascript",
}


def add_routes(app: FastAPI) -> None:
    """Serve /docs, /redoc, /openapi.json and /asyncapi.json."""
    for path, endpoint in (
        ("/docs", swagger),
        ("/redoc", redoc),
        ("/docs/assets/{name}", asset),
        ("/openapi.json", openapi),
        ("/asyncapi.json", asyncapi),
    ):
        app.add_api_route(API + path, endpoint, methods=["GET"], include_in_schema=False)


async def swagger() -> Response:
    """Swagger UI."""
    return Response(_static("docs.html"), media_type="text/html", headers=_PAGE_HEADERS)


async def redoc() -> Response:
    """ReDoc."""
    return Response(_static("redoc.html"), media_type="text/html", headers=_PAGE_HEADERS)


async def asset(name: str) -> Response:
    """A script or style of the pages."""
    media_type = _ASSETS.get(name)
    if media_type is None:
        raise HTTPException(404)
    return Response(_static(name), media_type=media_type, headers=_ASSET_HEADERS)


async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    state = request.app.state
    if not hasattr(state, "openapi_json"):
        state.openapi_json = orjson.dumps(request.app.openapi())
    return Response(state.openapi_json, media_type="application/json")


async def asyncapi(request: Request) -> Response:
    """The AsyncAPI 3 document of the bus."""
    state = request.app.state
    if not hasattr(state, "asyncapi_json"):
        state.asyncapi_json = orjson.dumps(asyncapi_document(state.gateway.bus.prefix))
    return Response(state.asyncapi_json, media_type="application/json")


@lru_cache(maxsize=16)
def _static(name: str) -> bytes:
    return files("agentflow.gateway").joinpath("static", name).read_bytes()
