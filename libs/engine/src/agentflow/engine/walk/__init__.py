"""The walk of one execution: pure, event by event. See `decide` for the law."""

from agentflow.engine.walk.decide import (
    MAX_PARALLEL_NODES,
    Happening,
    decide,
    replay,
    resume,
    start,
)
from agentflow.engine.walk.effects import (
    DispatchNode,
    Effect,
    Finish,
    LoadValues,
    RecordSkipped,
    RunHere,
)
from agentflow.engine.walk.happenings import DeadlinePassed, ValuesLoaded, ValuesLost
from agentflow.engine.walk.state import WalkState

__all__ = [
    "MAX_PARALLEL_NODES",
    "DeadlinePassed",
    "DispatchNode",
    "Effect",
    "Finish",
    "Happening",
    "LoadValues",
    "RecordSkipped",
    "RunHere",
    "ValuesLoaded",
    "ValuesLost",
    "WalkState",
    "decide",
    "replay",
    "resume",
    "start",
]
