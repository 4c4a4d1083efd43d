"""The demo itself: prepare, start the stack, run every example, print, stop.

Everything lives in a temporary directory that is gone afterwards.
"""

import asyncio
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from agentflow.cli.client import Gateway
from agentflow.cli.demo import report
from agentflow.cli.demo.cases import differences, read_cases
from agentflow.cli.demo.crowd import Crowd, Input, Outcome, read_inputs, run_all, run_one
from agentflow.cli.demo.manifest import DATA, Job, Manifest, find_examples, read_manifest
from agentflow.cli.demo.preparing import prepare
from agentflow.cli.dev_file import Target
from agentflow.cli.embedded.environment import lent
from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.stack import make_stack
from agentflow.cli.inputs import read_spec
from agentflow.cli.output import Output
from agentflow.cli.session import quiet_logs, stopping_on_signals

INTERRUPTED = 130
PatternRow = tuple[str, str, Outcome, bool]


async def show(examples: Path | None, *, split: bool, as_json: bool, started: float) -> int:
    """Run the demo; 0 when everything ended as it should, 1 when something did not.

    `started` is the reading of `time.perf_counter` when the command began.
    """
    output = Output()
    manifest = read_manifest(find_examples(examples))
    async with stopping_on_signals(output) as stop:
        running = asyncio.create_task(_whole(manifest, output, split, as_json, started))
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not running.done():
            output.say("Stopping …")
            running.cancel()
        try:
            return 0 if await running else 1
        except asyncio.CancelledError:
            return INTERRUPTED


async def _whole(
    manifest: Manifest, output: Output, split: bool, as_json: bool, started: float
) -> bool:
    with tempfile.TemporaryDirectory(prefix="agentflow-demo-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        needs = manifest.all_needs()
        variables = await prepare(manifest, needs, data)
        options = StackOptions(
            directory=Path(folder), split=split, gateway_port=0, nats_port=0, valkey_port=0
        )
        with lent(variables):
            quiet_logs()
            async with make_stack(options) as stack:
                address = stack.addresses
                output.say(f"Ready after {time.perf_counter() - started:.1f} s.\n")
                async with Gateway(Target(address.gateway_url, address.api_key)) as gateway:
                    good = await _Demo(manifest, data, gateway, output, as_json).run()
    output.say(f"\nStopped after {time.perf_counter() - started:.1f} s; nothing is left running.")
    return good


class _Demo:
    """One run over a started stack."""

    def __init__(
        self, manifest: Manifest, data: Path, gateway: Gateway, output: Output, as_json: bool
    ) -> None:
        self._manifest = manifest
        self._data = data
        self._gateway = gateway
        self._output = output
        self._as_json = as_json

    async def run(self) -> bool:
        """Everything, in the order of the manifest; whether all of it was as it should be."""
        figures: dict[str, Any] = {"jobs": {}, "patterns": {}}
        good = True
        for job in self._manifest.demo:
            crowd = await self._job(job)
            figures["jobs"][job.name] = _figures(crowd)
            good = good and all(outcome.completed for outcome in crowd.outcomes)
            if not self._as_json:
                self._print_job(job, crowd)
        rows = await self._patterns()
        figures["patterns"] = {name: as_expected for name, _, _, as_expected in rows}
        if self._as_json:
            self._output.result(figures)
        else:
            self._heading("One of each pattern")
            self._output.table(report.patterns_table(rows))
        return good and all(as_expected for *_, as_expected in rows)

    async def _job(self, job: Job) -> Crowd:
        workflow = self._spec(job.workflow)
        inputs = read_inputs(self._manifest.folder / job.inputs.replace(DATA, str(self._data)))
        await run_one(self._gateway, workflow, inputs[0])  # compiled and connected: now it counts
        bar = self._bar()
        with bar if bar is not None else nullcontext():
            task = bar.add_task(job.title, total=len(inputs)) if bar is not None else None

            def advance() -> None:
                if bar is not None and task is not None:
                    bar.advance(task)

            return await run_all(self._gateway, workflow, inputs, advance)

    async def _patterns(self) -> list[PatternRow]:
        rows: list[PatternRow] = []
        for example in self._manifest.examples:
            workflow = self._spec(f"{example.name}/workflow.json")
            cases = read_cases(self._manifest.folder / example.name / "cases")
            for case in cases[:1]:
                item = Input(case.initial_state, case.expect, {})
                outcome = await run_one(self._gateway, workflow, item)
                wrong = list(
                    differences(
                        case.expect,
                        status=outcome.status,
                        final_state=outcome.final_state,
                        error_code=(outcome.error or {}).get("code"),
                    )
                )
                rows.append((example.name, example.pattern, outcome, not wrong))
                for line in wrong:
                    self._output.say(f"{example.name}/{case.name}: {line}", style="red")
        return rows

    def _spec(self, name: str) -> Any:
        return read_spec(str(self._manifest.folder / name)).document

    def _print_job(self, job: Job, crowd: Crowd) -> None:
        self._heading(job.title)
        for line in report.summary_lines(crowd):
            self._output.paper.print(line, highlight=False)
        self._output.paper.print()
        if job.columns:
            self._output.table(report.sample_table(job, crowd))
            self._output.paper.print(
                f"(the first {report.SAMPLE_ROWS} of {len(crowd.outcomes)})\n", style="dim"
            )
        if job.count_by:
            self._output.table(report.count_table(job, crowd))
        if job.accuracy:
            self._output.paper.print()
            self._output.table(report.accuracy_table(job, crowd))
        for line in report.failures(crowd):
            self._output.say(line, style="red")
        self._output.paper.print()

    def _heading(self, text: str) -> None:
        self._output.paper.print(text, style="bold underline")

    def _bar(self) -> Progress | None:
        console = self._output.console
        if not console.is_terminal:
            return None
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        return Progress(*columns, console=console, transient=True)


def _figures(crowd: Crowd) -> dict[str, Any]:
    return {
        "executions": len(crowd.outcomes),
        "completed": sum(outcome.completed for outcome in crowd.outcomes),
        "seconds": round(crowd.seconds, 3),
        "per_second": round(crowd.per_second, 1),
    }
