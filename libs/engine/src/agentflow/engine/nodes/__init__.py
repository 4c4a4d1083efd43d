"""The node types as the engine knows them: their metadata, and how the pure ones are decided."""

from agentflow.engine.nodes.metadata import METADATA, OUTPUT_KEYS
from agentflow.engine.nodes.pure import default_output_key, is_pure, run_pure_node
from agentflow.engine.nodes.reads import reads, reads_given

__all__ = [
    "METADATA",
    "OUTPUT_KEYS",
    "default_output_key",
    "is_pure",
    "reads",
    "reads_given",
    "run_pure_node",
]
