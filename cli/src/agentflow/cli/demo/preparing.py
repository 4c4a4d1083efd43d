"""Runs the preparation scripts and says what the nodes' environment must hold."""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from agentflow.cli.demo.manifest import DATA, Manifest, Preparation
from agentflow.cli.errors import CliError

TIMEOUT_SECONDS = 60.0
SECRETS = "AGENTFLOW_SECRETS_DEFAULT"


async def prepare(manifest: Manifest, names: Iterable[str], data: Path) -> dict[str, str]:
    """Make the data of `names` in the folder `data`; returns variables for the stack.

    Sources name their database by variable (`connection_string_env`), and only names the
    operator lists may be used: that list is made here.
    """
    items = manifest.preparations(names)
    await asyncio.gather(*(_run(item, manifest.folder, data) for item in items))
    variables = {key: _fill(text, data) for item in items for key, text in item.env.items()}
    if not variables:
        return {}
    return {
        **variables,
        SECRETS: ",".join(sorted(variables)),
        "AGENTFLOW_WORKERS_SQLITE_DIRECTORIES": str(data),
    }


async def _run(item: Preparation, folder: Path, data: Path) -> None:
    script, *arguments = item.run
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(folder / script),
        *(_fill(argument, data) for argument in arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), TIMEOUT_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CliError(f"Preparing {item.name} took longer than {TIMEOUT_SECONDS:g} s.") from None
    if process.returncode != 0:
        raise CliError(f"Preparing {item.name} failed:\n{said.decode(errors='replace')[-2000:]}")


def _fill(text: str, data: Path) -> str:
    return text.replace(DATA, str(data))
