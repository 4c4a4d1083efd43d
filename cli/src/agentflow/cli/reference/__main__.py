"""`python -m agentflow.cli.reference [--check]`: write docs/reference, or fail if it is stale."""

import argparse
import sys
from pathlib import Path

from agentflow.cli.reference.tree import render, stale


def main() -> int:
    """Exit code 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    parser.add_argument("--to", type=Path, default=Path("docs/reference"))
    arguments = parser.parse_args()
    wanted = render()
    differing = stale(wanted, arguments.to)
    if arguments.check:
        for name in differing:
            print(f"{arguments.to / name} is stale: run `make reference`", file=sys.stderr)
        return 1 if differing else 0
    for name in differing:
        path = arguments.to / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
    print(f"{len(wanted)} files in {arguments.to}, {len(differing)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
