"""Refusals are on record, a flood of them is counted."""

from agentflow.contracts.audits import AuditRecord
from agentflow.contracts.errors import OutcomeUnknown
from agentflow.contracts.ids import DEFAULT_TENANT
from agentflow.contracts.message import Message
from agentflow.gateway.auth_failures import AuthFailures


class Bus:
    def __init__(self) -> None:
        self.connected = True
        self.failing = False
        self.told: list[AuditRecord] = []

    async def publish(self, message: Message, *, timeout: float) -> int:  # noqa: ARG002 - the bus has it
        assert isinstance(message, AuditRecord)
        if self.failing:
            raise OutcomeUnknown("silent")
        self.told.append(message)
        return len(self.told)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refuse(failures: AuthFailures, times: int = 1) -> None:
    for _ in range(times):
        failures.record(
            "unknown",
            path="/p",
            request_id="r",
            address="1.2.3.4",
            tenant=DEFAULT_TENANT,
            actor=None,
        )


async def test_the_record_fills_with_the_minutes_and_tells_what_it_left_out() -> None:
    bus, clock = Bus(), Clock()
    failures = AuthFailures(bus, per_minute=60, clock=clock)
    refuse(failures, 1000)
    await failures.close()
    assert len(bus.told) == 20
    clock.now += 2
    refuse(failures, 10)
    await failures.close()
    assert len(bus.told) == 22
    assert bus.told[20].details["left_out_before"] == 980
    assert bus.told[21].details["left_out_before"] == 0


async def test_a_bus_that_is_away_costs_the_record_and_nothing_else() -> None:
    bus, clock = Bus(), Clock()
    failures = AuthFailures(bus, per_minute=60, clock=clock)
    bus.connected = False
    refuse(failures)
    bus.connected, bus.failing = True, True
    refuse(failures)
    await failures.close()
    bus.failing = False
    refuse(failures)
    await failures.close()
    assert [record.details["left_out_before"] for record in bus.told] == [0]
