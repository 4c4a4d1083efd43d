"""Ids are types: an ExecutionId cannot be passed where a NodeId is meant.

Tenant, execution and node ids are single NATS subject tokens, so none of them
may hold a dot, a space, `*` or `>`.
"""

import re
from typing import NewType

TenantId = NewType("TenantId", str)
ExecutionId = NewType("ExecutionId", str)
NodeId = NewType("NodeId", str)
SourceId = NewType("SourceId", str)
QueueId = NewType("QueueId", str)
WorkflowId = NewType("WorkflowId", str)

NODE_ID_PATTERN = r"^[A-Za-z0-9_-]{1,100}$"
ID_PATTERN = r"^[A-Za-z0-9_-]{1,128}$"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")

DEFAULT_TENANT = TenantId("default")


def is_token(text: str) -> bool:
    """Whether `text` can stand as one token of a NATS subject."""
    return _TOKEN.fullmatch(text) is not None
