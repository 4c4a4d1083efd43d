"""Pictures of a workflow: Mermaid text, and SVG drawn here. No web service, no program needed.

The same plan gives the same picture, byte for byte. Everything a user wrote (ids, conditions)
is data in the picture: escaped, never markup.
"""

import itertools
from dataclasses import dataclass
from html import escape
from typing import Final

from agentflow.engine.layout import Layout, Point, lay_out
from agentflow.engine.plan_parts import Exit, Plan, PlanNode

BOX_WIDTH: Final = 168
BOX_HEIGHT: Final = 46
GAP_X: Final = 28
GAP_Y: Final = 58
MARGIN: Final = 20
LABEL_LENGTH: Final = 28

COLOURS: Final = {
    "input": "#e8f1fb",
    "router": "#fdf3d8",
    "llm": "#e9f7ec",
    "image": "#f6e9f7",
    "db": "#e6f4f4",
    "api": "#fbece8",
    "aggregator": "#eeeafb",
}
OTHER_COLOUR: Final = "#f2f2f2"
_ARROW: Final = (
    '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
    'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="#667"/>'
    "</marker></defs>"
)
_MERMAID_ESCAPES: Final = {ord(c): f"#{ord(c)};" for c in '#"<>&;`|{}[]()\\%'}


@dataclass(frozen=True, slots=True)
class _Arrow:
    source: int
    target: int
    """Place in plan order; one past the last node is END."""
    label: str
    kind: str


def mermaid(plan: Plan) -> str:
    """The workflow as a Mermaid flowchart, top down."""
    lines = ["flowchart TD"]
    for node in plan.nodes:
        left, right = ("{{", "}}") if node.node.kind == "router" else ("[", "]")
        label = f"{_mermaid_text(node.id)}<br/><i>{_mermaid_text(node.node.type)}</i>"
        lines.append(f'    n{node.index}{left}"{label}"{right}')
    arrows = _arrows(plan)
    if any(arrow.target == len(plan.nodes) for arrow in arrows):
        lines.append(f'    n{len(plan.nodes)}(["END"])')
    for arrow in arrows:
        line = "-.->" if arrow.kind == "goto" else "-->"
        label = f'|"{_mermaid_text(arrow.label)}"|' if arrow.label else ""
        lines.append(f"    n{arrow.source} {line}{label} n{arrow.target}")
    return "\n".join(lines) + "\n"


def svg(plan: Plan) -> str:
    """The workflow as a self-contained SVG document, top down by rank."""
    arrows = _arrows(plan)
    rank = [node.rank for node in plan.nodes]
    if any(arrow.target == len(plan.nodes) for arrow in arrows):
        rank.append(rank[-1] + 1)
    layout = lay_out(rank, [(arrow.source, arrow.target) for arrow in arrows])
    width = layout.columns * (BOX_WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    height = layout.rows * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}" font-family="sans-serif" font-size="13">'
        ),
        f"<title>{escape(plan.name)}</title>",
        _ARROW,
        *(_svg_arrow(arrow, layout, way) for way, arrow in enumerate(arrows)),
        *(_svg_node(node, layout.places[node.index]) for node in plan.nodes),
    ]
    if len(rank) > len(plan.nodes):
        parts.append(_svg_end(layout.places[-1]))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _arrows(plan: Plan) -> list[_Arrow]:
    return [
        _Arrow(node.index, plan.index.get(target, len(plan.nodes)), _label(exit_), exit_.kind)
        for node in plan.nodes
        for exit_ in node.exits
        for target, _ in exit_.choices
    ]


def _label(exit_: Exit) -> str:
    if exit_.kind == "always":
        return ""
    return "on error" if exit_.kind == "goto" else _short(exit_.text or exit_.kind)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH - 1]}…"


def _mermaid_text(text: str) -> str:
    return text.translate(_MERMAID_ESCAPES)


def _centre(place: Point) -> tuple[float, float]:
    x, row = place
    return (
        MARGIN + BOX_WIDTH / 2 + x * (BOX_WIDTH + GAP_X),
        MARGIN + BOX_HEIGHT / 2 + row * (BOX_HEIGHT + GAP_Y),
    )


def _svg_node(node: PlanNode, place: Point) -> str:
    x, y = _centre(place)
    colour = COLOURS.get(node.node.kind, OTHER_COLOUR)
    return (
        f"<g><title>{escape(node.id)}</title>"
        f'<rect x="{x - BOX_WIDTH / 2:.1f}" y="{y - BOX_HEIGHT / 2:.1f}" width="{BOX_WIDTH}" '
        f'height="{BOX_HEIGHT}" rx="7" fill="{colour}" stroke="#667"/>'
        f'<text x="{x:.1f}" y="{y - 3:.1f}" text-anchor="middle" fill="#223">'
        f"{escape(_short(node.id))}</text>"
        f'<text x="{x:.1f}" y="{y + 14:.1f}" text-anchor="middle" fill="#667" font-size="11">'
        f"{escape(_short(node.node.type))}</text></g>"
    )


def _svg_end(place: Point) -> str:
    x, y = _centre(place)
    return (
        f'<g><rect x="{x - 32:.1f}" y="{y - 15:.1f}" width="64" height="30" rx="15" '
        f'fill="#fff" stroke="#667"/><text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle" '
        f'fill="#223">END</text></g>'
    )


def _svg_arrow(arrow: _Arrow, layout: Layout, way: int) -> str:
    """A smooth line from the bottom of the source to the top of the target, label at its middle."""
    points = [_centre(point) for point in layout.ways[way]]
    points[0] = (points[0][0], points[0][1] + BOX_HEIGHT / 2)
    points[-1] = (points[-1][0], points[-1][1] - BOX_HEIGHT / 2)
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        middle = (y0 + y1) / 2
        path.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    dashed = ' stroke-dasharray="5 4"' if arrow.kind in ("goto", "else") else ""
    line = (
        f'<path d="{"".join(path)}" fill="none" stroke="#667" stroke-width="1.3"{dashed} '
        'marker-end="url(#arrow)"/>'
    )
    if not arrow.label:
        return line
    (x0, y0), (x1, y1) = points[:2]
    return (
        f'{line}<text x="{(x0 + x1) / 2:.1f}" y="{(y0 + y1) / 2:.1f}" text-anchor="middle" '
        f'font-size="11" fill="#446" stroke="#fff" stroke-width="3" paint-order="stroke">'
        f"{escape(arrow.label)}</text>"
    )
