"""The life of `agentflow dev`: start, say where everything is, wait, stop cleanly.

SIGINT and SIGTERM stop it at any moment, also half-way up; it then leaves nothing running
and exits 0. A second signal kills. A part that dies is said loudly.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agentflow.cli.demo.manifest import find_examples
from agentflow.cli.dev_file import DevFile
from agentflow.cli.embedded.child import Child
from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.stack import Stack, describe, make_stack
from agentflow.cli.errors import InvalidInput
from agentflow.cli.output import Output
from agentflow.telemetry.logging import configure_logging

SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve_stack(options: StackOptions, *, as_json: bool = False) -> int:
    """Run a stack until a signal; returns the exit code."""
    output = Output()
    async with stopping_on_signals(output) as stop:
        running = asyncio.create_task(_serve(options, output, stop, as_json=as_json))
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            output.say("Stopping …")
            running.cancel()
        asked.cancel()
        try:
            await running
        except asyncio.CancelledError:
            output.say("Stopped.")
    return 0


def quiet_logs() -> None:
    """Services of this process write to our stderr: only warnings, unless asked for more."""
    level = os.environ.get("AGENTFLOW_LOG_LEVEL", "WARNING").upper()
    configure_logging("agentflow", level, json=False)


@asynccontextmanager
async def stopping_on_signals(output: Output) -> AsyncIterator[asyncio.Event]:
    """An event that the first signal sets; the second ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            output.say("Killed while stopping; the next start cleans up.", style="bold red")
            os.kill(os.getpid(), signal.SIGKILL)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _serve(
    options: StackOptions, output: Output, stop: asyncio.Event, *, as_json: bool
) -> None:
    quiet_logs()
    stack = make_stack(options)
    async with stack:
        dev = describe(stack)
        layout = stack.ground.layout
        dev.write(layout.dev_file)
        watchers = [asyncio.create_task(_watch(child, output, stop)) for child in children(stack)]
        try:
            _announce(stack, dev, output)
            if as_json:
                output.result(dev.model_dump())
            await asyncio.Event().wait()
        finally:
            for watcher in watchers:
                watcher.cancel()
            layout.dev_file.unlink(missing_ok=True)


def children(stack: Stack) -> list[Child]:
    """Every child process of the stack."""
    services = getattr(stack, "processes", [])
    return [*stack.ground.children, *(process.child for process in services)]


async def _watch(child: Child, output: Output, stop: asyncio.Event) -> None:
    code = await child.wait()
    if stop.is_set():
        return
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    output.say()
    output.say(f"!! {child.name} (process {child.pid}) {how}.", style="bold red")
    output.say(f"   The stack goes on without it. Its log: {child.log}")


def _announce(stack: Stack, dev: DevFile, output: Output) -> None:
    if stack.ground.leftovers:
        ended = ", ".join(stack.ground.leftovers)
        output.say(f"Ended what a killed stack had left running: {ended}.", style="yellow")
    if dev.redis_url is None:
        output.say(
            "No Valkey on this machine: caches and rate limits are local to each process.",
            style="yellow",
        )
    output.say(f"AgentFlow runs ({dev.mode}, data in {stack.ground.layout.home}).", style="bold")
    rows = {
        "gateway": dev.gateway_url,
        "API docs": f"{dev.gateway_url}/docs",
        "NATS": dev.nats_url,
        "Valkey": dev.redis_url or "none",
        "database": dev.database_url,
        "API key": dev.api_key,
    }
    for name, value in rows.items():
        output.say(f"  {name:<10} {value}")
    output.say("Try, in another terminal here:", style="bold")
    output.say(f'  agentflow run {_example()} --input user_input="Hello" --watch')
    output.say("Ctrl-C stops it.")


def _example() -> str:
    """A workflow that is there, named as this directory sees it."""
    try:
        path = find_examples() / "simple_llm" / "workflow.json"
    except InvalidInput:
        return "workflow.json"
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
