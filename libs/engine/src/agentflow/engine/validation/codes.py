"""Every code a check can give, in one table. Codes are stable: a code is never renamed or reused.

`docs/reference/validation-codes.md` is generated from this table (`page()`), and a test keeps
the two equal. Errors refuse the workflow; warnings are advice.
"""

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means and what to do about it."""

    meaning: str
    remedy: str
    severity: Severity = "error"


CODES: Final[dict[str, Code]] = {
    "malformed_json": Code(
        "The text is not JSON, or holds what no database can store.",
        "Mend the text at the place named.",
    ),
    "payload_too_large": Code(
        "The document is too large or nested too deeply.",
        "Move large values into the initial state, or split the workflow.",
    ),
    "unknown_field": Code(
        "A key that does not exist there.",
        "Mend the name; own data belongs into `metadata` or `config`.",
    ),
    "missing_field": Code("A key that has to be there is not.", "Add it."),
    "wrong_type": Code("A value has the wrong JSON type.", "Write the type named."),
    "invalid_value": Code(
        "A value is of the right type but out of range, or not one of the allowed ones.",
        "Write a value that is allowed there.",
    ),
    "duplicate_id": Code("Two nodes, queues or sources have the same id.", "Rename one of them."),
    "missing_start_node": Code(
        "`start_node` is missing or names no node.", "Name one of the nodes."
    ),
    "unknown_edge_source": Code("An edge comes from a node that is not there.", "Mend the id."),
    "unknown_edge_target": Code(
        "An edge leads to a node that is not there.", "Mend the id; `END` ends a branch."
    ),
    "unknown_goto": Code("`on_error.goto` names a node that is not there.", "Mend the id."),
    "unknown_queue": Code("An edge names a queue that is not there.", "Mend the id or add it."),
    "unknown_queue_endpoint": Code(
        "A queue comes from or leads to a node that is not there.", "Mend the id."
    ),
    "bad_bandwidth": Code(
        "A limit of a queue is not a number above zero.", "Write a number above zero."
    ),
    "cycle": Code(
        "Edges lead back to where they came from; the ones named form the circle.",
        "Take one of them out: a node runs at most once.",
    ),
    "orphaned_node": Code(
        "No way leads from the start node to this node; it would never run.",
        "Add an edge to it, or take it out.",
    ),
    "unsupported_type": Code("There is no such node type.", "Use one of the types named."),
    "missing_metadata": Code("The node's type needs a setting it does not have.", "Add it."),
    "missing_source": Code("The node needs a source and names none.", "Set `source_id`."),
    "unknown_source": Code(
        "The node names a source that is neither in the spec nor stored.",
        "Add it to `sources`, or store it first.",
    ),
    "wrong_source_kind": Code(
        "The node's source is of another kind than the node needs.", "Name a source of that kind."
    ),
    "missing_config": Code("A source lacks a setting its kind needs.", "Add it."),
    "unsupported_provider": Code("There is no such provider for that kind.", "Use one named."),
    "literal_secret": Code(
        "A value looks like a key or password; it would be stored and shown.",
        "Name a variable instead (`api_key_env`), and replace the key: it has been seen.",
    ),
    "bad_condition": Code("A condition or rule is not a CEL expression.", "Mend it."),
    "bad_template": Code("A template cannot be compiled.", "Mend it."),
    "bad_regex": Code("A pattern is not a regular expression of RE2.", "Mend it."),
    "bad_schema": Code("A JSON Schema cannot be used.", "Mend it."),
    "unknown_node": Code("The node to be checked is not there.", "Name one of the nodes."),
    "too_many_issues": Code("There are more issues than are listed.", "Mend these first."),
    "unroutable_intent": Code(
        "A route's intent fits none or several targets of the edge; the first is taken.",
        "Name a target like the intent.",
        "warning",
    ),
    "parallel_writers": Code(
        "Nodes that may run side by side write the same key; the last in plan order wins.",
        "Give each its own `output_key`, or read `outputs.<node id>`.",
        "warning",
    ),
    "unknown_placeholder": Code(
        "A template names a key that nothing before the node writes.",
        "Mend the name, or add an edge from the node that writes it.",
        "warning",
    ),
}


def page() -> str:
    """The Markdown page of all codes."""
    lines = [
        "# Validation codes",
        "",
        "Generated from `agentflow.engine.validation.codes`; do not edit.",
        "",
        "A check tells every error and warning at once. Each has one of these codes, a message,",
        "the JSON pointer, line and column where the text is known, the node and a hint.",
        "",
    ]
    for severity, title in (("error", "Errors"), ("warning", "Warnings")):
        lines += [f"## {title}", "", "| code | meaning | what to do |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {code.meaning} | {code.remedy} |"
            for name, code in CODES.items()
            if code.severity == severity
        ]
        lines.append("")
    return "\n".join(lines)
