"""All generated pages, and the generated blocks inside written ones.

Everything is named by its path from the root of the checkout.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from agentflow.cli.reference.blocks import PAGES, fill
from agentflow.cli.reference.commands_table import commands_table
from agentflow.cli.reference.import_table import import_table
from agentflow.cli.reference.picture import picture
from agentflow.cli.reference.schemas import schemas
from agentflow.cli.reference.settings_page import settings_page
from agentflow.cli.reference.subjects_page import subject_table, subjects_page
from agentflow.engine.validation.codes import page as codes_page

FOLDER = "docs/reference"
GENERATED = (
    *("schemas", "asyncapi", "openapi.json"),
    *("settings.md", "subjects.md", "validation-codes.md"),
)
"""Only these are ours to write and to remove; people may put other pages beside them."""


def render(root: Path) -> dict[str, str]:
    """Every generated file, and every written page with its blocks made anew."""
    from agentflow.cli.reference.services import asyncapi_documents, openapi_document

    pages = {"settings.md": settings_page(), "subjects.md": subjects_page()}
    pages["validation-codes.md"] = codes_page()
    pages |= {f"schemas/{name}": pretty(schema) for name, schema in schemas().items()}
    pages |= {f"asyncapi/{name}": pretty(doc) for name, doc in asyncapi_documents().items()}
    pages["openapi.json"] = pretty(openapi_document())
    makers: dict[str, Callable[[], str]] = {
        "picture": picture,
        "subjects": subject_table,
        "commands": commands_table,
        "imports": partial(import_table, root / "pyproject.toml"),
    }
    written = {name: fill((root / name).read_text(encoding="utf-8"), makers) for name in PAGES}
    return {f"{FOLDER}/{name}": text for name, text in pages.items()} | written


def stale(wanted: dict[str, str], root: Path) -> list[str]:
    """Names of files that differ, are missing, or are there though nothing makes them."""
    found = {
        str(path.relative_to(root))
        for name in GENERATED
        for path in (root / FOLDER / name, *(root / FOLDER / name).rglob("*"))
        if path.is_file()
    }
    differing = {
        name
        for name, text in wanted.items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text
    }
    return sorted(differing | (found - wanted.keys()))


def pretty(document: Any) -> str:
    """Stable JSON: the same document gives the same bytes."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
