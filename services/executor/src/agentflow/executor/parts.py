"""What every run of this executor shares."""

from dataclasses import dataclass

from agentflow.bus.bus import Bus
from agentflow.bus.values import ValueStore
from agentflow.executor.compiled import Compiler
from agentflow.executor.measures import Measures
from agentflow.executor.settings import ExecutorSettings


@dataclass(frozen=True)
class Parts:
    """The executor's collaborators, handed to each run."""

    bus: Bus
    values: ValueStore
    compiler: Compiler
    settings: ExecutorSettings
    measures: Measures
    executor_id: str
