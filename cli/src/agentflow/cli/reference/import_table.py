"""Which room may import which, from the contract import-linter holds."""

import tomllib
from pathlib import Path


def import_table(pyproject: Path) -> str:
    """The layers of `[tool.importlinter]`, top down, as a Markdown table."""
    document = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    contracts = document["tool"]["importlinter"]["contracts"]
    layers = next(c for c in contracts if c["type"] == "layers")["layers"]
    rows = ["| layer | rooms | may import |", "|---|---|---|"]
    for number, layer in enumerate(layers):
        below = [room for lower in layers[number + 1 :] for room in lower.split(" | ")]
        rooms = ", ".join(f"`{room}`" for room in layer.split(" | "))
        rows.append(f"| {number + 1} | {rooms} | {', '.join(below) or 'nothing of ours'} |")
    narrowed = [f"* {contract['name']}" for contract in contracts if contract["type"] != "layers"]
    return "\n".join([*rows, "", "Narrower still:", "", *narrowed])
