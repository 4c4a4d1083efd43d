"""`.agentflow/dev.json`: how other commands find the running stack.

AGENTFLOW_URL and AGENTFLOW_API_KEY win over the file. The file is removed when the stack
stops; one that a killed stack left behind is recognised by its lock being free.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agentflow.cli.embedded.layout import HOME, Layout
from agentflow.cli.embedded.lock import is_held
from agentflow.cli.embedded.private_files import write_private
from agentflow.cli.errors import Unreachable

HINT = "Start one with `agentflow dev`, name one with AGENTFLOW_URL, or use `run --local`."


class DevFile(BaseModel):
    """What `agentflow dev` writes down about itself."""

    model_config = ConfigDict(frozen=True)

    gateway_url: str
    nats_url: str
    database_url: str
    redis_url: str | None = None
    api_key: str
    mode: str = Field(description="`one process` or `split`")
    pid: int = Field(description="of the command itself")
    pids: dict[str, list[int]] = Field(description="process ids by service")

    def write(self, path: Path) -> None:
        """Write it whole or not at all, readable by its owner only: it holds a key."""
        write_private(path, self.model_dump_json(indent=2) + "\n")


@dataclass(frozen=True)
class Target:
    """The stack a command talks to."""

    url: str
    api_key: str | None


def find_dev_file(start: Path | None = None) -> DevFile | None:
    """The dev.json of the nearest running stack: here or in a directory above."""
    directory = (start or Path.cwd()).resolve()
    for candidate in (directory, *directory.parents):
        dev = _read(Layout(candidate / HOME))
        if dev is not None:
            return dev
    return None


def find_target(start: Path | None = None) -> Target:
    """The stack to talk to; raises Unreachable with what to do when there is none."""
    dev = find_dev_file(start)
    url = os.environ.get("AGENTFLOW_URL") or (dev.gateway_url if dev else None)
    if url is None:
        raise Unreachable("No running stack found here.", hint=HINT)
    key = os.environ.get("AGENTFLOW_API_KEY")
    if key is None and dev is not None and url.rstrip("/") == dev.gateway_url:
        key = dev.api_key
    return Target(url.rstrip("/"), key)


def _read(layout: Layout) -> DevFile | None:
    if not is_held(layout.lock):
        return None
    try:
        data: Any = json.loads(layout.dev_file.read_text())
        return DevFile.model_validate(data)
    except (OSError, ValueError):
        return None
