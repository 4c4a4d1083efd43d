"""Pictures of workflows."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings

from agentflow.engine import layout
from agentflow.engine.drawing import BOX_HEIGHT, BOX_WIDTH, mermaid, svg
from agentflow.engine.layout import lay_out
from tests.support.specs import Json, chain, fan, llm, workflows
from tests.support.walks import plan_of

SVG = "{http://www.w3.org/2000/svg}"
SPEC: Json = {
    "name": "<script>alert('&')</script>",
    "start_node": "ask",
    "nodes": [
        llm("ask", type="input"),
        llm("route", type="router", strategy="default", default_intent="x"),
        llm("answer", on_error={"goto": "sorry"}),
        llm("sorry", type="own-type"),
    ],
    "edges": [
        {"from": "ask", "to": "route"},
        {"from": "route", "to": "answer", "condition": "intent == \"<b>\" && x['y'] > 1"},
        {"from": "route", "to": "END", "condition": "else"},
    ],
}


def test_mermaid_shows_nodes_edges_and_conditions() -> None:
    assert mermaid(plan_of(SPEC)) == (
        "flowchart TD\n"
        '    n0["ask<br/><i>input</i>"]\n'
        '    n1{{"route<br/><i>router</i>"}}\n'
        '    n2["answer<br/><i>llm</i>"]\n'
        '    n3["sorry<br/><i>own-type</i>"]\n'
        '    n4(["END"])\n'
        "    n0 --> n1\n"
        "    n1 -->|\"intent == #34;#60;b#62;#34; #38;#38; x#91;'y'#93; #62;…\"| n2\n"
        '    n1 -->|"else"| n4\n'
        '    n2 -.->|"on error"| n3\n'
    )


def test_svg_is_well_formed_and_holds_every_node_and_edge() -> None:
    root = ET.fromstring(svg(plan_of(SPEC)))
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"ask", "route", "answer", "sorry", "END", "else", "on error"} <= texts
    arrows = [path for path in root.iter(f"{SVG}path") if path.get("marker-end")]
    assert len(arrows) == 4


def test_what_users_wrote_is_data_in_the_picture() -> None:
    drawn = svg(plan_of(SPEC))
    assert "<script" not in drawn
    assert ET.fromstring(drawn).findtext(f"{SVG}title") == SPEC["name"]
    assert "<b>" not in mermaid(plan_of(SPEC))


def test_the_same_workflow_gives_the_same_picture() -> None:
    assert svg(plan_of(SPEC)) == svg(plan_of(SPEC))


@settings(max_examples=60)
@given(workflows())
def test_no_two_boxes_overlap_and_all_lie_on_the_page(spec: Json) -> None:
    root = ET.fromstring(svg(plan_of(spec)))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    boxes = [(float(r.get("x", 0)), float(r.get("y", 0))) for r in root.iter(f"{SVG}rect")]
    for number, (x, y) in enumerate(boxes[: len(spec["nodes"])]):
        assert 0 <= x <= width - BOX_WIDTH
        assert 0 <= y <= height - BOX_HEIGHT
        for other_x, other_y in boxes[:number]:
            assert abs(x - other_x) >= BOX_WIDTH or abs(y - other_y) >= BOX_HEIGHT


def test_arrows_go_from_the_bottom_of_one_box_to_the_top_of_another() -> None:
    root = ET.fromstring(svg(plan_of(chain(2))))
    upper, lower = (float(rect.get("y", 0)) for rect in root.iter(f"{SVG}rect"))
    [path] = [p.get("d", "") for p in root.iter(f"{SVG}path") if p.get("marker-end")]
    numbers = [float(number) for number in re.findall(r"[\d.]+", path)]
    assert numbers[1] == upper + BOX_HEIGHT
    assert numbers[-1] == lower


def test_a_long_edge_bends_around_the_row_it_passes() -> None:
    placed = lay_out([0, 1, 2], [(0, 1), (1, 2), (0, 2)])
    long_way = placed.ways[2]
    assert len(long_way) == 3
    assert long_way[1][0] != placed.places[1][0]


def test_branches_are_drawn_without_needless_crossings() -> None:
    placed = lay_out([0, 1, 1, 2, 2], [(0, 1), (0, 2), (1, 4), (2, 3)])
    assert (placed.places[1][0] < placed.places[2][0]) == (
        placed.places[4][0] < placed.places[3][0]
    )


def test_too_many_bends_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_BENDS", 0)
    assert [len(way) for way in lay_out([0, 1, 2], [(0, 1), (1, 2), (0, 2)]).ways] == [2, 2, 2]


def test_a_thousand_nodes_can_be_drawn() -> None:
    for spec in (chain(1000), fan(1000)):
        assert svg(plan_of(spec)).count("<rect") == len(spec["nodes"])
