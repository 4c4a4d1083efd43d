"""Which parts of the state a text reads: top-level keys, and single nodes' outputs.

`outputs` holds every output of every ancestor, so whoever reads one node's output should not
be given (or have fetched from the object store) all of them: `outputs.<id>` is a key of its own.
When the text leaves any doubt, the whole of `outputs` is read.
"""

import re

from agentflow.engine.conditions import Condition

OUTPUTS = "outputs"
OUTPUTS_OF = "outputs."
"""Prefix of the key of one node's output."""
_OUTPUT_USE = re.compile(
    r"""\boutputs\b(?:\s*\.\s*([A-Za-z_]\w*)(?!\w|\s*\()|\s*\[\s*(?:'([\w-]+)'|"([\w-]+)")\s*\])?"""
)


def condition_keys(condition: Condition) -> frozenset[str]:
    """The state keys a condition reads, with `outputs` narrowed to the nodes it names."""
    if OUTPUTS not in condition.names:
        return condition.names
    named = set()
    for match in _OUTPUT_USE.finditer(condition.text):
        node_id = match[1] or match[2] or match[3]
        if node_id is None:
            return condition.names
        named.add(f"{OUTPUTS}.{node_id}")
    return (condition.names - {OUTPUTS}) | named
