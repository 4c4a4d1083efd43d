"""The table of commands in README, from the command tree itself."""

import typer.main
from typer.core import TyperGroup


def commands_table() -> str:
    """One Markdown row per command, groups opened."""
    from agentflow.cli.main import build_app

    root = typer.main.get_group(build_app())
    rows = [f"| `agentflow {name}` | {text} |" for name, text in _walk(root)]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def _walk(group: TyperGroup, before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, command in group.commands.items():
        full = f"{before}{name}"
        if isinstance(command, TyperGroup):
            found += _walk(command, f"{full} ")
        else:
            summary = (command.help or "").strip().split("\n\n")[0]
            found.append((full, " ".join(summary.split())))
    return found
