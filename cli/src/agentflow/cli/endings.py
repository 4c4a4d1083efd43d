"""How an execution ended, in one or two lines for people."""

from agentflow.cli.output import Output
from agentflow.cli.tables import STYLES, dollars, milliseconds
from agentflow.contracts.replies import ExecutionResult


def say_ending(result: ExecutionResult, output: Output) -> None:
    """`exec_… COMPLETED in 12 ms, 34 tokens $0.0001`, then the error and the warnings."""
    text = f"{result.execution_id} {result.status} in {milliseconds(result.execution_time * 1000)}"
    if result.tokens_used:
        text += f", {result.tokens_used} tokens {dollars(result.cost)}".rstrip()
    output.say(text, style=STYLES.get(result.status))
    error = result.error
    if error is not None:
        where = f" in node {error.node_id}" if error.node_id else ""
        attempt = f", attempt {error.attempt}" if error.attempt else ""
        output.say(f"  {error.code}{where}{attempt}: {error.message}")
        if error.hint:
            output.say(f"  hint: {error.hint}")
    for warning in result.warnings:
        output.say(f"  warning: {warning}", style="yellow")
