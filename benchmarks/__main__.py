"""`python -m benchmarks [case …] [--quick] [--peer celery]`: the split stack, measured.

Prints the machine and the versions, then one line per case; the same as JSON in
`benchmarks/results/`. Six services run as separate processes, history writes to SQL.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.split import SplitStack
from benchmarks.cases import CASES, Line, Target
from benchmarks.machine import describe
from benchmarks.peer_celery import CeleryPeer

PEER_CASES = ("fan10", "chain10")
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure the cases asked for; 0 when all gave figures."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--executors", type=int, default=1)
    parser.add_argument("--peer", choices=["celery"], help="measured in turns with us")
    options = parser.parse_args()
    unknown = [case for case in options.cases if case not in CASES]
    if unknown:
        parser.error(f"unknown case {unknown[0]!r}; there are {', '.join(CASES)}")
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    machine = describe()
    print(" ".join(f"{key}={value!r}" for key, value in machine.items()), flush=True)
    lines: dict[str, Line] = {}
    with tempfile.TemporaryDirectory(prefix="agentflow-bench-") as directory:
        stack_options = StackOptions(
            directory=Path(directory),
            split=True,
            workers=options.workers,
            executors=options.executors,
            gateway_port=0,
            nats_port=0,
            valkey_port=0,
        )
        async with SplitStack(stack_options) as stack:
            addresses = stack.addresses
            target = Target(
                addresses.nats_url,
                addresses.gateway_url,
                addresses.api_key,
                stack.pids,
                options.quick,
            )
            with _peer(options, addresses.redis_url) as peer:
                for case in options.cases or CASES:
                    lines[case] = await CASES[case](target)
                    if peer is not None and case in PEER_CASES:
                        lines[case] |= await _beside(peer, case, lines[case], target)
                    print(_text(case, lines[case]), flush=True)
    _keep(machine, lines)
    return 0


@contextmanager
def _peer(options: argparse.Namespace, redis_url: str | None) -> Iterator[CeleryPeer | None]:
    """The peer that runs beside us while the block runs; None when none was asked for."""
    if options.peer is None:
        yield None
        return
    if redis_url is None:
        raise SystemExit("The peer needs Valkey as its broker, and there is none.")
    peer = CeleryPeer(redis_url, options.workers)
    with peer.running():
        yield peer


async def _beside(peer: CeleryPeer, case: str, ours: Line, target: Target) -> Line:
    """The peer's figures for the same case, and how many times as many executions we did."""
    theirs = await peer.measure(
        case, alone=target.scaled(50), total=target.scaled(500), concurrent=20
    )
    return {
        "peer": "celery",
        "peer_alone_p50_ms": round(theirs.alone_p50_ms, 2),
        "peer_exec_per_s": round(theirs.exec_per_s, 1),
        "ratio": round(float(ours["exec_per_s"]) / theirs.exec_per_s, 1),
    }


def _text(case: str, line: Line) -> str:
    return " ".join([f"{case:<14}", *(f"{key}={value}" for key, value in line.items())])


def _keep(machine: dict[str, str], lines: dict[str, Line]) -> None:
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    body = {"at": now.isoformat(), "machine": machine, "cases": lines}
    path = RESULTS / f"{now:%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(body, indent=2) + "\n")
    print(f"kept in {path.relative_to(Path.cwd())}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
