"""A workflow as Mermaid text or as SVG, drawn on this machine."""

from agentflow.contracts.spec import WorkflowSpec
from agentflow.engine import drawing
from agentflow.engine.plan import compile_plan


def draw(spec: WorkflowSpec, style: str) -> str:
    """The drawing; `style` is `mermaid` or `svg`."""
    plan = compile_plan(spec)
    return drawing.svg(plan) if style == "svg" else drawing.mermaid(plan)
