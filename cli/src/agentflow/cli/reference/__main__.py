"""`python -m agentflow.cli.reference [--check]`: write it, or fail if it is stale."""

import argparse
import os
import sys
from pathlib import Path

from agentflow.cli.reference.settings_page import variables
from agentflow.cli.reference.tree import render, stale


def main() -> int:
    """Exit code 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(description="Write docs/reference and the generated blocks.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    parser.add_argument("--root", type=Path, default=Path())
    arguments = parser.parse_args()
    for name in variables():
        os.environ.pop(name, None)  # the pages show defaults, wherever they are made
    wanted = render(arguments.root)
    differing = stale(wanted, arguments.root)
    if arguments.check:
        for name in differing:
            print(f"{arguments.root / name} is stale: run `make reference`", file=sys.stderr)
        return 1 if differing else 0
    for name in differing:
        path = arguments.root / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
    print(f"{len(wanted)} files, {len(differing)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
