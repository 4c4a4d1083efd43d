"""All generated pages: file name under docs/reference → text. Pure but for reading `stale`."""

import json
from pathlib import Path
from typing import Any

from agentflow.cli.reference.schemas import schemas
from agentflow.cli.reference.settings_page import settings_page
from agentflow.cli.reference.subjects_page import subjects_page

GENERATED = ("schemas", "asyncapi", "settings.md", "subjects.md", "openapi.json")
"""Only these are ours to write and to remove; people may put other pages beside them."""


def render() -> dict[str, str]:
    """Every generated file."""
    from agentflow.cli.reference.services import asyncapi_documents, openapi_document

    pages = {"settings.md": settings_page(), "subjects.md": subjects_page()}
    pages |= {f"schemas/{name}": pretty(schema) for name, schema in schemas().items()}
    pages |= {f"asyncapi/{name}": pretty(doc) for name, doc in asyncapi_documents().items()}
    pages["openapi.json"] = pretty(openapi_document())
    return pages


def stale(wanted: dict[str, str], directory: Path) -> list[str]:
    """Names of files that differ, are missing, or are there though nothing makes them."""
    found = {
        str(path.relative_to(directory))
        for name in GENERATED
        for path in (directory / name, *(directory / name).rglob("*"))
        if path.is_file()
    }
    differing = {
        name
        for name, text in wanted.items()
        if name not in found or (directory / name).read_text(encoding="utf-8") != text
    }
    return sorted(differing | (found - wanted.keys()))


def pretty(document: Any) -> str:
    """Stable JSON: the same document gives the same bytes."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
