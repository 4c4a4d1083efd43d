"""OpenAPI, AsyncAPI and the vendored pages: complete, and what is committed is what is served."""

import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from agentflow.bus.settings import BusSettings
from agentflow.contracts.events import EVENT_TYPES
from agentflow.gateway.app import create_app
from agentflow.gateway.asyncapi import asyncapi_document
from agentflow.gateway.settings import GatewaySettings
from agentflow.storage.settings import StorageSettings

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
STATIC = files("agentflow.gateway").joinpath("static")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def openapi() -> Json:
    app = create_app(
        GatewaySettings(), BusSettings(), StorageSettings(database_url="sqlite:///:memory:")
    )
    return app.openapi()


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_committed_openapi_is_what_the_code_says(openapi: Json) -> None:
    committed = json.loads((REFERENCE / "openapi.json").read_text())
    assert committed == openapi, "run: make reference"


def test_the_committed_asyncapi_is_what_the_code_says() -> None:
    committed = json.loads((REFERENCE / "asyncapi" / "gateway.json").read_text())
    assert committed == asyncapi_document("agentflow"), "run: make reference"


def test_every_operation_is_described_with_examples_and_every_error(openapi: Json) -> None:
    for name, operation in operations(openapi):
        assert operation["summary"], name
        assert operation["description"], name
        assert "500" in operation["responses"], name
        if operation["security"]:
            assert {"401", "403", "503"} <= set(operation["responses"]), name
        bodies = [("request", operation["requestBody"])] if "requestBody" in operation else []
        bodies += list(operation["responses"].items())
        for status, body in bodies:
            assert body.get("description") or status == "request", (name, status)
            for media_type, content in body["content"].items():
                assert content.get("example"), (name, status, media_type)
                if status != "request" and int(status) >= 400 and "health" not in name:
                    assert media_type == "application/problem+json" or "ready" in name
        assert "HTTPValidationError" not in str(operation), name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


def test_every_example_fits_its_schema(openapi: Json) -> None:
    """Negative control inside: an example with a wrong type does not."""
    checked = 0
    for name, operation in operations(openapi):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for body in [*bodies, *operation["responses"].values()]:
            for media_type, content in body["content"].items():
                if not media_type.endswith("json"):
                    continue
                schema = {**content["schema"], "components": openapi["components"]}
                validator = jsonschema_rs.Draft202012Validator(schema)
                assert validator.is_valid(content["example"]), (
                    name,
                    [e.message for e in validator.iter_errors(content["example"])],
                )
                assert not validator.is_valid(7)
                checked += 1
    assert checked > 50


def test_only_the_prefixed_paths_are_listed(openapi: Json) -> None:
    assert all(path.startswith("/api/v1/") for path in openapi["paths"])


def test_every_reference_resolves(openapi: Json) -> None:
    for document in (openapi, asyncapi_document("agentflow")):
        for reference in references(document):
            found: Any = document
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]


def test_asyncapi_names_every_event_with_its_subject() -> None:
    document = asyncapi_document("mine")
    for event in EVENT_TYPES:
        assert document["channels"][event.__name__]["address"] == f"mine.{event.SUBJECT}"
    execute = document["channels"]["ExecuteWorkflow"]
    assert execute["address"] == "mine.commands.{tenant}.execute"
    assert set(execute["parameters"]) == {"tenant"}


def test_the_vendored_bundles_are_what_their_checksums_say() -> None:
    lines = STATIC.joinpath("CHECKSUMS.sha256").read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256(STATIC.joinpath(name).read_bytes()).hexdigest() == digest, name


def test_the_pages_load_nothing_from_elsewhere_and_run_no_inline_script() -> None:
    for name in ("docs.html", "redoc.html"):
        page = STATIC.joinpath(name).read_text()
        assert "http" not in page
        assert "<script>" not in page
        assert "style=" not in page


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str) and value["$ref"].startswith("#/"):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
