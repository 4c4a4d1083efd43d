"""The identity of a workflow: a hash of what it means.

Two specs have the same hash when they say the same thing, however their JSON was laid out.
Values equal to their default are left out, so that a release which adds an optional field
gives every existing workflow the hash it had.
"""

import hashlib
import json

from agentflow.contracts.spec import WorkflowSpec


def definition_hash(spec: WorkflowSpec) -> str:
    """64 hexadecimal characters: the SHA-256 of the spec's canonical JSON."""
    meaning = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
